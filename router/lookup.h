/* What Kafka knows of partitions before they start: commits with their metadata, and where the partitions begin and
 * end. The library's calls for it block, so a thread of its own makes them and the loop hears the result. */
#ifndef TIDEGATE_ROUTER_LOOKUP_H
#define TIDEGATE_ROUTER_LOOKUP_H

#include "common/loop.h"
#include "common/slice.h"

#include <librdkafka/rdkafka.h>

/* Of one partition that was asked about. Offsets are -1 where there is none. */
struct lookup_row {
    const char *topic; /* in lookup.partitions */
    int32_t id;
    int64_t committed;
    struct slice metadata;  /* of the commit; may be empty */
    bool topic_has_commits; /* of this group, on any partition of the topic */
    /* First offset, end, and the first offset at `since` (the end when there is none): asked where nothing is
     * committed, or of all when ends are what is wanted. */
    int64_t low, high, at_time;
};

struct lookup {
    struct post post;
    struct loop *loop;
    pthread_t thread;
    rd_kafka_t *rk;
    rd_kafka_topic_partition_list_t *partitions; /* owned: what is asked about */
    const char *const *topics;                   /* borrowed: all that the group reads */
    size_t topic_count;
    int64_t since_ms; /* wall time for at_time, or -1 */
    bool ends;        /* only low, high and at_time are asked */
    void *owner;
    void (*on_done)(struct lookup *l);
    /* The answer: */
    rd_kafka_topic_partition_list_t *commits; /* of all partitions of all topics */
    struct lookup_row *rows;                  /* one for each of partitions, in their order */
    bool group_has_commits;                   /* on any of the topics */
    char *error;                              /* owned; NULL: all is known */
};

/* The metadata of an element that carries a commit; may be empty. */
struct slice lookup_metadata(const rd_kafka_topic_partition_t *commit);

/* Starts asking; on_done is called on the loop, once, and must end with lookup_free. *Takes* partitions, borrows topics
 * and rk until then. */
struct lookup *lookup_start(struct loop *loop, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions,
                            const char *const *topics, size_t topic_count, int64_t since_ms, void *owner,
                            void (*on_done)(struct lookup *));
/* The same, but asks only for low, high and at_time, of every partition. */
struct lookup *lookup_start_ends(struct loop *loop, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions,
                                 int64_t since_ms, void *owner, void (*on_done)(struct lookup *));
/* Waits for the thread, which has ended or ends within seconds. */
void lookup_free(struct lookup *l);

#endif

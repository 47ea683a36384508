/* What Kafka knows of partitions before they start: commits with their metadata, whether the topic is still the one
 * that was committed, and where the partitions begin and end. The library's calls for it block, so a thread of its own
 * makes them and the loop hears the result. */
#ifndef TIDEGATE_ROUTER_LOOKUP_H
#define TIDEGATE_ROUTER_LOOKUP_H

#include "common/loop.h"
#include "common/slice.h"
#include "router/partition.h"

/* Of one partition that was asked about. Offsets are -1 where there is none. */
struct lookup_row {
    const char *topic; /* in lookup.partitions */
    int32_t id;
    int64_t committed;       /* of the topic as it is now */
    bool is_foreign;         /* another service wrote that commit */
    bool is_another;         /* the commit was of a topic of that name that was deleted: the generation is a new one */
    struct commit_note note; /* what the commit says, else generation 1 */
    bool topic_has_commits;  /* of this group, on any partition of the topic */
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
    int64_t since_ms;                        /* wall time for at_time, or -1 */
    bool ends;                               /* only low, high and at_time are asked */
    rd_kafka_topic_partition_list_t *copies; /* owned: of commits, where Kafka has none or older ones; or NULL */
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

struct lookup_question {
    rd_kafka_t *rk;
    rd_kafka_topic_partition_list_t *partitions;
    rd_kafka_topic_partition_list_t *copies; /* or NULL */
    const char *const *topics;
    size_t topic_count;
    int64_t since_ms;
    bool ends; /* only low, high and at_time, of every partition: topics and copies are not looked at */
};
/* Starts asking; on_done is called on the loop, once, and must end with lookup_free. *Takes* partitions and copies,
 * borrows topics and rk until then. */
struct lookup *lookup_start(struct loop *loop, const struct lookup_question *q, void *owner,
                            void (*on_done)(struct lookup *));
/* Waits for the thread, which has ended or ends within seconds. */
void lookup_free(struct lookup *l);

#endif

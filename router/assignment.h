/* The partitions that the group gave us, from the moment it did until it takes them back: it asks Kafka and the markers
 * where each starts, and starts it there; again after each reconnection to Redis. */
#ifndef TIDEGATE_ROUTER_ASSIGNMENT_H
#define TIDEGATE_ROUTER_ASSIGNMENT_H

#include "router/config.h"
#include "router/consumer.h"
#include "router/copies.h"
#include "router/lookup.h"
#include "router/partition.h"
#include "router/publisher.h"

struct assignment {
    struct loop *loop;
    struct consumer *consumer;
    struct publisher *publisher;
    const char *const *topics; /* all that the group reads */
    size_t topic_count;
    enum router_start start;
    uint64_t back_ms;
    uint64_t overlap_ms; /* live events go on from so far back after a loss */
    void *owner;
    void (*on_placed)(struct assignment *a); /* some partitions have new places */

    struct partition **rows; /* refs of ours */
    size_t count, cap;
    struct partition *recent; /* of the last record */

    struct copies_question recall; /* what our copies say is asked before Kafka is */
    bool recalling;
    struct lookup *lookup; /* under way, or NULL */
    bool looked;           /* Kafka answered at least once */
    bool group_is_new;     /* the group has no commit at all: a first installation */
    bool reading;          /* markers, or making them */
    bool again;            /* they must be read once more */
    bool lost;             /* Redis lost data: places are where live events go on from */
    char **group;          /* owned: the parts that the group has, as far as is known */
    size_t group_count;
    bool has_read;                /* every bucket had a marker once */
    struct partition **read_rows; /* refs: those that are asked about */
    size_t read_count;
    uint64_t waiting_ms; /* since when the group waits for an answer of ours; 0: it does not */
    struct timer retry;
};

void assignment_init(struct assignment *a, struct loop *l, const struct router_config *conf, struct consumer *consumer,
                     struct publisher *publisher, const char *const *topics, size_t topic_count, void *owner,
                     void (*on_placed)(struct assignment *));
/* Not while a lookup is under way. */
void assignment_release(struct assignment *a);

void assignment_add(struct assignment *a, const rd_kafka_topic_partition_list_t *partitions);
void assignment_remove(struct assignment *a, const rd_kafka_topic_partition_list_t *partitions);
/* Records may come. */
bool assignment_is_fetched(const struct assignment *a);
/* The partition of a record, or NULL. */
struct partition *assignment_find(struct assignment *a, const char *topic, int32_t id);
/* Whether a record that stands further on than the one before, or the partition's place, was asked for again; then this
 * one is to be dropped. Offsets may be missing (compaction, a transaction's marks, retention), but that is believed
 * only when the record comes a second time. Where it was so once, only the first record since the partition was placed
 * is asked for again. */
bool assignment_asks_again(struct assignment *a, struct partition *p, int64_t offset);
/* A record below the place of its partition: the topic is another one now. Returns the partition's successor, which
 * starts at that offset, in a new generation. */
struct partition *assignment_renew(struct assignment *a, struct partition *p, int64_t offset);

/* A topic is not what it was, perhaps: what Kafka knows of our partitions is asked for again. */
void assignment_doubt(struct assignment *a);

/* Reads the markers (when Kafka has answered and Redis is there, else that will do it) and places what is not. */
void assignment_settle(struct assignment *a);
/* Called once a second: settles what should long be settled. A node may have become ready while the topology was asked
 * anew, or have lost its last bucket while it was away, and then nobody says that places can be had. */
void assignment_second(struct assignment *a);
void assignment_on_markers(struct assignment *a, bool ok);
void assignment_on_markers_created(struct assignment *a, bool ok);
/* Redis is away: everything goes back to what it is sure of. */
void assignment_rewind(struct assignment *a);
/* Redis lost what was appended: everything goes back to where live events go on from. */
void assignment_lose(struct assignment *a);
/* Once a second: remembers where partitions stand. */
void assignment_remember(struct assignment *a);
/* Now and then: the group must not wait for us for ever while Redis is away. */
void assignment_supervise(struct assignment *a);
/* Gives the group its answer now: partitions that are not placed yet follow later. */
void assignment_answer(struct assignment *a);

#endif

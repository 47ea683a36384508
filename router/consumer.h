/* The member of the consumer group: polls records in slices on the loop, answers rebalances, commits. What records mean
 * and where partitions start is its owner's business (downstream). */
#ifndef TIDEGATE_ROUTER_CONSUMER_H
#define TIDEGATE_ROUTER_CONSUMER_H

#include "common/loop.h"
#include "common/slice.h"
#include "router/metrics.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

struct consumer;

struct consumer_ops {
    /* How many records may come now; 0: none. */
    size_t (*room)(struct consumer *c);
    /* *Takes* the message. */
    void (*on_record)(struct consumer *c, rd_kafka_message_t *message);
    /* These partitions are ours now. The group waits for consumer_assign or consumer_assign_none, at the most
     * max.poll.interval.ms. Never empty. */
    void (*on_assigned)(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions);
    /* These are ours no more on return. lost: they may be somebody else's already, nothing can be committed. */
    void (*on_revoked)(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions, bool lost);
    /* A topic was gone for a moment at least: what is there now may be another one. */
    void (*on_doubt)(struct consumer *c);
    /* A commit that was sent came to nothing. */
    void (*on_commit_failed)(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions);
};

enum consumer_state { CONSUMER_JOINING, CONSUMER_MEMBER, CONSUMER_CLOSING, CONSUMER_CLOSED };

struct consumer {
    struct loop *loop;
    const struct consumer_ops *ops;
    void *owner;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct waker waker;
    struct turn_hook hook;
    struct timer tick;
    bool woken;       /* there may be something to poll */
    bool paused;      /* all partitions; polling goes on, to stay a member */
    bool unreachable; /* no broker answers */
    const char *const *topics;
    bool *missing; /* of each topic: Kafka said that there is none of this name, since we started */
    size_t topic_count;
    atomic_bool doubtful; /* set by the library's threads */
    enum consumer_state state;
    struct router_metrics *metrics;
    uint64_t rebalances;
};

/* Joins the group of conf, which it *takes*, for these topics, *borrowed* until the release. Returns 0, or -1 with *why
 * (owned). */
int consumer_start(struct consumer *c, struct loop *l, rd_kafka_conf_t *conf, const char *const *topics, size_t count,
                   struct router_metrics *metrics, const struct consumer_ops *ops, void *owner, char **why);

/* There was no topic of this name at some moment since the start. */
bool consumer_missed(const struct consumer *c, const char *topic);
/* None of the topics is there, so there is no group to join yet: the library joins when the first one appears. */
bool consumer_waits_for_topics(const struct consumer *c);

/* Starts partitions of on_assigned at their offsets, all of them or some: the others may follow at any time. Offsets
 * are numbers, never logical ones (END, STORED). */
void consumer_assign(struct consumer *c, rd_kafka_topic_partition_list_t *partitions);
/* Answers the group; all partitions follow. */
void consumer_assign_none(struct consumer *c);
/* Moves assigned partitions to other offsets. */
void consumer_move(struct consumer *c, rd_kafka_topic_partition_list_t *partitions);
void consumer_pause(struct consumer *c);
void consumer_resume(struct consumer *c);

/* Commits offsets with their metadata: soon, or before it returns but within wait_ms. */
void consumer_commit(struct consumer *c, rd_kafka_topic_partition_list_t *offsets);
void consumer_commit_now(struct consumer *c, rd_kafka_topic_partition_list_t *offsets, int wait_ms);

/* Sets the metadata of an element of a list that is to be committed. */
void consumer_set_metadata(rd_kafka_topic_partition_t *element, struct slice text);

/* Leaves the group; on_revoked comes for all that is assigned, then the state is CONSUMER_CLOSED. A consumer that never
 * was a member is closed at once. */
void consumer_close(struct consumer *c);
/* After CONSUMER_CLOSED: frees. */
void consumer_release(struct consumer *c);

#endif

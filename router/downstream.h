/* The way from Kafka to Redis: records are decoded and appended as far as there is room, watermarks and commits follow,
 * and the consumer is held while Redis is away. */
#ifndef TIDEGATE_ROUTER_DOWNSTREAM_H
#define TIDEGATE_ROUTER_DOWNSTREAM_H

#include "router/assignment.h"
#include "router/commits.h"
#include "router/deadletter.h"
#include "router/decode.h"
#include "router/refill.h"

struct downstream {
    struct loop *loop;
    const struct router_config *conf;
    struct router_metrics *metrics;
    struct deadletters *deadletters; /* borrowed */
    struct decoder decoder;
    struct consumer consumer;
    struct publisher publisher;
    struct assignment assignment;
    struct commits commits;
    struct refill refill;
    uint64_t flowed_ms;   /* when there last was room */
    unsigned mark_bucket; /* where the round of watermarks stands */
    bool marks_due;       /* new places: all buckets must know them soon */
    bool round_spoiled;   /* something of the round was not sent, or was sent to a pipe that broke */
    struct redis_fn_watermark *watermarks;
    size_t watermark_cap;
    unsigned ticks;
    struct lookup *probe; /* asks whether Kafka is back, or NULL */
    struct timer mark_timer, check_timer, commit_timer, watch_timer;
    void *owner;
    /* Stopping: */
    bool stopping, last_marks, closing;
    void (*on_stopped)(struct downstream *d);
};

struct downstream_setup {
    struct loop *loop;
    const struct router_config *conf;
    struct router_metrics *metrics;
    const struct redis_site *redis;
    const struct decoder_conf *decoder;
    rd_kafka_conf_t *consumer, *reader; /* taken */
    const char *const *topics;          /* borrowed for its life */
    size_t topic_count;
    struct deadletters *deadletters;
};

/* Returns 0, or -1 with *why (owned). */
int downstream_start(struct downstream *d, const struct downstream_setup *setup, char **why);
/* Reads no more, waits for what is under way, writes watermarks, commits and leaves the group; then on_stopped. */
void downstream_stop(struct downstream *d, void (*on_stopped)(struct downstream *));
/* Commits what is appended, for an end that comes too early; waits at most wait_ms. */
void downstream_commit_now(struct downstream *d, int wait_ms);
/* After on_stopped. */
void downstream_release(struct downstream *d);

#endif

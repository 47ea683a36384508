/* A worker is a shard, exactly as another process would be: one thread with its own loop, listener, hub and Redis
 * links. It owns its connections by state and walks them: heartbeats, goodbyes that take too long, the dead. */
#ifndef TIDEGATE_GATEWAY_WORKER_H
#define TIDEGATE_GATEWAY_WORKER_H

#include "common/http_server.h"
#include "gateway/auth.h"
#include "gateway/bus.h"
#include "gateway/census.h"
#include "gateway/close.h"
#include "gateway/config.h"
#include "gateway/dialect.h"
#include "gateway/hub.h"
#include "gateway/metrics.h"

struct conn;
struct gateway;

/* Events of this turn whose delivery time is to be observed once they are written. */
#define DELIVERIES_MAX 256
struct delivery {
    uint64_t kafka_ms;
    size_t count;
};

struct worker {
    struct gateway *gateway;
    const struct gateway_config *cfg;
    unsigned index;
    pthread_t thread;
    struct loop loop;
    struct http_server http;
    struct auth auth;
    struct hub hub;
    struct bus bus;
    struct census census;
    struct gateway_metrics *metrics;

    /* connections by state; struct conn.by_due */
    struct list joining, beating, closing, dead;
    struct list dirty;                   /* struct conn.dirty */
    size_t connections, connections_max; /* joining and open */
    size_t live;                         /* all that are not freed */

    struct frame *heartbeats[DIALECT_ID_COUNT];
    struct delivery deliveries[DELIVERIES_MAX];
    size_t delivery_count;

    struct timer tick;
    struct turn_hook turn;
    struct post drain_post;
    bool draining;
    uint64_t drain_until_ms;
};

/* What the workers of a process share: constant after the start, but for limits and counts. */
struct gateway {
    const struct gateway_config *cfg;
    char id[17]; /* random, of this process */
    struct endpoint redis;
    struct limit addresses;
    struct metrics metrics;
    uint64_t started_ms; /* wall time */
    unsigned worker_count;
    struct worker *workers;
};

/* Listens and connects; 0, or -1 with *why owned. The worker's thread then calls worker_run. */
int worker_init(struct worker *w, struct gateway *g, unsigned index, char **why);
void worker_run(struct worker *w);
void worker_release(struct worker *w);
/* From any thread: stop listening, send the clients away over DRAIN_SECONDS, then worker_run returns. */
void worker_drain(struct worker *w);

bool worker_is_ready(const struct worker *w);

/* From connections. */
void worker_add(struct worker *w, struct conn *c);
void worker_beat_later(struct worker *w, struct conn *c);
void worker_closing(struct worker *w, struct conn *c);
void worker_dead(struct worker *w, struct conn *c);
void worker_left(struct worker *w, struct conn *c, enum close_reason why);
void worker_mark_dirty(struct worker *w, struct conn *c);
/* The dialect's own ping, encoded once. */
struct frame *worker_heartbeat_frame(struct worker *w, const struct dialect *d);
/* count connections were given an event of that Kafka time: observed after it is written. */
void worker_delivered(struct worker *w, uint64_t kafka_ms, size_t count);

#endif

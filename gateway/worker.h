/* A worker is a shard, exactly as another process would be: one thread with its own loop, listener, hub and Redis
 * links. It owns its connections by state and walks them: heartbeats, goodbyes that take too long, the dead. */
#ifndef TIDEGATE_GATEWAY_WORKER_H
#define TIDEGATE_GATEWAY_WORKER_H

#include "common/http_server.h"
#include "common/process.h"
#include "gateway/admission.h"
#include "gateway/auth.h"
#include "gateway/bus.h"
#include "gateway/census.h"
#include "gateway/conn.h"
#include "gateway/fanout.h"
#include "gateway/hub.h"
#include "gateway/mover.h"
#include "gateway/pace.h"
#include "gateway/replay.h"
#include "gateway/roster.h"

struct gateway;

struct worker {
    struct gateway *gateway;
    const struct gateway_config *cfg;
    struct gateway_metrics *metrics;
    struct loop loop;
    struct context ctx;
    struct http_server http;
    struct auth auth;
    struct admission admission;
    struct roster roster;
    struct hub hub;
    struct conn_home home;
    struct fanout fanout;
    struct census census;
    struct mover mover;
    struct cursors cursors;
    struct replays replays;
    struct bus bus;
    struct timer tick;
    struct turn_hook turn;
    struct post drain_post;
    bool draining, left;
    struct pace drain;
    atomic_bool ready; /* as it was after the last turn; any thread may look */
};

/* What the workers of a process share: constant after the start, but for limits and counts. */
struct gateway {
    const struct gateway_config *cfg;
    char id[17]; /* random, of this process */
    struct redis_site redis;
    struct limit addresses;
    struct limit_seats seats;
    struct admission_rate admission;
    struct metrics metrics;
    struct process process;
    unsigned worker_count;
    struct worker *workers;
};

/* Listens and connects; 0, or -1 with *why owned and nothing left. All three are called in the thread that is the
 * worker's. *Borrows* routes, whose handlers find the worker in http_server.conf.app. */
int worker_init(struct worker *w, struct gateway *g, unsigned index, const struct http_server_conf *http, char **why);
void worker_run(struct worker *w);
void worker_release(struct worker *w);
/* From any thread: stop listening, send the clients away one by one so that the last is gone when DRAIN_SECONDS are
 * over, then worker_run returns. */
void worker_drain(struct worker *w);

/* Whether all workers are ready: a client cannot choose the one that takes it. From any thread. */
bool gateway_is_ready(const struct gateway *g);

#endif

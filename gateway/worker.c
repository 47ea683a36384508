/* What happens after each turn: writes in slices, observations, the dead freed. And ten times a second: whose moment
 * has come. */
#include "gateway/worker.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>
#include <sys/resource.h>

#define TICK_MS          100
#define FLUSHES_PER_TURN 256  /* more at once would stall the loop: a write costs about 4 µs */
#define BEATS_PER_TICK   2048 /* the rest a tick later */
/* Descriptors kept for what is not a client: files of the process; listener, loop and links of each worker. */
#define DESCRIPTORS_RESERVED   64
#define DESCRIPTORS_PER_WORKER 16

/* ---- after each turn ---- */

static struct conn *conn_of_dirty(struct list *it)
{
    return conn_of(CONTAINER_OF(it, struct roster_place, dirty));
}

/* The next connections' memory comes into the cache while the kernel writes for this one. Each step needs a pointer
 * that the step before it fetched, when this was called for the connection before. */
static void fetch_next(struct list *dirty)
{
    struct list *first = dirty->next, *second = first->next;
    if (first == dirty || second == dirty)
        return;
    conn_fetch(conn_of_dirty(first));
    __builtin_prefetch(conn_of_dirty(second)->transport);
    __builtin_prefetch(second->next);
}

static void flush_slice(struct worker *w)
{
    struct roster_place *p;
    for (int n = 0; n < FLUSHES_PER_TURN && (p = roster_take_dirty(&w->roster)) != NULL; n++) {
        fetch_next(&w->roster.dirty);
        conn_flush(conn_of(p));
    }
}

static void reap(struct worker *w)
{
    struct roster_place *p;
    while ((p = roster_first_due(&w->roster.dead, UINT64_MAX)) != NULL) {
        list_remove(&p->by_due);
        conn_free(conn_of(p));
        w->roster.live--;
    }
}

static bool on_turn(struct turn_hook *hook)
{
    struct worker *w = CONTAINER_OF(hook, struct worker, turn);
    fanout_turn(&w->fanout);
    flush_slice(w);
    bool more = !list_empty(&w->roster.dirty);
    if (!more)
        fanout_written(&w->fanout);
    reap(w);
    atomic_store_explicit(&w->ready, !w->draining && bus_is_up(&w->bus) && bus_is_trusted(&w->bus),
                          memory_order_relaxed);
    return more;
}

/* ---- ten times a second ---- */

static void close_expired(struct worker *w)
{
    uint64_t now_s = clock_wall_ms() / 1000;
    LIST_EACH_SAFE (it, &w->roster.expiring) {
        struct conn *c = conn_of(CONTAINER_OF(it, struct roster_place, watched));
        if (now_s >= c->expires_s)
            conn_close(c, CLOSE_EXPIRED);
    }
}

static void walk_due(struct worker *w)
{
    uint64_t now = w->loop.now_ms;
    struct roster_place *p;
    while ((p = roster_first_due(&w->roster.joining, now)) != NULL)
        conn_close(conn_of(p), CLOSE_BACKEND);
    while ((p = roster_first_due(&w->roster.resuming, now)) != NULL)
        conn_close(conn_of(p), CLOSE_BACKEND);
    for (int n = 0; n < BEATS_PER_TICK && (p = roster_first_due(&w->roster.beating, now)) != NULL; n++)
        conn_beat(conn_of(p));
    for (int n = 0; n < BEATS_PER_TICK && (p = roster_first_to_watch(&w->roster, now)) != NULL; n++)
        conn_watch(conn_of(p));
    while ((p = roster_first_due(&w->roster.closing, now)) != NULL)
        conn_abort(conn_of(p));
}

/* In no order that a client could tell; those that are not welcomed yet go last. */
static struct conn *next_to_leave(struct worker *w)
{
    struct list *lists[] = {&w->roster.beating, &w->roster.resuming, &w->roster.joining};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct roster_place *p = roster_first_due(lists[i], UINT64_MAX);
        if (p != NULL)
            return conn_of(p);
    }
    BUG("a connection that is in no list");
}

static void drain_some(struct worker *w)
{
    for (size_t n = pace_due(&w->drain, w->loop.now_ms, w->roster.connections); n > 0; n--)
        conn_close(next_to_leave(w), CLOSE_DRAIN);
    if (w->roster.live > 0)
        return;
    if (!w->left) {
        cursors_flush(&w->cursors);
        census_leave(&w->census); /* written after this turn; the next tick ends the loop */
        w->left = true;
    } else {
        loop_stop(&w->loop);
    }
}

static void measure(struct worker *w)
{
    gauge_set(&w->metrics->frames, (int64_t)frame_live());
    gauge_set(&w->metrics->targets, (int64_t)w->hub.targets.count);
    gauge_set(&w->metrics->sockets, (int64_t)w->http.conns.sockets);
    gauge_set(&w->metrics->workers_unready, !atomic_load_explicit(&w->ready, memory_order_relaxed));
    bus_measure(&w->bus);
}

static void tell_state(struct worker *w)
{
    enum census_state running = gateway_is_ready(w->gateway) ? CENSUS_READY : CENSUS_UNREADY;
    census_say(&w->census, w->draining ? CENSUS_DRAINING : running);
}

static void on_tick(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, tick);
    timer_start(&w->loop, t, TICK_MS);
    walk_due(w);
    replays_tick(&w->replays);
    close_expired(w);
    tell_state(w);
    if (w->draining)
        drain_some(w);
    else
        mover_tick(&w->mover);
    census_tell_fewer(&w->census);
    measure(w);
}

/* ---- start and stop ---- */

bool gateway_is_ready(const struct gateway *g)
{
    for (unsigned i = 0; i < g->worker_count; i++)
        if (!atomic_load_explicit(&g->workers[i].ready, memory_order_relaxed))
            return false;
    return true;
}

static void on_drain(struct post *p)
{
    struct worker *w = CONTAINER_OF(p, struct worker, drain_post);
    if (w->draining)
        return;
    uint64_t window = w->cfg->drain_seconds;
    w->draining = true;
    gauge_set(&w->metrics->draining, 1);
    /* the last one is told in time for its goodbye */
    pace_start(&w->drain, w->loop.now_ms, window - MIN(CLOSE_GRACE_MS, window / 10));
    http_server_stop_listening(&w->http);
    admission_dismiss(&w->admission);
}

void worker_drain(struct worker *w)
{
    loop_post(&w->loop, &w->drain_post, on_drain);
}

static void on_occupied(void *arg, struct target *t, bool fresh)
{
    bus_want(&((struct worker *)arg)->bus, t, fresh);
}

static void on_vacant(void *arg, struct target *t)
{
    bus_linger(&((struct worker *)arg)->bus, t);
}

static struct redis_commands *redis_of(void *arg, unsigned bucket)
{
    return &bus_node_of(&((struct worker *)arg)->bus, bucket)->commands;
}

static void on_totals(void *arg)
{
    mover_on_totals(&((struct worker *)arg)->mover);
}

static void on_count(void *arg, struct target *t)
{
    census_changed(&((struct worker *)arg)->census, t);
}

static void on_doubt(void *arg, struct target *t)
{
    census_doubt(&((struct worker *)arg)->census, t);
}

/* This worker's share of the descriptors that the process may hold. */
static size_t socket_share(const struct worker *w)
{
    struct rlimit limit;
    rlim_t reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * (rlim_t)w->gateway->worker_count;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= 2 * reserved)
        return DESCRIPTORS_RESERVED;
    return (limit.rlim_cur - reserved) / w->gateway->worker_count;
}

static int start_http(struct worker *w, const struct http_server_conf *given, char **why)
{
    struct http_server_conf conf = *given;
    conf.app = w;
    conf.host = w->cfg->host;
    conf.port = (uint16_t)w->cfg->port;
    conf.reuse_port = true;
    conf.limits = (struct http_limits){.head_max = w->cfg->head_max_bytes,
                                       .head_timeout_ms = w->cfg->head_timeout,
                                       .answer_timeout_ms = w->cfg->answer_timeout,
                                       .sockets_max = socket_share(w)};
    conf.body_max = w->cfg->body_max_bytes;
    return http_server_start(&w->http, &w->loop, &conf, why);
}

int worker_init(struct worker *w, struct gateway *g, unsigned index, const struct http_server_conf *http, char **why)
{
    char id[32];
    snprintf(id, sizeof(id), "%s.%u", g->id, index);
    *w = (struct worker){.gateway = g, .cfg = g->cfg, .metrics = metrics_instance(&g->metrics)};
    if (auth_init(&w->auth, g->cfg) != 0) {
        *why = xstrdup("the token library refuses the secret of JWT_SECRET_KEY");
        return -1;
    }
    loop_init(&w->loop);
    w->ctx = (struct context){
        .loop = &w->loop, .cfg = g->cfg, .metrics = w->metrics, .addresses = &g->addresses, .seats = &g->seats};
    roster_init(&w->roster);
    hub_init(
        &w->hub, &w->ctx,
        &(struct hub_watcher){
            .arg = w, .on_occupied = on_occupied, .on_vacant = on_vacant, .on_count = on_count, .on_doubt = on_doubt});
    w->home = (struct conn_home){.ctx = &w->ctx,
                                 .hub = &w->hub,
                                 .roster = &w->roster,
                                 .cursors = &w->cursors,
                                 .rescuer = replays_rescuer(&w->replays),
                                 .retry = (uint32_t)hash_random()};
    fanout_init(&w->fanout, &w->ctx);
    loop_add_hook(&w->loop, &w->turn, on_turn);
    replays_init(&w->replays, &w->ctx, &w->bus, &w->cursors, g->cfg->replay_memory / g->worker_count);
    bus_init(&w->bus, &w->ctx, &w->hub, &w->fanout, &w->census, &g->redis);
    admission_init(&w->admission, &w->ctx, &g->admission);
    census_init(&w->census, &w->ctx, &w->hub, &w->roster, id,
                &(struct census_worker){.arg = w, .redis_of = redis_of, .on_totals = on_totals});
    mover_init(&w->mover, &w->ctx, &w->roster, &w->census);
    cursors_init(&w->cursors, &w->ctx, redis_of, w, conn_ping);
    timer_init(&w->tick, on_tick);
    timer_start(&w->loop, &w->tick, TICK_MS);
    if (start_http(w, http, why) == 0)
        return 0;
    worker_release(w);
    return -1;
}

void worker_run(struct worker *w)
{
    loop_run(&w->loop);
}

/* The bus first: what waits for its answers is answered then, before HTTP ends. */
void worker_release(struct worker *w)
{
    timer_stop(&w->tick);
    bus_release(&w->bus);
    census_release(&w->census);
    replays_release(&w->replays);
    admission_dismiss(&w->admission);
    http_server_release(&w->http);
    admission_release(&w->admission);
    reap(w);
    cursors_release(&w->cursors);
    conn_home_release(&w->home);
    fanout_release(&w->fanout);
    hub_release(&w->hub);
    loop_release(&w->loop);
    auth_release(&w->auth);
    measure(w);
}

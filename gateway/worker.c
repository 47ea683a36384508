/* What happens after each turn: writes in slices, observations, the dead freed. And ten times a second: whose moment
 * has come. */
#include "gateway/worker.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/api.h"
#include "gateway/conn.h"

#include <stdlib.h>

#define TICK_MS          100
#define FLUSHES_PER_TURN 256  /* more at once would stall the loop: a write costs about 4 µs */
#define BEATS_PER_TICK   2048 /* the rest a tick later */
#define JOIN_DEADLINE_MS 5000

static struct conn *by_due(struct list *node)
{
    return CONTAINER_OF(node, struct conn, by_due);
}

/* ---- lists ---- */

static void move_to(struct list *list, struct conn *c, uint64_t due_ms)
{
    list_remove(&c->by_due);
    list_push_back(list, &c->by_due);
    c->due_ms = due_ms;
}

void worker_add(struct worker *w, struct conn *c)
{
    w->connections++;
    w->live++;
    counter_add(&w->metrics->connects, 1);
    gauge_add(&w->metrics->connections, 1);
    move_to(&w->joining, c, w->loop.now_ms + JOIN_DEADLINE_MS);
}

void worker_beat_later(struct worker *w, struct conn *c)
{
    uint64_t interval = w->cfg->heartbeat_interval != 0 ? w->cfg->heartbeat_interval : w->cfg->connection_timeout / 2;
    move_to(&w->beating, c, w->loop.now_ms + interval);
}

void worker_closing(struct worker *w, struct conn *c)
{
    move_to(&w->closing, c, w->loop.now_ms + CLOSE_GRACE_MS);
}

void worker_dead(struct worker *w, struct conn *c)
{
    move_to(&w->dead, c, 0);
    list_remove(&c->dirty);
}

void worker_left(struct worker *w, struct conn *c, enum close_reason why)
{
    w->connections--;
    gauge_add(&w->metrics->connections, -1);
    counter_add(&w->metrics->disconnections, 1);
    counter_add(&w->metrics->closed[why], 1);
}

void worker_mark_dirty(struct worker *w, struct conn *c)
{
    if (c->state != CONN_DEAD && list_empty(&c->dirty))
        list_push_back(&w->dirty, &c->dirty);
}

struct frame *worker_heartbeat_frame(struct worker *w, const struct dialect *d)
{
    if (w->heartbeats[d->id] == NULL)
        w->heartbeats[d->id] = d->encode_reply(&(struct reply){.kind = REPLY_PING});
    return w->heartbeats[d->id];
}

/* ---- after each turn ---- */

void worker_delivered(struct worker *w, uint64_t kafka_ms, size_t count)
{
    if (count == 0)
        return;
    counter_add(&w->metrics->messages_sent, count);
    if (w->delivery_count < DELIVERIES_MAX)
        w->deliveries[w->delivery_count++] = (struct delivery){kafka_ms, count};
}

/* Kafka's clock is another machine's: an event from the future counts as no delay. */
static void observe_deliveries(struct worker *w)
{
    if (w->delivery_count == 0)
        return;
    uint64_t now = clock_wall_ms();
    for (size_t i = 0; i < w->delivery_count; i++) {
        const struct delivery *d = &w->deliveries[i];
        uint64_t delay_ms = d->kafka_ms < now ? now - d->kafka_ms : 0;
        histogram_observe_many(&w->metrics->delivery_seconds, delay_ms * 1000, d->count);
    }
    w->delivery_count = 0;
}

static void flush_slice(struct worker *w)
{
    for (int n = 0; n < FLUSHES_PER_TURN && !list_empty(&w->dirty); n++) {
        struct conn *c = CONTAINER_OF(w->dirty.next, struct conn, dirty);
        list_remove(&c->dirty);
        conn_flush(c);
    }
}

static void reap(struct worker *w)
{
    while (!list_empty(&w->dead)) {
        struct conn *c = by_due(w->dead.next);
        list_remove(&c->by_due);
        conn_free(c);
        w->live--;
    }
}

static bool on_turn(struct turn_hook *hook)
{
    struct worker *w = CONTAINER_OF(hook, struct worker, turn);
    flush_slice(w);
    if (list_empty(&w->dirty))
        observe_deliveries(w);
    reap(w);
    return !list_empty(&w->dirty);
}

/* ---- ten times a second ---- */

static bool is_due(struct list *list, uint64_t now)
{
    return !list_empty(list) && by_due(list->next)->due_ms <= now;
}

static void walk_due(struct worker *w)
{
    uint64_t now = w->loop.now_ms;
    while (is_due(&w->joining, now))
        conn_close(by_due(w->joining.next), CLOSE_BACKEND);
    for (int n = 0; n < BEATS_PER_TICK && is_due(&w->beating, now); n++)
        conn_beat(by_due(w->beating.next));
    while (is_due(&w->closing, now)) {
        struct conn *c = by_due(w->closing.next);
        c->transport->ops->abort(c->transport);
        conn_gone(c, (enum close_reason)c->reason);
    }
}

/* An even share of what is left each tick; everybody in the last one. */
static void drain_some(struct worker *w)
{
    uint64_t now = w->loop.now_ms;
    uint64_t ticks = now < w->drain_until_ms ? (w->drain_until_ms - now) / TICK_MS + 1 : 1;
    for (size_t n = (w->connections + ticks - 1) / ticks; n > 0; n--) {
        struct list *from = !list_empty(&w->beating) ? &w->beating : &w->joining;
        conn_close(by_due(from->next), CLOSE_DRAIN);
    }
    if (w->live == 0 && w->connections == 0)
        loop_stop(&w->loop);
}

static void on_tick(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, tick);
    timer_start(&w->loop, t, TICK_MS);
    walk_due(w);
    if (w->draining)
        drain_some(w);
    gauge_set(&w->metrics->frames, (int64_t)frame_live());
    gauge_set(&w->metrics->targets, (int64_t)w->hub.targets.count);
    gauge_set(&w->metrics->sockets, (int64_t)w->http.sockets);
    gauge_set(&w->metrics->redis_links,
              redis_subscriber_is_up(&w->bus.events) + redis_commands_is_up(&w->bus.commands));
}

/* ---- start and stop ---- */

bool worker_is_ready(const struct worker *w)
{
    return !w->draining && bus_is_up(&w->bus);
}

static void on_drain(struct post *p)
{
    struct worker *w = CONTAINER_OF(p, struct worker, drain_post);
    if (w->draining)
        return;
    w->draining = true;
    w->drain_until_ms = w->loop.now_ms + w->cfg->drain_seconds;
    http_server_stop_listening(&w->http);
}

void worker_drain(struct worker *w)
{
    loop_post(&w->loop, &w->drain_post, on_drain);
}

int worker_init(struct worker *w, struct gateway *g, unsigned index, char **why)
{
    *w = (struct worker){.gateway = g, .cfg = g->cfg, .index = index};
    struct list *lists[] = {&w->joining, &w->beating, &w->closing, &w->dead, &w->dirty};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
    w->metrics = metrics_instance(&g->metrics);
    loop_init(&w->loop);
    if (auth_init(&w->auth, g->cfg) != 0) {
        *why = xstrdup("the token library refuses the secret of JWT_SECRET_KEY");
        return -1;
    }
    hub_init(&w->hub, w);
    loop_add_hook(&w->loop, &w->turn, on_turn);
    bus_init(&w->bus, w, &g->redis);
    census_init(&w->census, w);
    timer_init(&w->tick, on_tick);
    timer_start(&w->loop, &w->tick, TICK_MS);
    return api_start(w, why);
}

void worker_run(struct worker *w)
{
    loop_run(&w->loop);
}

void worker_release(struct worker *w)
{
    reap(w);
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        frame_unref(w->heartbeats[i]);
    http_server_release(&w->http);
    timer_stop(&w->tick);
    bus_release(&w->bus);
    census_release(&w->census);
    hub_release(&w->hub);
    auth_release(&w->auth);
    if (frame_live() != 0 || w->live != 0)
        log_error("objects_left", LOG_I("frames", frame_live()), LOG_I("connections", w->live));
    loop_release(&w->loop);
}

/* Subscribing in batches, once a turn; reading a target's meta when its channel is confirmed; and passing what arrives
 * to the hub, without what was seen before. */
#include "gateway/bus.h"
#include "common/log.h"
#include "common/redis_fn.h"
#include "common/target.h"
#include "gateway/conn.h"

#include <stdlib.h>

#define TOLD_LINGER_MS 1000

static struct target *target_of(struct list *queued)
{
    return CONTAINER_OF(queued, struct target, queued);
}

struct bus_node *bus_node_of(struct bus *b, unsigned bucket)
{
    (void)bucket; /* a single node has them all */
    return &b->nodes[0];
}

static struct bus_node *node_of(struct bus *b, const struct target *t)
{
    return bus_node_of(b, t->bucket);
}

static bool node_is_up(const struct bus_node *n)
{
    return redis_subscriber_is_up(&n->events) && redis_commands_is_up(&n->commands);
}

bool bus_is_up(const struct bus *b)
{
    for (size_t i = 0; i < b->node_count; i++)
        if (!node_is_up(&b->nodes[i]))
            return false;
    return true;
}

bool bus_is_away(const struct bus *b)
{
    return !bus_is_up(b) && b->ctx->loop->now_ms - b->down_ms >= BUS_PATIENCE_MS;
}

int bus_links_up(const struct bus *b)
{
    int up = 0;
    for (size_t i = 0; i < b->node_count; i++)
        up += redis_subscriber_is_up(&b->nodes[i].events) + redis_commands_is_up(&b->nodes[i].commands);
    return up;
}

/* ---- wanting and letting go ---- */

static void queue_wanted(struct bus *b, struct target *t)
{
    t->state = TARGET_WANTED;
    list_remove(&t->queued);
    list_push_back(&node_of(b, t)->wanted, &t->queued);
}

void bus_want(struct bus *b, struct target *t, bool fresh)
{
    if (fresh || t->state == TARGET_WANTED)
        queue_wanted(b, t);
    else
        list_remove(&t->queued); /* it was lingering */
}

static void linger(struct bus *b, struct target *t, uint64_t ms)
{
    list_remove(&t->queued);
    list_push_back(&b->lingering, &t->queued);
    t->linger_ms = b->ctx->loop->now_ms + ms;
    if (!timer_is_armed(&b->linger_timer))
        timer_start(b->ctx->loop, &b->linger_timer, ms);
}

void bus_linger(struct bus *b, struct target *t)
{
    linger(b, t, b->ctx->cfg->channel_linger);
}

/* Channels of one command, gathered. */
struct batch {
    char names[64][TARGET_NAME_SIZE];
    struct slice channels[64];
    size_t n;
};

static void batch_add(struct batch *batch, const struct target *t)
{
    batch->channels[batch->n] = target_name(TARGET_CHANNEL, t->bucket, hub_name(t), batch->names[batch->n]);
    batch->n++;
}

static void let_go_due(struct bus *b, struct bus_node *node, struct batch *batch)
{
    batch->n = 0;
    LIST_EACH_SAFE (it, &b->lingering) {
        struct target *t = target_of(it);
        if (t->linger_ms > b->ctx->loop->now_ms || batch->n == ARRAY_LEN(batch->channels))
            break;
        if (node_of(b, t) != node)
            continue;
        if (t->told != 0) { /* Redis still counts its connections: forgotten now, they would be counted for ever */
            linger(b, t, MAX(b->ctx->cfg->channel_linger, TOLD_LINGER_MS));
            continue;
        }
        if (t->state != TARGET_WANTED)
            batch_add(batch, t);
        hub_forget(b->hub, t);
    }
}

static void on_linger(struct timer *timer)
{
    struct bus *b = CONTAINER_OF(timer, struct bus, linger_timer);
    struct batch batch;
    for (size_t i = 0; i < b->node_count; i++)
        do {
            let_go_due(b, &b->nodes[i], &batch);
            if (batch.n > 0)
                redis_subscriber_unsubscribe(&b->nodes[i].events, batch.channels, batch.n);
        } while (batch.n == ARRAY_LEN(batch.channels));
    uint64_t now = b->ctx->loop->now_ms;
    if (!list_empty(&b->lingering))
        timer_start(b->ctx->loop, timer, target_of(b->lingering.next)->linger_ms - now);
}

static void subscribe_on(struct bus_node *n)
{
    struct batch batch;
    while (!list_empty(&n->wanted)) {
        batch.n = 0;
        while (batch.n < ARRAY_LEN(batch.channels) && !list_empty(&n->wanted)) {
            struct target *t = target_of(n->wanted.next);
            list_remove(&t->queued);
            t->state = TARGET_ASKED;
            batch_add(&batch, t);
        }
        redis_subscriber_subscribe(&n->events, batch.channels, batch.n);
    }
}

static bool subscribe_wanted(struct turn_hook *hook)
{
    struct bus *b = CONTAINER_OF(hook, struct bus, subscribe);
    for (size_t i = 0; i < b->node_count; i++)
        if (node_is_up(&b->nodes[i]))
            subscribe_on(&b->nodes[i]);
    return false;
}

/* ---- reading a target's meta ---- */

struct meta_read {
    struct bus *bus;
    size_t name_n;
    char name[]; /* not a pointer: the target may be let go meanwhile */
};

static void go_live(struct target *t)
{
    t->state = TARGET_LIVE;
    conn_ready_all(t);
}

static void learn(struct bus *b, struct target *t, struct slice meta)
{
    struct redis_fn_meta m;
    struct coordinate seen;
    if (redis_fn_meta_parse(meta, &m) != 0) {
        log_error("meta_malformed", LOG_SL("target", hub_name(t)));
        return;
    }
    if (t->last_id != 0 && m.id > t->last_id)
        counter_add(&b->ctx->metrics->gaps, 1);
    t->last_id = MAX(t->last_id, m.id);
    /* the newest comes first, and the hub keeps the last that it was told */
    for (int n = 0; n < SEEN_MAX && redis_fn_meta_next(&m, &seen) == 1; n++)
        hub_saw(t, seen.part, seen.offset, seen.n);
}

static void on_meta(void *arg, const redisReply *reply)
{
    struct meta_read *read = arg;
    struct bus *b = read->bus;
    struct target *t = hub_find(b->hub, slice_make(read->name, read->name_n));
    free(read);
    if (reply == NULL || t == NULL || t->state != TARGET_SUBSCRIBED)
        return; /* the link broke: all is read anew when it is back */
    if (reply->type == REDIS_REPLY_ERROR)
        log_error("meta_refused", LOG_SL("target", hub_name(t)), LOG_S("reply", reply->str));
    /* another kind of key under that name is this target's trouble; anything else is the server's */
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", strlen("WRONGTYPE")) != 0) {
        redis_link_drop(&node_of(b, t)->commands.link, "a meta could not be read");
        return;
    }
    if (reply->type == REDIS_REPLY_STRING)
        learn(b, t, slice_make(reply->str, reply->len));
    go_live(t);
}

static void read_meta(struct bus *b, struct target *t)
{
    char name[TARGET_NAME_SIZE];
    struct meta_read *read = xmalloc(sizeof(*read) + t->name_n);
    read->bus = b;
    read->name_n = t->name_n;
    memcpy(read->name, t->name, t->name_n);
    struct slice argv[] = {SLICE("GET"), target_name(TARGET_META, t->bucket, hub_name(t), name)};
    census_ask(b->census, t); /* answered first: known when the target goes live */
    if (redis_commands_send(&node_of(b, t)->commands, argv, 2, on_meta, read) != 0)
        free(read);
}

/* ---- what arrives ---- */

static void on_event(struct bus *b, struct target *t, struct slice bytes)
{
    struct gateway_metrics *metrics = b->ctx->metrics;
    struct envelope e;
    const char *why;
    if (envelope_decode(bytes, &e, &why) != 0) {
        log_error("envelope_malformed", LOG_SL("target", hub_name(t)), LOG_S("reason", why));
        counter_add(&metrics->events_undecodable, 1);
        return;
    }
    counter_add(&metrics->events, 1);
    if (e.id != 0) {
        struct coordinate at;
        bool repeat = e.id <= t->last_id;
        if (envelope_coordinate(&e, &at) == 0 && !hub_saw(t, at.part, at.offset, at.n))
            repeat = true;
        if (t->state == TARGET_LIVE && e.id > t->last_id && e.prev != t->last_id)
            counter_add(&metrics->gaps, 1);
        t->last_id = MAX(t->last_id, e.id);
        if (repeat) {
            counter_add(&metrics->repeats, 1);
            return;
        }
    }
    fanout_deliver(b->fanout, t, &e, e.id);
}

static void on_push(struct redis_subscriber *rs, const struct resp_push *push)
{
    struct bus *b = ((struct bus_node *)rs->owner)->bus;
    struct slice name;
    if (target_of_channel(push->channel, &name) != 0)
        return;
    struct target *t = hub_find(b->hub, name);
    if (t == NULL)
        return; /* let go a moment ago */
    switch (push->kind) {
    case RESP_PUSH_MESSAGE:
        on_event(b, t, push->payload);
        break;
    case RESP_PUSH_SUBSCRIBED:
        if (t->state == TARGET_ASKED) {
            t->state = TARGET_SUBSCRIBED;
            read_meta(b, t);
        }
        break;
    default:
        break;
    }
}

/* ---- links up and down ---- */

/* Nothing is subscribed any more, or what was subscribed cannot be believed: begin anew with all that have members. */
static void want_all(struct bus_node *n)
{
    MAP_EACH (node, &n->bus->hub->targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        if (node_of(n->bus, t) != n)
            continue;
        if (t->member_count > 0)
            queue_wanted(n->bus, t);
        else
            t->state = TARGET_WANTED;
    }
}

static void on_events_up(struct redis_subscriber *rs)
{
    want_all(rs->owner);
}

/* One link is down already when the other follows: the outage began with the first. */
static void note_down(struct bus_node *n)
{
    if (redis_subscriber_is_up(&n->events) || redis_commands_is_up(&n->commands))
        n->bus->down_ms = n->bus->ctx->loop->now_ms;
}

static void on_events_down(struct redis_subscriber *rs, const char *reason)
{
    note_down(rs->owner);
    want_all(rs->owner);
}

static void on_commands_down(struct redis_commands *rc, const char *reason)
{
    note_down(rc->owner);
}

/* Metas that were asked for on the link that broke are asked for again. */
static void on_commands_up(struct redis_commands *rc)
{
    struct bus_node *n = rc->owner;
    census_on_up(n->bus->census);
    MAP_EACH (node, &n->bus->hub->targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        if (node_of(n->bus, t) == n && t->state == TARGET_SUBSCRIBED)
            read_meta(n->bus, t);
    }
}

static void node_init(struct bus_node *n, struct bus *b, const struct endpoint *endpoint)
{
    n->bus = b;
    list_init(&n->wanted);
    n->events =
        (struct redis_subscriber){.owner = n, .on_up = on_events_up, .on_down = on_events_down, .on_push = on_push};
    redis_subscriber_init(&n->events, b->ctx->loop, endpoint);
    redis_commands_init(&n->commands, b->ctx->loop, endpoint, n, on_commands_up, on_commands_down);
}

void bus_init(struct bus *b, struct context *ctx, struct hub *hub, struct fanout *fanout, struct census *census,
              const struct endpoint *endpoint)
{
    *b = (struct bus){
        .ctx = ctx, .hub = hub, .fanout = fanout, .census = census, .node_count = 1, .down_ms = ctx->loop->now_ms};
    list_init(&b->lingering);
    timer_init(&b->linger_timer, on_linger);
    loop_add_hook(ctx->loop, &b->subscribe, subscribe_wanted); /* before the links' own hooks, which write */
    node_init(&b->nodes[0], b, endpoint);
}

void bus_release(struct bus *b)
{
    timer_stop(&b->linger_timer);
    list_remove(&b->subscribe.link);
    for (size_t i = 0; i < b->node_count; i++) {
        redis_subscriber_release(&b->nodes[i].events);
        redis_commands_release(&b->nodes[i].commands);
    }
}

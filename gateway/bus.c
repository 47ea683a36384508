/* Subscribing in batches, once a turn; letting go of what nobody listens to any more; and beginning anew when a link
 * broke. */
#include "gateway/bus.h"
#include "common/target.h"

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
    channel_left(&node_of(b, t)->channels, t);
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

/* ---- what arrives ---- */

static void on_push(struct redis_subscriber *rs, const struct resp_push *push)
{
    struct bus_node *n = rs->owner;
    struct slice name;
    if (target_of_channel(push->channel, &name) != 0)
        return;
    struct target *t = hub_find(n->bus->hub, name);
    if (t == NULL)
        return; /* let go a moment ago */
    switch (push->kind) {
    case RESP_PUSH_MESSAGE:
        channel_on_message(&n->channels, t, push->payload);
        break;
    case RESP_PUSH_SUBSCRIBED:
        if (t->state == TARGET_ASKED)
            channel_on_subscribed(&n->channels, t);
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
        channel_lost(&n->channels, t);
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

static void on_commands_up(struct redis_commands *rc)
{
    struct bus_node *n = rc->owner;
    census_on_up(n->channels.census);
    MAP_EACH (node, &n->bus->hub->targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        if (node_of(n->bus, t) == n)
            channel_ask_again(&n->channels, t);
    }
}

static void node_init(struct bus_node *n, struct bus *b, struct fanout *fanout, struct census *census,
                      const struct endpoint *endpoint)
{
    n->bus = b;
    channels_init(&n->channels, b->ctx, b->hub, fanout, census, &n->commands, &b->positions);
    list_init(&n->wanted);
    n->events =
        (struct redis_subscriber){.owner = n, .on_up = on_events_up, .on_down = on_events_down, .on_push = on_push};
    redis_subscriber_init(&n->events, b->ctx->loop, endpoint);
    redis_commands_init(&n->commands, b->ctx->loop, endpoint, n, on_commands_up, on_commands_down);
}

void bus_init(struct bus *b, struct context *ctx, struct hub *hub, struct fanout *fanout, struct census *census,
              const struct endpoint *endpoint)
{
    *b = (struct bus){.ctx = ctx, .hub = hub, .node_count = 1, .down_ms = ctx->loop->now_ms};
    list_init(&b->lingering);
    list_init(&b->positions.nodes);
    timer_init(&b->linger_timer, on_linger);
    loop_add_hook(ctx->loop, &b->subscribe, subscribe_wanted); /* before the links' own hooks, which write */
    node_init(&b->nodes[0], b, fanout, census, endpoint);
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

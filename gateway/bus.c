/* Subscribing in batches, once a turn; letting go of what nobody listens to any more; and beginning anew when a link
 * broke or a bucket went to another node. */
#include "gateway/bus.h"
#include "common/target.h"

#include <stdlib.h>

#define TOLD_LINGER_MS 1000
#define REFUSED_MS     50

static struct target *target_of(struct list *queued)
{
    return CONTAINER_OF(queued, struct target, queued);
}

struct bus_node *bus_node_of(struct bus *b, unsigned bucket)
{
    return b->nodes[b->home[bucket]];
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
        if (b->nodes[i]->buckets > 0 && !node_is_up(b->nodes[i]))
            return false;
    return b->topology.known;
}

bool bus_is_away(const struct bus *b)
{
    return !bus_is_up(b) && b->ctx->loop->now_ms - b->down_ms >= BUS_PATIENCE_MS;
}

int bus_links_up(const struct bus *b)
{
    int up = 0;
    for (size_t i = 0; i < b->node_count; i++)
        up += redis_subscriber_is_up(&b->nodes[i]->events) + redis_commands_is_up(&b->nodes[i]->commands);
    return up;
}

/* ---- wanting and letting go ---- */

static void queue_wanted(struct bus *b, struct target *t)
{
    t->state = TARGET_WANTED;
    list_remove(&t->queued);
    list_push_back(&node_of(b, t)->wanted, &t->queued);
}

/* Those without members linger, and are subscribed again by the next one. */
static void want_again(struct bus *b, struct target *t)
{
    if (t->member_count > 0)
        queue_wanted(b, t);
    else
        t->state = TARGET_WANTED;
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
            let_go_due(b, b->nodes[i], &batch);
            if (batch.n > 0)
                redis_subscriber_unsubscribe(&b->nodes[i]->events, batch.channels, batch.n);
        } while (batch.n == ARRAY_LEN(batch.channels));
    uint64_t now = b->ctx->loop->now_ms;
    if (!list_empty(&b->lingering))
        timer_start(b->ctx->loop, timer, target_of(b->lingering.next)->linger_ms - now);
}

/* A cluster takes channels of one slot only in a command: they are ordered by bucket first. */
static void order_wanted(struct bus_node *n)
{
    struct list *by_bucket = n->bus->by_bucket;
    while (!list_empty(&n->wanted)) {
        struct list *queued = n->wanted.next;
        struct list *same = &by_bucket[target_of(queued)->bucket];
        list_remove(queued);
        list_push_back(same, queued);
    }
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        while (!list_empty(&by_bucket[bucket])) {
            struct list *queued = by_bucket[bucket].next;
            list_remove(queued);
            list_push_back(&n->wanted, queued);
        }
}

static bool fits(const struct bus *b, const struct batch *batch, unsigned bucket, const struct target *t)
{
    if (batch->n == ARRAY_LEN(batch->channels))
        return false;
    return batch->n == 0 || b->topology.site->kind != REDIS_CLUSTER || t->bucket == bucket;
}

static void subscribe_on(struct bus_node *n)
{
    struct batch batch;
    if (n->bus->topology.site->kind == REDIS_CLUSTER)
        order_wanted(n);
    while (!list_empty(&n->wanted)) {
        unsigned bucket = target_of(n->wanted.next)->bucket;
        batch.n = 0;
        while (!list_empty(&n->wanted) && fits(n->bus, &batch, bucket, target_of(n->wanted.next))) {
            struct target *t = target_of(n->wanted.next);
            list_remove(&t->queued);
            t->state = TARGET_ASKED;
            batch_add(&batch, t);
        }
        redis_subscriber_subscribe(&n->events, batch.channels, batch.n);
    }
}

/* The turn is all that is wanted. */
static void on_retry(struct timer *timer)
{
}

static bool subscribe_wanted(struct turn_hook *hook)
{
    struct bus *b = CONTAINER_OF(hook, struct bus, subscribe);
    for (size_t i = 0; i < b->node_count; i++) {
        struct bus_node *n = b->nodes[i];
        if (!list_empty(&n->wanted) && node_is_up(n) && b->ctx->loop->now_ms >= n->patience_ms)
            subscribe_on(n);
    }
    if (!bus_is_up(b))
        redis_topology_doubt(&b->topology);
    return false;
}

/* ---- what arrives ---- */

/* Not asked for by us: the slot goes to another node, and the channel with it. */
static void on_unsubscribed(struct bus_node *n, struct target *t)
{
    if (t->state < TARGET_SUBSCRIBED || node_of(n->bus, t) != n)
        return;
    channel_lost(&n->channels, t);
    want_again(n->bus, t);
    redis_topology_doubt(&n->bus->topology);
}

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
        if (t->state == TARGET_ASKED && node_of(n->bus, t) == n)
            channel_on_subscribed(&n->channels, t);
        break;
    case RESP_PUSH_UNSUBSCRIBED:
        on_unsubscribed(n, t);
        break;
    default:
        break;
    }
}

/* A cluster's node that does not have a slot any more, or not yet, or that cannot answer now: those that were asked for
 * there are asked for again, wherever they are by then. */
static bool on_refused(struct redis_subscriber *rs, struct slice error)
{
    static const struct slice passing[] = {{"MOVED ", 6}, {"ASK ", 4}, {"CLUSTERDOWN ", 12}, {"TRYAGAIN ", 9}};
    struct bus_node *n = rs->owner;
    struct bus *b = n->bus;
    size_t i = 0;
    while (i < ARRAY_LEN(passing) && !slice_starts(error, passing[i]))
        i++;
    if (i == ARRAY_LEN(passing))
        return false;
    MAP_EACH (node, &b->hub->targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        if (t->state == TARGET_ASKED && node_of(b, t) == n)
            want_again(b, t);
    }
    n->patience_ms = b->ctx->loop->now_ms + REFUSED_MS;
    timer_start(b->ctx->loop, &b->retry, REFUSED_MS);
    redis_topology_refused(&b->topology, error);
    return true;
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
        want_again(n->bus, t);
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
    struct bus_node *n = rs->owner;
    note_down(n);
    want_all(n);
    redis_topology_doubt(&n->bus->topology);
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

/* ---- nodes ---- */

static struct bus_node *node_new(struct bus *b)
{
    struct bus_node *n = xcalloc(1, sizeof(*n));
    n->bus = b;
    channels_init(&n->channels, b->ctx, b->hub, b->fanout, b->census, &n->commands, &b->positions);
    position_remove(&n->channels.position);
    list_init(&n->wanted);
    n->events = (struct redis_subscriber){
        .owner = n, .on_up = on_events_up, .on_down = on_events_down, .on_push = on_push, .on_refused = on_refused};
    redis_subscriber_init(&n->events, b->ctx->loop, NULL);
    redis_commands_init(&n->commands, b->ctx->loop, NULL, n, on_commands_up, on_commands_down);
    return n;
}

static void node_free(struct bus_node *n)
{
    redis_subscriber_release(&n->events);
    redis_commands_release(&n->commands);
    free(n);
}

static void move_targets(struct bus *b)
{
    const uint16_t *home = b->topology.home;
    MAP_EACH (node, &b->hub->targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        struct bus_node *from = node_of(b, t), *to = b->nodes[home[t->bucket]];
        if (from != to)
            channel_moved(&from->channels, &to->channels, t);
    }
    uint16_t old[TARGET_BUCKETS];
    memcpy(old, b->home, sizeof(old));
    memcpy(b->home, home, sizeof(b->home));
    MAP_EACH (node, &b->hub->targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        if (old[t->bucket] != home[t->bucket])
            want_again(b, t);
    }
}

static void count_buckets(struct bus *b)
{
    unsigned buckets[REDIS_NODES_MAX] = {0};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        buckets[b->home[bucket]]++;
    for (size_t i = 0; i < b->node_count; i++) {
        struct bus_node *n = b->nodes[i];
        if (n->buckets == 0 && buckets[i] > 0)
            position_add(&b->positions, &n->channels.position);
        if (n->buckets > 0 && buckets[i] == 0)
            position_remove(&n->channels.position);
        n->buckets = buckets[i];
    }
}

static void redirect(struct bus *b, size_t place)
{
    struct bus_node *n = b->nodes[place];
    const struct endpoint *endpoint = redis_topology_endpoint(&b->topology, place);
    if (n->version == b->topology.places[place].version)
        return;
    n->version = b->topology.places[place].version;
    redis_link_redirect(&n->events.link, endpoint);
    redis_link_redirect(&n->commands.link, endpoint);
}

static void on_topology(struct redis_topology *t)
{
    struct bus *b = t->owner;
    while (b->node_count < t->count)
        b->nodes[b->node_count++] = node_new(b);
    move_targets(b);
    count_buckets(b);
    for (size_t i = 0; i < b->node_count; i++)
        redirect(b, i);
}

void bus_init(struct bus *b, struct context *ctx, struct hub *hub, struct fanout *fanout, struct census *census,
              const struct redis_site *site)
{
    *b = (struct bus){.ctx = ctx, .hub = hub, .fanout = fanout, .census = census, .down_ms = ctx->loop->now_ms};
    list_init(&b->lingering);
    list_init(&b->positions.nodes);
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        list_init(&b->by_bucket[bucket]);
    timer_init(&b->linger_timer, on_linger);
    timer_init(&b->retry, on_retry);
    loop_add_hook(ctx->loop, &b->subscribe, subscribe_wanted); /* before the links' own hooks, which write */
    redis_topology_init(&b->topology, ctx->loop, site, b, on_topology);
    on_topology(&b->topology);
}

void bus_release(struct bus *b)
{
    timer_stop(&b->linger_timer);
    timer_stop(&b->retry);
    list_remove(&b->subscribe.link);
    redis_topology_release(&b->topology);
    for (size_t i = 0; i < b->node_count; i++)
        node_free(b->nodes[i]);
    b->node_count = 0;
}

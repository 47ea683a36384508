/* Subscribing in batches, once a turn; and letting go of what nobody listens to any more. On a cluster a command takes
 * channels of one slot only, so they are ordered by bucket. */
#include "gateway/bus_wanted.h"
#include "common/target.h"

#define TOLD_LINGER_MS 1000

static struct target *target_of(struct list *queued)
{
    return CONTAINER_OF(queued, struct target, queued);
}

static void queue_wanted(struct bus *b, struct target *t)
{
    t->state = TARGET_WANTED;
    list_remove(&t->queued);
    list_push_back(&bus_node_of(b, t->bucket)->wanted, &t->queued);
}

void bus_want_again(struct bus *b, struct target *t)
{
    if (t->member_count > 0)
        queue_wanted(b, t);
    else
        t->state = TARGET_WANTED;
}

void bus_want(struct bus *b, struct target *t, bool fresh)
{
    if (fresh || t->state == TARGET_WANTED) {
        queue_wanted(b, t);
        return;
    }
    list_remove(&t->queued); /* it was lingering */
    channel_entered(&bus_node_of(b, t->bucket)->channels, t);
}

static void linger(struct bus *b, struct target *t, uint64_t ms)
{
    list_remove(&t->queued);
    list_push_back(&b->lingering, &t->queued);
    t->due_ms = b->ctx->loop->now_ms + ms;
    if (!timer_is_armed(&b->linger_timer))
        timer_start(b->ctx->loop, &b->linger_timer, ms);
}

void bus_linger(struct bus *b, struct target *t)
{
    channel_left(&bus_node_of(b, t->bucket)->channels, t);
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

/* Those whose time is over, into the lists of their buckets. */
static void gather_due(struct bus *b)
{
    LIST_EACH_SAFE (it, &b->lingering) {
        struct target *t = target_of(it);
        if (t->due_ms > b->ctx->loop->now_ms)
            break;
        if (t->told != 0) { /* Redis still counts its connections: forgotten now, they would be counted for ever */
            linger(b, t, MAX(b->ctx->cfg->channel_linger, TOLD_LINGER_MS));
            continue;
        }
        list_remove(&t->queued);
        list_push_back(&b->by_bucket[t->bucket], &t->queued);
    }
}

static void let_go(struct bus *b, unsigned bucket)
{
    struct bus_node *n = bus_node_of(b, bucket);
    struct batch batch;
    while (!list_empty(&b->by_bucket[bucket])) {
        batch.n = 0;
        while (batch.n < ARRAY_LEN(batch.channels) && !list_empty(&b->by_bucket[bucket])) {
            struct target *t = target_of(b->by_bucket[bucket].next);
            if (t->state != TARGET_WANTED)
                batch_add(&batch, t);
            hub_forget(b->hub, t);
        }
        if (batch.n > 0)
            redis_subscriber_unsubscribe(&n->events, batch.channels, batch.n);
    }
}

static void on_linger(struct timer *timer)
{
    struct bus *b = CONTAINER_OF(timer, struct bus, linger_timer);
    gather_due(b);
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        let_go(b, bucket);
    if (!list_empty(&b->lingering))
        timer_start(b->ctx->loop, timer, target_of(b->lingering.next)->due_ms - b->ctx->loop->now_ms);
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

static void subscribe_beat(struct bus_node *n)
{
    const struct slice beat = pulse_channel(&n->pulse);
    if (beat.n > 0)
        (void)redis_subscriber_subscribe(&n->events, &beat, 1);
    n->beat_wanted = false;
}

static bool subscribe_wanted(struct turn_hook *hook)
{
    struct bus *b = CONTAINER_OF(hook, struct bus, subscribe);
    for (size_t i = 0; i < b->node_count; i++) {
        struct bus_node *n = b->nodes[i];
        if (!bus_node_is_up(n) || b->ctx->loop->now_ms < n->patience_ms)
            continue;
        if (n->beat_wanted)
            subscribe_beat(n);
        if (!list_empty(&n->wanted))
            subscribe_on(n);
    }
    return false;
}

void bus_wanted_init(struct bus *b)
{
    list_init(&b->lingering);
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        list_init(&b->by_bucket[bucket]);
    timer_init(&b->linger_timer, on_linger);
    loop_add_hook(b->ctx->loop, &b->subscribe, subscribe_wanted);
}

void bus_wanted_release(struct bus *b)
{
    timer_stop(&b->linger_timer);
    list_remove(&b->subscribe.link);
}

/* Links that come and go, buckets that move, what arrives: whom it concerns begins anew. */
#include "gateway/bus.h"
#include "common/redis_reply.h"
#include "gateway/bus_wanted.h"

#include <stdlib.h>

#define REFUSED_MS 50

struct bus_node *bus_node_of(struct bus *b, unsigned bucket)
{
    return b->nodes[b->home[bucket]];
}

static struct bus_node *node_of(struct bus *b, const struct target *t)
{
    return bus_node_of(b, t->bucket);
}

bool bus_node_is_up(const struct bus_node *n)
{
    return redis_subscriber_is_up(&n->events) && redis_commands_is_up(&n->commands);
}

bool bus_is_up(const struct bus *b)
{
    for (size_t i = 0; i < b->node_count; i++)
        if (b->nodes[i]->buckets > 0 && !bus_node_is_up(b->nodes[i]))
            return false;
    return b->topology.known;
}

bool bus_is_away(const struct bus *b)
{
    return !bus_is_up(b) && b->ctx->loop->now_ms - b->down_ms >= BUS_PATIENCE_MS;
}

bool bus_is_trusted(const struct bus *b)
{
    for (size_t i = 0; i < b->node_count; i++)
        if (b->nodes[i]->pulse.deaf)
            return false;
    return true;
}

int bus_links_up(const struct bus *b)
{
    int up = 0;
    for (size_t i = 0; i < b->node_count; i++)
        up += redis_subscriber_is_up(&b->nodes[i]->events) + redis_commands_is_up(&b->nodes[i]->commands);
    return up;
}

void bus_measure(const struct bus *b)
{
    struct gateway_metrics *m = b->ctx->metrics;
    int64_t filling = 0, deaf = 0, silent = 0;
    for (size_t i = 0; i < b->node_count; i++) {
        filling += (int64_t)b->nodes[i]->channels.position.held;
        deaf += b->nodes[i]->pulse.deaf;
        silent += b->nodes[i]->pulse.silent;
    }
    gauge_set(&m->redis_links, bus_links_up(b));
    gauge_set(&m->channels_filling, filling);
    gauge_set(&m->redis_deaf, deaf);
    gauge_set(&m->routers_silent, silent);
}

static void each_target(struct bus_node *n, void (*visit)(struct bus_node *n, struct target *t))
{
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        if (bus_node_of(n->bus, bucket) != n)
            continue;
        LIST_EACH (it, &n->bus->hub->buckets[bucket])
            visit(n, CONTAINER_OF(it, struct target, of_bucket));
    }
}

/* The turn is all that is wanted. */
static void on_retry(struct timer *timer)
{
}

static bool on_turn(struct turn_hook *hook)
{
    struct bus *b = CONTAINER_OF(hook, struct bus, doubt);
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
    bus_want_again(n->bus, t);
    redis_topology_doubt(&n->bus->topology);
}

static void on_beat_push(struct bus_node *n, const struct resp_push *push)
{
    if (!slice_eq(push->channel, pulse_channel(&n->pulse)))
        return;
    if (push->kind == RESP_PUSH_MESSAGE)
        pulse_on_beat(&n->pulse, push->payload);
    else if (push->kind == RESP_PUSH_UNSUBSCRIBED)
        n->beat_wanted = true;
}

static void on_push(struct redis_subscriber *rs, const struct resp_push *push)
{
    struct bus_node *n = rs->owner;
    struct slice name;
    if (target_of_channel(push->channel, &name) != 0) {
        on_beat_push(n, push);
        return;
    }
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

static void ask_again_elsewhere(struct bus_node *n, struct target *t)
{
    if (t->state == TARGET_ASKED)
        bus_want_again(n->bus, t);
}

/* A cluster's node that does not have a slot any more, or not yet, or that cannot answer now: those that were asked for
 * there are asked for again, wherever they are by then. */
static bool on_refused(struct redis_subscriber *rs, struct slice error)
{
    struct bus_node *n = rs->owner;
    struct bus *b = n->bus;
    if (!redis_is_passing(error))
        return false;
    n->beat_wanted = true;
    each_target(n, ask_again_elsewhere);
    n->patience_ms = b->ctx->loop->now_ms + REFUSED_MS;
    timer_start(b->ctx->loop, &b->retry, REFUSED_MS);
    redis_topology_refused(&b->topology, error);
    return true;
}

/* ---- comparing with the logs ---- */

#define SWEEP_STEP 16 /* buckets at once */

static void sweep_later(struct bus *b)
{
    timer_start(b->ctx->loop, &b->sweep_timer, b->ctx->cfg->heads_interval * SWEEP_STEP / TARGET_BUCKETS);
}

static void on_sweep(struct timer *timer)
{
    struct bus *b = CONTAINER_OF(timer, struct bus, sweep_timer);
    sweep_later(b);
    for (unsigned i = 0; i < SWEEP_STEP; i++, b->sweep_bucket++)
        channels_sweep(&bus_node_of(b, b->sweep_bucket)->channels, b->sweep_bucket);
    if (b->sweep_bucket < TARGET_BUCKETS)
        return;
    b->sweep_bucket = 0;
    counter_add(&b->ctx->metrics->sweeps, 1);
}

/* ---- links up and down ---- */

static void lose(struct bus_node *n, struct target *t)
{
    channel_lost(&n->channels, t);
    bus_want_again(n->bus, t);
}

/* Nothing is subscribed any more, or what was subscribed cannot be believed: begin anew with all that have members. In
 * the order of buckets, so that those of one are confirmed, and compared, together. */
static void begin_anew(struct bus_node *n)
{
    channels_reset(&n->channels);
    each_target(n, lose);
}

static void on_events_up(struct redis_subscriber *rs)
{
    struct bus_node *n = rs->owner;
    begin_anew(n);
    n->beat_wanted = true;
    pulse_on_up(&n->pulse);
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
    pulse_on_down(&n->pulse);
    begin_anew(n);
    redis_topology_doubt(&n->bus->topology);
}

static void on_commands_down(struct redis_commands *rc, const char *reason)
{
    struct bus_node *n = rc->owner;
    note_down(n);
    redis_library_stop(&n->library);
}

static void ask_again(struct bus_node *n, struct target *t)
{
    channel_ask_again(&n->channels, t);
}

static void on_commands_up(struct redis_commands *rc)
{
    struct bus_node *n = rc->owner;
    redis_library_ensure(&n->library);
    census_on_up(n->channels.census);
    each_target(n, ask_again);
}

/* A slot is on its way: what was asked for its targets is asked again in a moment, here or where they are by then. */
static void on_passing(struct channels *ch, struct slice error)
{
    struct bus_node *n = CONTAINER_OF(ch, struct bus_node, channels);
    if (!timer_is_armed(&n->again))
        timer_start(n->bus->ctx->loop, &n->again, REFUSED_MS);
    redis_topology_refused(&n->bus->topology, error);
}

static void on_again(struct timer *timer)
{
    each_target(CONTAINER_OF(timer, struct bus_node, again), ask_again);
}

static void on_library_ready(struct redis_library *lib)
{
    struct bus_node *n = lib->owner;
    channels_go_on(&n->channels);
}

static void on_deaf(struct pulse *p)
{
    struct bus_node *n = p->owner;
    redis_link_drop(&n->events.link, "deaf");
}

static void on_doubt(struct pulse *p)
{
    struct bus_node *n = p->owner;
    redis_topology_doubt(&n->bus->topology);
}

static const struct pulse_ops pulse_ops = {.on_deaf = on_deaf, .on_doubt = on_doubt};

/* ---- nodes ---- */

static struct bus_node *node_new(struct bus *b)
{
    struct bus_node *n = xcalloc(1, sizeof(*n));
    n->bus = b;
    redis_library_init(&n->library, b->ctx->loop, &n->commands, n, on_library_ready);
    channels_init(&n->channels, b->ctx, b->hub, b->fanout, b->census, &n->commands, &n->library, &b->positions);
    n->channels.on_passing = on_passing;
    timer_init(&n->again, on_again);
    pulse_init(&n->pulse, b->ctx, &n->commands, &n->channels.position, &pulse_ops, n);
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
    timer_stop(&n->again);
    redis_subscriber_release(&n->events);
    redis_commands_release(&n->commands);
    pulse_release(&n->pulse);
    channels_release(&n->channels);
    redis_library_release(&n->library);
    free(n);
}

static void move_target(struct bus *b, struct bus_node *to, struct target *t)
{
    channel_moved(&node_of(b, t)->channels, &to->channels, t);
    channel_lost(&to->channels, t);
}

/* What a node was asked is void once it lost buckets: for those that it keeps it is asked again. */
static void move_targets(struct bus *b)
{
    const uint16_t *home = b->topology.home;
    bool lost[REDIS_NODES_MAX] = {false};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        if (b->home[bucket] == home[bucket])
            continue;
        LIST_EACH (it, &b->hub->buckets[bucket])
            move_target(b, b->nodes[home[bucket]], CONTAINER_OF(it, struct target, of_bucket));
        lost[b->home[bucket]] = true;
        b->home[bucket] = home[bucket];
        LIST_EACH (it, &b->hub->buckets[bucket])
            bus_want_again(b, CONTAINER_OF(it, struct target, of_bucket));
    }
    for (size_t i = 0; i < b->node_count; i++)
        if (lost[i]) {
            counter_add(&b->ctx->metrics->redis_moves, b->nodes[i]->version > 0);
            channels_reset(&b->nodes[i]->channels);
            each_target(b->nodes[i], ask_again);
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
        if (pulse_move(&n->pulse, redis_topology_first(&b->topology, i)))
            n->beat_wanted = true;
    }
}

static void redirect(struct bus *b, size_t place)
{
    struct bus_node *n = b->nodes[place];
    const struct endpoint *endpoint = redis_topology_endpoint(&b->topology, place);
    if (n->version == b->topology.places[place].version)
        return;
    counter_add(&b->ctx->metrics->redis_moves, n->version > 0); /* somebody was there before */
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
    list_init(&b->positions.nodes);
    timer_init(&b->retry, on_retry);
    timer_init(&b->sweep_timer, on_sweep);
    sweep_later(b);
    bus_wanted_init(b); /* before the links, whose hooks write */
    loop_add_hook(ctx->loop, &b->doubt, on_turn);
    redis_topology_init(&b->topology, ctx->loop, site, b, on_topology);
    on_topology(&b->topology);
}

void bus_release(struct bus *b)
{
    timer_stop(&b->retry);
    timer_stop(&b->sweep_timer);
    bus_wanted_release(b);
    list_remove(&b->doubt.link);
    redis_topology_release(&b->topology);
    while (b->node_count > 0)
        node_free(b->nodes[--b->node_count]);
}

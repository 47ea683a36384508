/* A bucket leaves its node when nothing is under way there: its calls wait for that, and then go on at the new node, in
 * their order. A node whose server is another one is told to go there, as if its link had broken. */
#include "router/publisher_homes.h"

#include <stdlib.h>

static void count_buckets(struct publisher *pub)
{
    unsigned buckets[REDIS_NODES_MAX] = {0};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        buckets[pub->home[bucket]]++;
    for (size_t i = 0; i < pub->node_count; i++)
        pub->nodes[i]->buckets = buckets[i];
    for (unsigned bucket = TARGET_BUCKETS; bucket-- > 0;)
        publisher_node(pub, bucket)->pipe.beat_bucket = bucket;
}

static bool loses_some(const struct publisher *pub, size_t place)
{
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (pub->home[bucket] == place && pub->topology.home[bucket] != place)
            return true;
    return false;
}

static void take_over(void *arg, const struct pipe_call *call)
{
    struct publisher *pub = arg;
    pipe_push(&publisher_node(pub, call->bucket)->pipe, call);
}

/* Positions stand above the ids that were given here: those of a node whose clock is behind go on above them, too. */
static void raise_floor(struct pipe *p, uint64_t floor)
{
    if (p->floor >= floor)
        return;
    p->floor = floor;
    pipe_beat(p);
}

/* The node's pipe is still. What is known of markers goes with the buckets, as they do in Redis. */
static void hand_over(struct publisher *pub, size_t place)
{
    struct node *from = pub->nodes[place];
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        if (pub->home[bucket] != place)
            continue;
        pub->home[bucket] = pub->topology.home[bucket];
        struct markers *to = &publisher_node(pub, bucket)->markers;
        to->epochs[bucket] = from->markers.epochs[bucket];
        to->incomplete[bucket] = from->markers.incomplete[bucket];
        raise_floor(&publisher_node(pub, bucket)->pipe, from->pipe.floor);
    }
    pipe_give_away(&from->pipe, pub->home, (uint16_t)place, take_over, pub);
}

bool publisher_lacks_a_pipe(const struct publisher *pub)
{
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i) && pub->nodes[i]->pipe.state == PIPE_CLOSED)
            return true;
    return false;
}

void publisher_homes_move(struct publisher *pub)
{
    bool was_ready = publisher_is_ready(pub), moved = false;
    if (pub->asked > 0)
        return;
    for (size_t i = 0; i < pub->node_count; i++) {
        bool leaves = loses_some(pub, i);
        if (leaves && pipe_is_still(&pub->nodes[i]->pipe)) {
            counter_add(&pub->metrics->redis_moves, pub->versions[i] > 0);
            hand_over(pub, i);
            moved = true;
            leaves = false;
        }
        pipe_calm(&pub->nodes[i]->pipe, leaves);
    }
    if (!moved)
        return;
    /* What was refilled may have been sent to the wrong node: the markers know how far it got. */
    for (size_t i = 0; i < pub->node_count; i++)
        pipe_abandon(&pub->nodes[i]->refill);
    count_buckets(pub);
    pub->ops->on_moved(pub);
    if (publisher_is_ready(pub) && (!was_ready || publisher_lacks_a_pipe(pub)))
        pub->ops->on_ready(pub);
}

static struct node *node_new(struct publisher *pub)
{
    struct node *n = xcalloc(1, sizeof(*n));
    node_init(n, pub->loop, pub->home, (uint16_t)pub->node_count, pub->node_ops, pub);
    return n;
}

static void on_topology(struct redis_topology *t)
{
    struct publisher *pub = t->owner;
    while (pub->node_count < t->count) {
        pub->nodes[pub->node_count] = node_new(pub);
        pub->node_count++;
    }
    publisher_homes_move(pub);
    for (size_t i = 0; i < pub->node_count; i++) {
        if (pub->versions[i] == t->places[i].version)
            continue;
        counter_add(&pub->metrics->redis_moves, pub->versions[i] > 0); /* somebody was there before */
        pub->versions[i] = t->places[i].version;
        node_redirect(pub->nodes[i], redis_topology_endpoint(t, i));
    }
}

void publisher_homes_init(struct publisher *pub, const struct redis_site *redis, const struct node_ops *node_ops)
{
    pub->node_ops = node_ops;
    redis_topology_init(&pub->topology, pub->loop, redis, pub, on_topology);
    on_topology(&pub->topology);
    count_buckets(pub);
}

void publisher_homes_release(struct publisher *pub)
{
    redis_topology_release(&pub->topology);
    for (size_t i = 0; i < pub->node_count; i++) {
        node_release(pub->nodes[i]);
        free(pub->nodes[i]);
    }
}

/* One worker's links to Redis, two to each node, and which channels are subscribed on them. A target's way: wanted →
 * asked → subscribed; what follows is channel.h's. After a reconnect all of that node begin anew, and so do those whose
 * bucket another node has got; connections stay. */
#ifndef TIDEGATE_GATEWAY_BUS_H
#define TIDEGATE_GATEWAY_BUS_H

#include "common/redis_subscriber.h"
#include "common/redis_topology.h"
#include "gateway/channel.h"
#include "gateway/pulse.h"

struct bus;

/* A place of the topology; its server may become another one, or none. */
struct bus_node {
    struct bus *bus;
    uint64_t version; /* of the place's server that the links go to */
    unsigned buckets; /* how many it has */
    struct redis_subscriber events;
    struct redis_commands commands;
    struct redis_library library;
    struct channels channels;
    struct pulse pulse;
    bool beat_wanted;     /* its channel is to be subscribed */
    struct list wanted;   /* targets to subscribe */
    uint64_t patience_ms; /* after a refusal: not before then */
    struct timer again;   /* what was refused on the commands link is asked again */
};

struct bus {
    struct context *ctx;
    struct hub *hub;
    struct fanout *fanout;
    struct census *census;
    struct positions positions;
    struct redis_topology topology;
    struct bus_node *nodes[REDIS_NODES_MAX]; /* by place */
    size_t node_count;
    uint16_t home[TARGET_BUCKETS]; /* the place where a bucket's targets are subscribed */
    struct list lingering;         /* targets without members, the next to be let go first */
    struct timer linger_timer;
    struct turn_hook subscribe;
    struct list by_bucket[TARGET_BUCKETS]; /* empty between turns */
    struct turn_hook doubt;
    struct timer sweep_timer;
    unsigned sweep_bucket; /* the next to be compared */
    struct timer retry;    /* so that a turn comes when patience is over */
    uint64_t down_ms;      /* since when not all links were up; meaningless while they are */
};

/* *Borrows* all for the bus's life. */
void bus_init(struct bus *b, struct context *ctx, struct hub *hub, struct fanout *fanout, struct census *census,
              const struct redis_site *site);
void bus_release(struct bus *b);
/* The node that holds a bucket. */
struct bus_node *bus_node_of(struct bus *b, unsigned bucket);
bool bus_node_is_up(const struct bus_node *n);
/* All links are up. */
bool bus_is_up(const struct bus *b);
/* They have not been for BUS_PATIENCE_MS: who connects is told so at once, instead of waiting. */
#define BUS_PATIENCE_MS 2000
bool bus_is_away(const struct bus *b);
int bus_links_up(const struct bus *b);
/* No subscription link is known to be deaf (pulse.h). */
bool bus_is_trusted(const struct bus *b);
void bus_measure(const struct bus *b);
/* Everything up to this id was delivered to whom it is for; and what is written with an event of this id (position.h).
 */
static inline uint64_t bus_safe(const struct bus *b)
{
    return position_safe(&b->positions);
}
static inline uint64_t bus_position(const struct bus *b, uint64_t id)
{
    return position_of(&b->positions, id);
}
/* The target has its first member: it is to be subscribed, or, not fresh, to stay so. */
void bus_want(struct bus *b, struct target *t, bool fresh);
/* The last member has left: let go after CHANNEL_LINGER, and the target with it. */
void bus_linger(struct bus *b, struct target *t);

#endif

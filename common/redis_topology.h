/* Which nodes of Redis there are and which of them has which bucket, followed while the program runs: it asks Sentinels
 * every 1 to 2 s, a node of the cluster every 10 to 20, both whenever somebody doubts; of several nodes that know
 * nothing of each other it makes sure that everybody has the same list of them. It never blocks, and has links of its
 * own.
 *
 * Nodes have numbers. A number is a place: its server may become another one, or none (a failover, a node that left);
 * places are never taken away. Before anything is known there is one place, that of every bucket, and nobody is there.
 */
#ifndef TIDEGATE_COMMON_REDIS_TOPOLOGY_H
#define TIDEGATE_COMMON_REDIS_TOPOLOGY_H

#include "common/redis_commands.h"
#include "common/redis_site.h"
#include "common/target.h"

struct redis_finder;
struct redis_asker;

struct redis_place {
    struct endpoint endpoint; /* no host: nobody is there */
    uint64_t version;         /* another one whenever the server is another one */
};

struct redis_topology {
    struct loop *loop;
    const struct redis_site *site;
    void *owner;
    /* Places or homes have changed. */
    void (*on_change)(struct redis_topology *t);
    struct redis_place places[REDIS_NODES_MAX];
    size_t count; /* of places; at least 1, never falls */
    uint16_t home[TARGET_BUCKETS];
    bool known; /* where every bucket is, was known once */
    /* How that is found out: */
    const struct redis_finder *finder;
    struct redis_asker *askers;
    size_t asker_count;
    struct timer timer;
    uint64_t asked_ms, doubt_until_ms;
    unsigned turn; /* of the cluster's nodes, which to ask next */
};

/* *Borrows* site for its life. on_change is not called from here. */
void redis_topology_init(struct redis_topology *t, struct loop *l, const struct redis_site *site, void *owner,
                         void (*on_change)(struct redis_topology *));
/* Afterwards doubts are heard no more. */
void redis_topology_release(struct redis_topology *t);
/* A link broke, a beat is missing, a node says it is a replica: looks now, and often for a while. May be called as
 * often as one likes. */
void redis_topology_doubt(struct redis_topology *t);
/* The same, because of an error's text; if that is a cluster's MOVED, the node that it names is asked. */
void redis_topology_refused(struct redis_topology *t, struct slice error);
/* The first bucket that a place has; TARGET_BUCKETS: none. */
unsigned redis_topology_first(const struct redis_topology *t, size_t place);
/* Where the server of a place is; NULL: nobody is there. */
static inline const struct endpoint *redis_topology_endpoint(const struct redis_topology *t, size_t place)
{
    return t->places[place].endpoint.host != NULL ? &t->places[place].endpoint : NULL;
}

#endif

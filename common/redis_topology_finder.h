/* For redis_topology*.c alone: the ways of finding out, and what they have in common. */
#ifndef TIDEGATE_COMMON_REDIS_TOPOLOGY_FINDER_H
#define TIDEGATE_COMMON_REDIS_TOPOLOGY_FINDER_H

#include "common/redis_reply.h"
#include "common/redis_topology.h"

/* A link that asks. */
struct redis_asker {
    struct redis_topology *topology;
    size_t i; /* of the site's hosts */
    struct redis_commands rc;
    struct redis_master master; /* a Sentinel's last answer; epoch and host mean something while it is up */
    bool answered, complained;
    bool distrusted;  /* a cluster's node that does not see the cluster */
    uint64_t away_ms; /* since when it is not connected; 0: not looked at */
};

struct redis_finder {
    size_t (*askers)(const struct redis_site *site);
    /* What is known from the first moment. */
    void (*begin)(struct redis_topology *t);
    /* Asks whoever is there. */
    void (*ask)(struct redis_topology *t);
    /* How long nobody is asked while nobody doubts, at least; at most twice as long. */
    unsigned calm_ms;
    /* The link to somebody who can be asked is gone. */
    void (*on_away)(struct redis_asker *a);
};

extern const struct redis_finder redis_find_one, redis_find_sentinel, redis_find_cluster, redis_find_several;

/* Sets who is at a place; host NULL: nobody. True when that is another one than before. */
bool redis_place_set(struct redis_topology *t, size_t place, const char *host, uint16_t port);
/* A bucket's place is known. True when it is another one than before. */
bool redis_home_set(struct redis_topology *t, unsigned bucket, size_t place);

#endif

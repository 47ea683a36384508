/* A connection through the fault proxy: a client's socket, one to the server, and what happens between them. */
#ifndef TIDEGATE_LOADTEST_PAIR_H
#define TIDEGATE_LOADTEST_PAIR_H

#include "common/list.h"
#include "loadtest/lib/delayline.h"
#include "loadtest/lib/fault.h"
#include "loadtest/lib/poller.h"
#include "loadtest/lib/sieve.h"

#include <netinet/in.h>

/* What the connections of one route share. */
struct passage {
    struct poller *poller;
    struct sockaddr_in server;
    bool resp; /* the server is a Redis */
    struct fault_plan plan;
    struct fault_counts counts;
    uint64_t random;
    struct list pairs, gone;
};

struct side {
    struct watch watch;
    struct pair *pair;
    struct side *other;
    struct delayline out; /* bytes for this side */
    bool blocked;         /* its socket takes no more for now */
};

struct pair {
    struct list node; /* in pairs or gone */
    struct passage *passage;
    struct side client, server;
    struct sieve sieve;
    bool swallowed; /* fell into a hole, for good */
    bool cut;       /* ends with a reset when the client has what is left for it */
};

/* Takes fd, an accepted socket, and connects it to the server. */
void pair_open(struct passage *g, int fd);
/* After a change of the plan. */
void pair_obey(struct pair *p);
/* Ends both sides, with a reset. It stays in memory, in g->gone, until pairs_reap. */
void pair_reset(struct pair *p);
/* Writes what is due. Returns when to call again (microseconds, monotonic); UINT64_MAX: nothing waits. */
uint64_t pair_flush(struct pair *p, uint64_t now_us);
/* Frees those that are gone; never within a turn of the poller. */
void pairs_reap(struct passage *g);

#endif

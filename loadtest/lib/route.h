/* A way through the fault proxy: a port of its own, the server behind it, and the connections between. */
#ifndef TIDEGATE_LOADTEST_ROUTE_H
#define TIDEGATE_LOADTEST_ROUTE_H

#include "loadtest/lib/pair.h"

#define ROUTE_NAME_MAX 32

struct route {
    struct list node; /* for its owner */
    char name[ROUTE_NAME_MAX];
    uint16_t port;
    struct watch listener;
    struct passage passage;
};

/* Listens on 127.0.0.1. Returns owned, or NULL with errno. */
struct route *route_new(struct poller *poller, struct slice name, uint16_t port, uint16_t server_port, bool resp);
/* Ends its connections; only between turns of the poller. */
void route_free(struct route *r);
/* After a change of r->passage.plan. -1 with errno when it is to listen again and cannot. */
int route_obey(struct route *r);
/* Resets all its connections; returns how many. */
size_t route_reset(struct route *r);
/* Writes what is due. Returns when to call again; UINT64_MAX: nothing waits. */
uint64_t route_flush(struct route *r, uint64_t now_us);

#endif

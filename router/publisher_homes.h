/* The half of the publisher (publisher.h) that follows the topology: which nodes there are, and to which of them a
 * bucket's calls are sent. */
#ifndef TIDEGATE_ROUTER_PUBLISHER_HOMES_H
#define TIDEGATE_ROUTER_PUBLISHER_HOMES_H

#include "router/publisher.h"

/* *Borrows* both for the publisher's life. */
void publisher_homes_init(struct publisher *pub, const struct redis_site *redis, const struct node_ops *node_ops);
void publisher_homes_release(struct publisher *pub);
/* Moves the buckets that can be moved now; the others when their node's pipe is still (node_ops.on_still), or when the
 * markers were read: a reading goes by the homes that it found. */
void publisher_homes_move(struct publisher *pub);

#endif

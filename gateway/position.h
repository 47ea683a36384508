/* Positions that are written into messages: ids up to which everything was delivered, over all of a worker's nodes, so
 * that one is enough for a connection with targets on several. Each node has a *safe id*: nothing at or below it is
 * owed, being filled or unheard. It is the highest id heard on the node's subscription link, and stands still while a
 * target of the node owes its members something. Pure. */
#ifndef TIDEGATE_GATEWAY_POSITION_H
#define TIDEGATE_GATEWAY_POSITION_H

#include "common/list.h"

#include <stdint.h>

/* A worker's; initialise with list_init(&p->nodes). */
struct positions {
    struct list nodes; /* struct node_position.of_positions */
};

struct node_position {
    struct list of_positions;
    uint64_t heard; /* highest id of an event or a beat */
    uint64_t safe;
    size_t held; /* targets that owe something */
};

/* A new node, zero-initialised once: nothing was heard, so the worker's safe id is 0 until something is. */
void position_add(struct positions *p, struct node_position *n);
void position_remove(struct node_position *n);

/* An event or a beat with this id came on the node's link. A target that owes must be held before. */
void position_heard(struct node_position *n, uint64_t id);
void position_hold(struct node_position *n);
void position_let_go(struct node_position *n);

/* The least of all nodes' safe ids. */
uint64_t position_safe(const struct positions *p);
/* What is written with an event: its id, or less. Never falls, but for a new node. */
uint64_t position_of(const struct positions *p, uint64_t id);

#endif

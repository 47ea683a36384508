/* The half of the bus (bus.h) that says which channels are subscribed. */
#ifndef TIDEGATE_GATEWAY_BUS_WANTED_H
#define TIDEGATE_GATEWAY_BUS_WANTED_H

#include "gateway/bus.h"

/* Before the links' init, whose hooks write what this one's asks for. */
void bus_wanted_init(struct bus *b);
void bus_wanted_release(struct bus *b);
/* What was subscribed is so no more: if the target has members it is asked for again, on the node that has it by then;
 * else it lingers, and is asked for when somebody comes. */
void bus_want_again(struct bus *b, struct target *t);

#endif

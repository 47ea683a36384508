/* Where a partition starts when no marker in Redis knows it. Pure. */
#ifndef TIDEGATE_ROUTER_START_H
#define TIDEGATE_ROUTER_START_H

#include "router/config.h"
#include "router/lookup.h"

/* The offset after the group's commit; without one the beginning, if the group has commits on that topic (then the
 * partition is new) or had some on an earlier one of that name, or if the topic was made under our eyes; else what
 * START says. */
int64_t start_offset(const struct lookup_row *row, bool topic_is_new, enum router_start start);

#endif

/* Asks connections of a worker to go to other gateways, as rebalance.h decides: those that come back to where they
 * stood (they named a position or a device), the longest idle first. They close with 4004, and lose nothing. */
#ifndef TIDEGATE_GATEWAY_MOVER_H
#define TIDEGATE_GATEWAY_MOVER_H

#include "gateway/census.h"
#include "gateway/rebalance.h"
#include "gateway/roster.h"

struct mover {
    struct context *ctx;
    struct roster *roster;
    const struct census *census;
    struct rebalance rebalance;
};

/* *Borrows* all for the mover's life. */
void mover_init(struct mover *m, struct context *ctx, struct roster *roster, const struct census *census);
/* The census has new totals. */
void mover_on_totals(struct mover *m);
/* Ten times a second. */
void mover_tick(struct mover *m);
/* Closes so many at most, the longest idle of the first MOVER_LOOKED_AT connections that are watched, a list that goes
 * round; returns how many. count is MOVER_AT_ONCE at most. */
size_t mover_move(struct mover *m, size_t count);

#define MOVER_AT_ONCE   64
#define MOVER_LOOKED_AT 4096

#endif

/* What a connection missed, brought to it. One that names where it stood (a position, or a device whose cursor says it)
 * is subscribed first like any other; then the logs of its targets are read from there, merged by id and sent; live
 * events that have an id wait in the logs meanwhile. In the turn in which it has read as far as each channel has heard,
 * it goes live: nothing is skipped and nothing comes twice.
 *
 * Memory is bounded for all of a worker's replays together: a piece is read only when what the connection was sent is
 * written and there is room for more; those that wait take turns. */
#ifndef TIDEGATE_GATEWAY_REPLAY_H
#define TIDEGATE_GATEWAY_REPLAY_H

#include "gateway/bus.h"
#include "gateway/conn.h"

struct replays {
    struct context *ctx;
    struct bus *bus;
    struct cursors *cursors;
    size_t share;          /* bytes that may be held */
    size_t used;           /* and are */
    size_t piece;          /* bytes asked for at once */
    unsigned reading;      /* reads under way */
    struct list waiting;   /* for room, the first next */
    struct list sleeping;  /* to ask Redis again, by due */
    struct list unmarked;  /* the same, for a marker that is missing for long */
    struct list writing;   /* until the client has taken what was sent, by due */
    struct turn_hook hook; /* starts who waits */
    struct redis_fn_call call;
};

/* *Borrows* all for the replays' life; before bus_init, whose links write after this hook. share: this worker's of
 * REPLAY_MEMORY. */
void replays_init(struct replays *rs, struct context *ctx, struct bus *bus, struct cursors *cursors, size_t share);
/* Every connection must be gone, and Redis's callbacks too. */
void replays_release(struct replays *rs);
/* Ten times a second: who has slept long enough, and who is too slow. */
void replays_tick(struct replays *rs);
/* What connections call, with the replays as arg. */
struct conn_rescuer replays_rescuer(struct replays *rs);

#endif

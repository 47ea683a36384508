/* How a program is told to end: SIGTERM and SIGINT arrive as callbacks on its loop, and the time that it may take to
 * finish is bounded. */
#ifndef TIDEGATE_COMMON_LIFECYCLE_H
#define TIDEGATE_COMMON_LIFECYCLE_H

#include "common/loop.h"

struct lifecycle {
    struct loop *loop;
    h2o_socket_t *sock; /* of the signalfd */
    unsigned signals;   /* how often the program was told */
    struct timer deadline;
    /* The first signal. A second one ends the process at once, with code 1: somebody is impatient. */
    void (*on_stop)(struct lifecycle *lc);
    void (*on_deadline)(struct lifecycle *lc);
};

/* Blocks both signals in this thread and in the threads that it starts from now on: call it first. SIGPIPE is ignored.
 */
void lifecycle_init(struct lifecycle *lc, struct loop *l, void (*on_stop)(struct lifecycle *));
/* Calls on_late once, ms from now, unless released before. */
void lifecycle_bound(struct lifecycle *lc, uint64_t ms, void (*on_late)(struct lifecycle *));
void lifecycle_release(struct lifecycle *lc);

#endif

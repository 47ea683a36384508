/* The sockets of one process of a swarm: connects them at a rate, reads and counts what comes, answers pings, and
 * closes them at the end. 32 bytes a socket, plus what has come of an unfinished frame. */
#ifndef TIDEGATE_LOADTEST_CROWD_H
#define TIDEGATE_LOADTEST_CROWD_H

#include "loadtest/lib/tally.h"
#include "loadtest/lib/target.h"

#include <signal.h>

struct crowd_plan {
    const struct target *targets; /* socket i goes to target i mod targets_n */
    size_t targets_n;
    uint64_t first, count; /* numbers of this process's sockets within the whole run */
    uint64_t users;        /* socket i belongs to user i mod users */
    struct slice secret;   /* for the tokens; empty: none is sent */
    double rate;           /* connects a second; 0 is as fast as the server answers */
};

/* Runs until *stop is set by a signal handler. Borrows all of it. 0, or -1 with errno when there is no epoll. */
int crowd_run(const struct crowd_plan *plan, struct tally *tally, const volatile sig_atomic_t *stop);

#endif

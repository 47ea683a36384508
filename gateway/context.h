/* What all parts of one worker share: its loop, its counters, and what is constant in the process. Everything that
 * hangs on a context has the worker's thread. */
#ifndef TIDEGATE_GATEWAY_CONTEXT_H
#define TIDEGATE_GATEWAY_CONTEXT_H

#include "common/loop.h"
#include "gateway/config.h"
#include "gateway/limit.h"
#include "gateway/metrics.h"

struct context {
    struct loop *loop;
    const struct gateway_config *cfg;
    struct gateway_metrics *metrics;
    struct limit *addresses; /* the process's, and so are the seats */
    struct limit_seats *seats;
};

#endif

/* A histogram of microseconds: exact below 64, then 32 steps per power of two (3 % wide), up to 19 hours. Fixed size,
 * no allocation, so it may lie in shared memory. Zero-initialised is empty. */
#ifndef TIDEGATE_LOADTEST_HIST_H
#define TIDEGATE_LOADTEST_HIST_H

#include "common/base.h"

#define HIST_BUCKETS (64 + 30 * 32)

struct hist {
    uint64_t count, max;
    uint64_t buckets[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t us);
/* Adds all of from to h. */
void hist_merge(struct hist *h, const struct hist *from);
/* The value below or at which the given share (0 to 1) of all values lies; 0 when empty. Never more than the maximum
 * seen. */
uint64_t hist_quantile(const struct hist *h, double share);

#endif

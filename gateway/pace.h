/* Spreads things that must go over a span of time, evenly and by chance: how many of those that are left go now. No
 * clock of its own, and nothing is remembered of the things: any of them may go by themselves meanwhile. */
#ifndef TIDEGATE_GATEWAY_PACE_H
#define TIDEGATE_GATEWAY_PACE_H

#include "common/base.h"

struct pace {
    uint64_t last_ms, end_ms;
};

/* From now on over so many milliseconds; 0: all at the first question. */
void pace_start(struct pace *p, uint64_t now_ms, uint64_t span_ms);
/* The share of the time since the last question in the time that was left then, of `left` things; a fraction is rounded
 * up or down by chance, right on average. All of them once the span is over. */
size_t pace_due(struct pace *p, uint64_t now_ms, size_t left);

#endif

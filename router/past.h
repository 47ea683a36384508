/* Where a partition stood in the last while: a few positions and when they were noted. Time in which nothing is noted,
 * for want of Redis or of a router, does not count: it is measured back from the newest. Zero-initialised is empty and
 * ready. */
#ifndef TIDEGATE_ROUTER_PAST_H
#define TIDEGATE_ROUTER_PAST_H

#include "common/buf.h"

#define PAST_MAX 8

struct past {
    struct {
        uint64_t ms;
        int64_t position;
    } rows[PAST_MAX]; /* a ring */
    unsigned count;   /* ever noted; the newest is at (count - 1) % PAST_MAX */
};

/* At most once in step_ms: a row too young to be followed by another is lowered instead, if need be. */
void past_note(struct past *p, int64_t position, uint64_t now_ms, uint64_t step_ms);
/* Where it stood ago_ms before the newest row, or as near to that as was noted; never above position. */
int64_t past_position(const struct past *p, int64_t position, uint64_t ago_ms);

/* Appends " <age in ms>:<position>" for each row, newest first. */
void past_append_text(const struct past *p, struct buf *out);
/* Reads that back, without the first blank; a NULL slice is empty. 0, or -1 when it is none: out is of no use. Times
 * begin anywhere. */
int past_parse(struct slice text, struct past *out);
/* Moves it in time: its newest row was noted now. */
void past_resume(struct past *p, uint64_t now_ms);

#endif

/* Bytes that wait for their time, in order. Pure: the time (microseconds, any origin) is a parameter. */
#ifndef TIDEGATE_LOADTEST_DELAYLINE_H
#define TIDEGATE_LOADTEST_DELAYLINE_H

#include "common/buf.h"

struct delayline_mark {
    size_t n; /* bytes */
    uint64_t due_us;
};

/* Zero-initialised is empty and ready. */
struct delayline {
    struct buf bytes;
    struct delayline_mark *marks; /* of the bytes, in order; times never fall */
    size_t marks_n, marks_cap;
};

void delayline_release(struct delayline *d);
/* Empties it. */
void delayline_clear(struct delayline *d);
/* Appends bytes that are due then, or with those before them if that is later. */
void delayline_put(struct delayline *d, struct slice bytes, uint64_t due_us);
/* The bytes that are due now; good until the next call. */
struct slice delayline_due(const struct delayline *d, uint64_t now_us);
/* Drops the first n bytes. */
void delayline_take(struct delayline *d, size_t n);
/* When the first bytes are due; UINT64_MAX when it is empty. */
uint64_t delayline_next(const struct delayline *d);

#endif

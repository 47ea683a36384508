/* Ids of events: microseconds since 1970 on the Redis node that gave them, strictly increasing over that node. On the
 * wire and in a log they are written as Redis writes the ids of a stream: n as `floor(n/1000)-(n mod 1000)`; 0, which
 * no event in a log has, is `0`: no event before, or an event that was only published. */
#ifndef TIDEGATE_COMMON_EVENT_ID_H
#define TIDEGATE_COMMON_EVENT_ID_H

#include "common/slice.h"

/* The longest text and a NUL. */
#define EVENT_ID_SIZE 24
/* The largest id: the function library counts in doubles. */
#define EVENT_ID_MAX ((UINT64_C(1) << 53) - 1)

/* Writes n, at most EVENT_ID_MAX, and a NUL; returns the text, which lies in out. */
struct slice event_id_format(uint64_t n, char out[EVENT_ID_SIZE]);
/* Only what event_id_format writes is an id: no signs, no leading zeros, at most three digits behind the dash.
 * 0, or -1 for anything else. */
int event_id_parse(struct slice text, uint64_t *n);

#endif

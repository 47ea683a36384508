/* W3C Trace Context, version 00 of its header `traceparent`: where an event stands in a distributed trace,
 * "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01". It is carried as it came: we add no span of our own. */
#ifndef TIDEGATE_COMMON_TRACEPARENT_H
#define TIDEGATE_COMMON_TRACEPARENT_H

#include "common/slice.h"

#define TRACEPARENT_SIZE 55

enum traceparent_kind {
    TRACEPARENT_ABSENT, /* none, or one of zeros, which Dapr writes where there is no trace */
    TRACEPARENT_SOUND,
    TRACEPARENT_MALFORMED
};
enum traceparent_kind traceparent_kind(struct slice value);

/* The 32 hex digits of a sound one's trace; absent of an absent one. */
struct slice traceparent_trace_id(struct slice traceparent);
/* The same of one whose trace is recorded (flag `sampled`); else absent: nobody would find it. */
struct slice traceparent_sampled_id(struct slice traceparent);

#endif

/* What a decoder makes of a record, as a text that tests compare. */
#ifndef TIDEGATE_TESTS_ROUTER_DECODE_TEXT_H
#define TIDEGATE_TESTS_ROUTER_DECODE_TEXT_H

#include "router/decode.h"

#include <stdlib.h>

static inline void decode_text_optional(struct buf *b, const char *what, struct slice s)
{
    if (s.p != NULL)
        buf_printf(b, " %s=%.*s", what, SLICE_ARG(s));
}

/* "name to target,target: payload" and what else there is; or the sentence of a refusal. Returns owned. */
static inline char *decode_text(struct decoder *d, const struct record *r)
{
    struct buf b = {0};
    struct event ev;
    enum decode_outcome outcome = decode_record(d, r, &ev);
    if (outcome != DECODE_EVENT) {
        decode_describe(d, outcome, &b);
    } else {
        buf_printf(&b, "%.*s to ", SLICE_ARG(ev.name));
        for (size_t i = 0; i < ev.target_count; i++)
            buf_printf(&b, "%s%.*s", i > 0 ? "," : "", SLICE_ARG(ev.targets[i]));
        buf_printf(&b, ": %.*s", SLICE_ARG(ev.payload));
        decode_text_optional(&b, "key", ev.key);
        decode_text_optional(&b, "device", ev.source_device);
        decode_text_optional(&b, "conflate", ev.conflate_key);
        decode_text_optional(&b, "trace", ev.traceparent);
        if (d->bad_traceparent)
            buf_lit(&b, " bad_trace");
    }
    char *text = slice_dup(buf_slice(&b));
    buf_release(&b);
    return text;
}

/* An exact copy on the heap, so that the address sanitizer sees a step too far. Returns owned. */
static inline char *exact_copy(struct slice s)
{
    char *copy = xmalloc(s.n > 0 ? s.n : 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

#endif

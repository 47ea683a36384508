/* Section 3.2 of the recommendation: version "-" trace-id "-" parent-id "-" trace-flags, in lower-case hex. */
#include "common/traceparent.h"

#define VERSION_SIZE  2
#define TRACE_ID_SIZE 32

static bool is_lower_hex(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

static bool is_zero(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '0')
            return false;
    return true;
}

/* What a later version says in more bytes than these cannot be handed on in part: it is refused. Version ff is none. */
enum traceparent_kind traceparent_kind(struct slice value)
{
    static const uint8_t widths[] = {VERSION_SIZE, TRACE_ID_SIZE, 16, 2};
    struct slice rest = value, parts[ARRAY_LEN(widths)];
    if (value.p == NULL)
        return TRACEPARENT_ABSENT;
    if (value.n != TRACEPARENT_SIZE)
        return TRACEPARENT_MALFORMED;
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        parts[i] = slice_cut(&rest, '-');
        if (parts[i].n != widths[i] || !is_lower_hex(parts[i]))
            return TRACEPARENT_MALFORMED;
    }
    bool no_trace = is_zero(parts[1]), no_parent = is_zero(parts[2]);
    if (no_trace && no_parent)
        return TRACEPARENT_ABSENT;
    return no_trace || no_parent || slice_eq(parts[0], SLICE("ff")) ? TRACEPARENT_MALFORMED : TRACEPARENT_SOUND;
}

struct slice traceparent_trace_id(struct slice traceparent)
{
    if (traceparent.p == NULL)
        return traceparent;
    assert(traceparent.n == TRACEPARENT_SIZE);
    return slice_make(traceparent.p + VERSION_SIZE + 1, TRACE_ID_SIZE);
}

struct slice traceparent_sampled_id(struct slice traceparent)
{
    if (traceparent.p == NULL)
        return traceparent;
    char digit = traceparent.p[TRACEPARENT_SIZE - 1];
    int flags = digit <= '9' ? digit - '0' : digit - 'a' + 10;
    return flags & 1 ? traceparent_trace_id(traceparent) : (struct slice){0};
}

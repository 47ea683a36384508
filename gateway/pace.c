/* Asked again and again, this draws each thing's moment evenly out of the whole span: a few do not all go in its first
 * moments, as they would if fractions were rounded up, and none is late. */
#include "gateway/pace.h"
#include "common/hash.h"

void pace_start(struct pace *p, uint64_t now_ms, uint64_t span_ms)
{
    *p = (struct pace){.last_ms = now_ms, .end_ms = now_ms + span_ms};
}

size_t pace_due(struct pace *p, uint64_t now_ms, size_t left)
{
    if (now_ms >= p->end_ms)
        return left;
    uint64_t gone = now_ms - p->last_ms, span = p->end_ms - p->last_ms;
    p->last_ms = now_ms;
    return (size_t)((left * gone + hash_random() % span) / span);
}

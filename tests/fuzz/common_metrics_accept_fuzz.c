/* Any bytes as an Accept header, and as a traceparent. */
#include "common/metrics_page.h"
#include "common/traceparent.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_traceparent(struct slice text)
{
    if (traceparent_kind(text) != TRACEPARENT_SOUND)
        return;
    struct slice id = traceparent_trace_id(text), sampled = traceparent_sampled_id(text);
    if (id.n != METRIC_TRACE_ID_SIZE || id.p < text.p || id.p + id.n > text.p + text.n)
        BUG("a trace that is no part of the traceparent");
    if (sampled.p != NULL && !slice_eq(sampled, id))
        BUG("another trace is recorded");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = xmalloc(size > 0 ? size : 1); /* exact, so that a step too far is seen */
    if (size > 0)
        memcpy(copy, data, size);
    enum metrics_format format = metrics_format_for(slice_make(copy, size));
    if (format == METRICS_OPENMETRICS && size < sizeof("application/openmetrics-text") - 1)
        BUG("what was not named was chosen");
    check_traceparent(slice_make(copy, size));
    free(copy);
    return 0;
}

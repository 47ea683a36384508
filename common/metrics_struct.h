/* Template, to be included with METRICS_NAME and METRICS_DEF set: from the rows of METRICS_DEF it declares `struct
 * METRICS_NAME`, one cell (or an array of them) per row, and for each COUNTER_BY row an enum of its constants. */
#include "common/metrics.h"

#define LABEL(constant, word)                        constant,
#define COUNTER_BY(field, name, label, labels, help) METRICS_ENUM(labels)
#define METRICS_ENUM(...)                            enum { __VA_ARGS__ };
#define COUNTER(field, name, help)
#define COUNTER_OF(field, name, label, n, words, help)
#define GAUGE(field, name, help)
#define HISTOGRAM(field, name, bounds, help)
#define GAUGE_SERIES(name, help)
#define COUNTER_SERIES(name, help)
#include METRICS_DEF
#undef LABEL
#undef COUNTER_BY
#undef COUNTER
#undef COUNTER_OF
#undef GAUGE
#undef HISTOGRAM

#define LABEL(constant, word)                          +1
#define COUNTER_BY(field, name, label, labels, help)   struct metric_counter field[0 labels];
#define COUNTER(field, name, help)                     struct metric_counter field;
#define COUNTER_OF(field, name, label, n, words, help) struct metric_counter field[n];
#define GAUGE(field, name, help)                       struct metric_gauge field;
#define HISTOGRAM(field, name, bounds, help)           struct metric_histogram field;
struct METRICS_NAME {
#include METRICS_DEF
};
#undef LABEL
#undef COUNTER_BY
#undef COUNTER
#undef COUNTER_OF
#undef GAUGE
#undef HISTOGRAM
#undef GAUGE_SERIES
#undef COUNTER_SERIES

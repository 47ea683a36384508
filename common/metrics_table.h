/* Template, to be included after metrics_struct.h with the same METRICS_NAME and METRICS_DEF: turns the rows into the
 * static array metrics_rows. METRICS_ROWS initialises a struct metrics_table with it. */

#define METRICS_ROW(row_kind, row_name, row_help, ...)                                                                 \
    {.kind = (row_kind), .name = (row_name), .help = (row_help), __VA_ARGS__},
#define METRICS_AT(field)    .offset = offsetof(struct METRICS_NAME, field)
#define METRICS_WORDS(...)   ((const char *const[]){__VA_ARGS__})
#define METRICS_COUNT(field) (sizeof(((struct METRICS_NAME *)0)->field) / sizeof(struct metric_counter))

#define LABEL(constant, word)      word,
#define COUNTER(field, name, help) METRICS_ROW(METRIC_COUNTER, name, help, METRICS_AT(field), .count = 1)
#define COUNTER_BY(field, row_name, row_label, labels, row_help)                                                       \
    METRICS_ROW(METRIC_COUNTER, row_name, row_help, METRICS_AT(field), .label = (row_label),                           \
                .words = METRICS_WORDS(labels), .count = METRICS_COUNT(field))
#define COUNTER_OF(field, row_name, row_label, n, row_words, row_help)                                                 \
    METRICS_ROW(METRIC_COUNTER, row_name, row_help, METRICS_AT(field), .label = (row_label), .words = (row_words),     \
                .count = (n))
#define GAUGE(field, name, help) METRICS_ROW(METRIC_GAUGE, name, help, METRICS_AT(field), .count = 1)
#define HISTOGRAM(field, row_name, row_bounds, row_help)                                                               \
    METRICS_ROW(METRIC_HISTOGRAM, row_name, row_help, METRICS_AT(field), .bounds = &(row_bounds))
#define GAUGE_SERIES(name, help)   METRICS_ROW(METRIC_GAUGE_SERIES, name, help, .offset = 0)
#define COUNTER_SERIES(name, help) METRICS_ROW(METRIC_COUNTER_SERIES, name, help, .offset = 0)
static const struct metric metrics_rows[] = {
#include METRICS_DEF
};
#undef LABEL
#undef COUNTER
#undef COUNTER_BY
#undef COUNTER_OF
#undef GAUGE
#undef HISTOGRAM
#undef GAUGE_SERIES
#undef COUNTER_SERIES

#define METRICS_ROWS .size = sizeof(struct METRICS_NAME), .metrics = metrics_rows, .count = ARRAY_LEN(metrics_rows)

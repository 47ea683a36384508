/* What a scrape reads: a process's metrics as text, in one of two formats. Which one, the Accept header says. */
#ifndef TIDEGATE_COMMON_METRICS_PAGE_H
#define TIDEGATE_COMMON_METRICS_PAGE_H

#include "common/metrics.h"

enum metrics_format {
    METRICS_TEXT,       /* Prometheus text format 0.0.4 */
    METRICS_OPENMETRICS /* OpenMetrics 1.0: the same, with units, exemplars and an end */
};

/* The format that a client wants (RFC 9110 section 12.5.1): OpenMetrics where that is named and no less welcome than
 * text. p NULL: no such header. */
enum metrics_format metrics_format_for(struct slice accept);
/* A literal. */
const char *metrics_content_type(enum metrics_format format);

/* All metrics, instances added up. What the program writes itself follows, then the page's end. */
void metrics_scrape(const struct metrics *m, enum metrics_format format, struct buf *out);
void metrics_end(enum metrics_format format, struct buf *out);

/* What stands before the lines of a metric, for one that is left out of the scrape. */
void metrics_head(struct buf *out, enum metrics_format format, const struct metric *metric);

struct metric_label {
    const char *name;
    struct slice value; /* any bytes; escaped */
};
/* A line, the same in both formats. */
void metrics_line(struct buf *out, const char *name, const struct metric_label *labels, size_t count, int64_t value);
/* Without labels, a value of which `unit` make 1: with six decimals. */
void metrics_line_in_parts(struct buf *out, const char *name, int64_t value, uint64_t unit);

/* The table for the README. */
void metrics_markdown(const struct metrics_table *t, struct buf *out);

#endif

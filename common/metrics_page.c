/* The two formats differ in what surrounds the lines: OpenMetrics names a counter's family without its _total, tells
 * units, ends with a mark, writes 1 as 1.0 where it is a bound, and lets a bucket name the trace of what fell into it.
 */
#include "common/metrics_page.h"

static const char *const kind_names[] = {
    [METRIC_COUNTER] = "counter",        [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",    [METRIC_GAUGE_SERIES] = "gauge",
    [METRIC_COUNTER_SERIES] = "counter",
};

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                         : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- heads ---- */

static bool is_counter(const struct metric *metric)
{
    return metric->kind == METRIC_COUNTER || metric->kind == METRIC_COUNTER_SERIES;
}

static bool ends_with(struct slice s, struct slice end)
{
    return s.n > end.n && slice_eq(slice_from(s, s.n - end.n), end);
}

static struct slice family_of(const struct metric *metric, enum metrics_format format)
{
    struct slice name = slice_of(metric->name), total = SLICE("_total");
    if (format == METRICS_OPENMETRICS && is_counter(metric) && ends_with(name, total))
        name.n -= total.n;
    return name;
}

static void append_unit(struct buf *out, struct slice family)
{
    static const struct slice suffixes[] = {{"_seconds", 8}, {"_bytes", 6}};
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (ends_with(family, suffixes[i]))
            buf_printf(out, "# UNIT %.*s %s\n", SLICE_ARG(family), suffixes[i].p + 1);
}

void metrics_head(struct buf *out, enum metrics_format format, const struct metric *metric)
{
    struct slice family = family_of(metric, format);
    buf_printf(out, "# HELP %.*s %s\n", SLICE_ARG(family), metric->help);
    buf_printf(out, "# TYPE %.*s %s\n", SLICE_ARG(family), kind_names[metric->kind]);
    if (format == METRICS_OPENMETRICS)
        append_unit(out, family);
}

/* ---- lines ---- */

static void append_escaped(struct buf *out, struct slice value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"' || c == '\n')
            buf_byte(out, '\\');
        buf_byte(out, (char)(c == '\n' ? 'n' : c));
    }
}

void metrics_line(struct buf *out, const char *name, const struct metric_label *labels, size_t count, int64_t value)
{
    buf_append(out, slice_of(name));
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
        append_escaped(out, labels[i].value);
        buf_byte(out, '"');
    }
    if (count > 0)
        buf_byte(out, '}');
    buf_printf(out, " %lld\n", (long long)value);
}

void metrics_line_in_parts(struct buf *out, const char *name, int64_t value, uint64_t unit)
{
    buf_printf(out, "%s %.6f\n", name, (double)value / (double)unit);
}

static void append_cells(const struct metrics *m, const struct metric *metric, struct buf *out)
{
    for (size_t i = 0; i < metric->count; i++) {
        struct metric_label label = {metric->label, slice_of(metric->words != NULL ? metric->words[i] : NULL)};
        int64_t value = metrics_sum(m, metric->offset + i * sizeof(struct metric_counter));
        metrics_line(out, metric->name, &label, metric->label != NULL, value);
    }
}

static void append_series(const struct metrics *m, const struct metric *metric, struct buf *out)
{
    for (size_t i = 0; i < m->hook_count; i++)
        if (m->hooks[i].name == metric->name)
            m->hooks[i].append(m->hooks[i].ctx, metric->name, out);
}

/* ---- histograms ---- */

/* A bound that is whole is written 1 in the one format, 1.0 in the other. */
static void append_bound(struct buf *out, enum metrics_format format, const struct metric_bounds *b, size_t i)
{
    if (i == b->count) {
        buf_lit(out, "+Inf");
        return;
    }
    buf_printf(out, "%g", (double)b->upper[i] / (double)b->unit);
    if (format == METRICS_OPENMETRICS && b->upper[i] % b->unit == 0)
        buf_lit(out, ".0");
}

static void append_parts(struct buf *out, const struct metric_bounds *b, uint64_t value)
{
    buf_printf(out, "%.*f", b->unit == 1 ? 0 : 6, (double)value / (double)b->unit);
}

static void append_exemplar(const struct metrics *m, const struct metric *metric, size_t bucket, struct buf *out)
{
    struct metrics_exemplar e;
    if (!metrics_exemplar(m, metric->offset, bucket, &e))
        return;
    buf_printf(out, " # {trace_id=\"%.*s\"} ", METRIC_TRACE_ID_SIZE, e.trace_id);
    append_parts(out, metric->bounds, e.value);
    buf_printf(out, " %.3f", (double)e.wall_ms / 1000);
}

/* The count is the sum of the buckets read here, so that the lines agree with each other. */
static void append_histogram(const struct metrics *m, enum metrics_format format, const struct metric *metric,
                             struct buf *out)
{
    const struct metric_bounds *b = metric->bounds;
    size_t buckets = metric->offset + offsetof(struct metric_histogram, buckets);
    uint64_t count = 0;
    for (size_t i = 0; i <= b->count; i++) {
        count += metrics_sum_cells(m, buckets + i * sizeof(uint64_t));
        buf_printf(out, "%s_bucket{le=\"", metric->name);
        append_bound(out, format, b, i);
        buf_printf(out, "\"} %llu", (unsigned long long)count);
        if (format == METRICS_OPENMETRICS)
            append_exemplar(m, metric, i, out);
        buf_byte(out, '\n');
    }
    buf_printf(out, "%s_sum ", metric->name);
    append_parts(out, b, metrics_sum_cells(m, metric->offset + offsetof(struct metric_histogram, sum)));
    buf_printf(out, "\n%s_count %llu\n", metric->name, (unsigned long long)count);
}

/* ---- pages ---- */

static void append_metric(const struct metrics *m, enum metrics_format format, const struct metric *metric,
                          struct buf *out)
{
    metrics_head(out, format, metric);
    if (metric->kind == METRIC_HISTOGRAM)
        append_histogram(m, format, metric, out);
    else if (metric_is_series(metric))
        append_series(m, metric, out);
    else
        append_cells(m, metric, out);
}

void metrics_scrape(const struct metrics *m, enum metrics_format format, struct buf *out)
{
    for (size_t i = 0; i < m->hook_count; i++)
        if (m->hooks[i].sample != NULL)
            m->hooks[i].sample(m->hooks[i].ctx);
    for (size_t i = 0; i < m->table->count; i++)
        if (m->left_out == NULL || strcmp(m->left_out, m->table->metrics[i].name) != 0)
            append_metric(m, format, &m->table->metrics[i], out);
}

void metrics_end(enum metrics_format format, struct buf *out)
{
    if (format == METRICS_OPENMETRICS)
        buf_lit(out, "# EOF\n");
}

void metrics_markdown(const struct metrics_table *t, struct buf *out)
{
    buf_lit(out, "| metric | type | label | what it says |\n|---|---|---|---|\n");
    for (size_t i = 0; i < t->count; i++) {
        const struct metric *metric = &t->metrics[i];
        buf_printf(out, "| `%s` | %s | ", metric->name, kind_names[metric->kind]);
        if (metric->label != NULL)
            buf_printf(out, "`%s` ", metric->label);
        buf_printf(out, "| %s |\n", metric->help);
    }
}

/* Cells of threads, added up when somebody asks. Relaxed atomics throughout: a scrape may see one cell a little earlier
 * than another, never half a number. */
#include "common/metrics.h"

#include <stdlib.h>

#define CACHE_LINE 64

const struct metric_bounds metric_seconds = {
    .unit = 1000000,
    .count = 18,
    .upper = {100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000, 500000, 1000000, 2000000, 5000000,
              10000000, 30000000, 60000000},
};

const struct metric_bounds metric_counts = {
    .unit = 1,
    .count = 10,
    .upper = {1, 2, 3, 5, 10, 20, 50, 100, 200, 1000},
};

static const char *const kind_names[] = {
    [METRIC_COUNTER] = "counter",        [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",    [METRIC_GAUGE_SERIES] = "gauge",
    [METRIC_COUNTER_SERIES] = "counter",
};

struct metrics_hook {
    const char *name; /* of a series; NULL: a sampler */
    void (*append)(void *ctx, const char *name, struct buf *out);
    void (*sample)(void *ctx);
    void *ctx;
};

static void add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The first bound that the value does not exceed. Counting them all has no branch to predict wrongly, which costs more
 * than the comparisons. */
static _Atomic uint64_t *bucket_of(struct metric_histogram *h, uint64_t value)
{
    size_t below = 0;
    for (size_t i = 0; i < h->bounds->count; i++)
        below += value > h->bounds->upper[i];
    return &h->buckets[below];
}

void histogram_observe(struct metric_histogram *h, uint64_t value)
{
    histogram_observe_many(h, value, 1);
}

void histogram_observe_many(struct metric_histogram *h, uint64_t value, uint64_t count)
{
    add(bucket_of(h, value), count);
    add(&h->sum, value * count);
}

void histogram_forget(struct metric_histogram *h, uint64_t value)
{
    add(bucket_of(h, value), (uint64_t)-1);
    add(&h->sum, -value);
}

void metrics_init(struct metrics *m, const struct metrics_table *t)
{
    *m = (struct metrics){.table = t};
}

void metrics_release(struct metrics *m)
{
    for (size_t i = 0; i < m->instance_count; i++)
        free(m->instances[i]);
    free(m->instances);
    free(m->hooks);
    *m = (struct metrics){0};
}

void *metrics_instance(struct metrics *m)
{
    size_t size = (m->table->size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    char *instance = aligned_alloc(CACHE_LINE, size);
    if (instance == NULL)
        BUG("out of memory");
    memset(instance, 0, size);
    for (size_t i = 0; i < m->table->count; i++)
        if (m->table->metrics[i].kind == METRIC_HISTOGRAM)
            ((struct metric_histogram *)(void *)(instance + m->table->metrics[i].offset))->bounds =
                m->table->metrics[i].bounds;
    m->instances = xrealloc(m->instances, (m->instance_count + 1) * sizeof(*m->instances));
    m->instances[m->instance_count++] = instance;
    return instance;
}

static bool is_series(const struct metric *metric)
{
    return metric->kind == METRIC_GAUGE_SERIES || metric->kind == METRIC_COUNTER_SERIES;
}

static void add_hook(struct metrics *m, struct metrics_hook hook)
{
    m->hooks = xrealloc(m->hooks, (m->hook_count + 1) * sizeof(*m->hooks));
    m->hooks[m->hook_count++] = hook;
}

void metrics_on_scrape(struct metrics *m, void (*sample)(void *ctx), void *ctx)
{
    add_hook(m, (struct metrics_hook){.sample = sample, .ctx = ctx});
}

void metrics_source(struct metrics *m, const char *name, void (*append)(void *ctx, const char *name, struct buf *out),
                    void *ctx)
{
    for (size_t i = 0; i < m->table->count; i++)
        if (is_series(&m->table->metrics[i]) && strcmp(m->table->metrics[i].name, name) == 0) {
            add_hook(m, (struct metrics_hook){.name = m->table->metrics[i].name, .append = append, .ctx = ctx});
            return;
        }
    BUG("no series is called %s", name);
}

static uint64_t sum_cells(const struct metrics *m, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->instance_count; i++) {
        const _Atomic uint64_t *cell = (const void *)((const char *)m->instances[i] + offset);
        sum += atomic_load_explicit(cell, memory_order_relaxed);
    }
    return sum;
}

int64_t metrics_sum(const struct metrics *m, size_t offset)
{
    return (int64_t)sum_cells(m, offset);
}

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

/* The count is the sum of the buckets read here, so that the lines agree with each other. */
static void append_histogram(const struct metrics *m, const struct metric *metric, struct buf *out)
{
    const struct metric_bounds *b = metric->bounds;
    uint64_t count = 0;
    for (size_t i = 0; i <= b->count; i++) {
        count += sum_cells(m, metric->offset + offsetof(struct metric_histogram, buckets) + i * sizeof(uint64_t));
        buf_printf(out, "%s_bucket{le=\"", metric->name);
        if (i < b->count)
            buf_printf(out, "%g", (double)b->upper[i] / (double)b->unit);
        else
            buf_lit(out, "+Inf");
        buf_printf(out, "\"} %llu\n", (unsigned long long)count);
    }
    uint64_t sum = sum_cells(m, metric->offset + offsetof(struct metric_histogram, sum));
    buf_printf(out, "%s_sum %.*f\n", metric->name, b->unit == 1 ? 0 : 6, (double)sum / (double)b->unit);
    buf_printf(out, "%s_count %llu\n", metric->name, (unsigned long long)count);
}

static void append_series(const struct metrics *m, const struct metric *metric, struct buf *out)
{
    for (size_t i = 0; i < m->hook_count; i++)
        if (m->hooks[i].name == metric->name)
            m->hooks[i].append(m->hooks[i].ctx, metric->name, out);
}

static void append_metric(const struct metrics *m, const struct metric *metric, struct buf *out)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name, kind_names[metric->kind]);
    if (metric->kind == METRIC_HISTOGRAM)
        append_histogram(m, metric, out);
    else if (is_series(metric))
        append_series(m, metric, out);
    else
        append_cells(m, metric, out);
}

void metrics_scrape(const struct metrics *m, struct buf *out)
{
    for (size_t i = 0; i < m->hook_count; i++)
        if (m->hooks[i].sample != NULL)
            m->hooks[i].sample(m->hooks[i].ctx);
    for (size_t i = 0; i < m->table->count; i++)
        if (m->left_out == NULL || strcmp(m->left_out, m->table->metrics[i].name) != 0)
            append_metric(m, &m->table->metrics[i], out);
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

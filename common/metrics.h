/* Metrics declared once. A program's metrics.def holds one row per metric; metrics_struct.h turns the rows into a
 * struct of cells, metrics_table.h into the table that a scrape and the documents are printed from.
 *
 *   COUNTER(field, "name_total", "Help.")
 *   COUNTER_BY(field, "name_total", "label", LABEL(CONSTANT, "word") LABEL(…) …, "Help.")
 *   COUNTER_OF(field, "name_total", "label", count, words, "Help.")  the labels of an enum that others own: its size,
 *                                                                    and an array of its words
 *   GAUGE(field, "name", "Help.")
 *   HISTOGRAM(field, "name_seconds", metric_seconds, "Help.")
 *   GAUGE_SERIES("name", "Help.")                                    lines come from a function (metrics_source)
 *   COUNTER_SERIES("name_total", "Help.")
 *
 * A help text holds neither quotes, backslashes nor line feeds. No other metric has a counter's name without its
 * _total: to OpenMetrics that is the counter.
 *
 * Every thread that counts owns an instance of the struct and is the only one that writes to it, with plain loads and
 * stores; a scrape adds the instances up from any thread. */
#ifndef TIDEGATE_COMMON_METRICS_H
#define TIDEGATE_COMMON_METRICS_H

#include "common/buf.h"

#include <stdatomic.h>

struct metric_counter {
    _Atomic uint64_t n;
};

struct metric_gauge {
    _Atomic int64_t n;
};

/* The upper bounds of a histogram, rising, in the unit that is observed; `unit` of them make 1 in what is printed. */
#define METRIC_BOUNDS_MAX 20
struct metric_bounds {
    uint64_t unit;
    size_t count;
    uint64_t upper[METRIC_BOUNDS_MAX];
};

/* Observed in microseconds, printed in seconds: 0.1 ms to 60 s. */
extern const struct metric_bounds metric_seconds;
/* Small numbers: 1 to 1,000. */
extern const struct metric_bounds metric_counts;

/* An observation whose trace is known: the last one of its bucket. No trace: there was none yet. While the owner
 * writes, seq is odd. */
#define METRIC_TRACE_ID_SIZE 32
struct metric_exemplar {
    _Atomic uint64_t seq;
    _Atomic uint64_t trace_id[METRIC_TRACE_ID_SIZE / sizeof(uint64_t)];
    _Atomic uint64_t value, wall_ms;
};

struct metric_histogram {
    const struct metric_bounds *bounds;
    _Atomic uint64_t buckets[METRIC_BOUNDS_MAX + 1]; /* the last one: above all bounds */
    _Atomic uint64_t sum;
    struct metric_exemplar exemplars[METRIC_BOUNDS_MAX + 1];
};

/* For the owner of the instance alone. */
static inline void counter_add(struct metric_counter *c, uint64_t n)
{
    uint64_t now = atomic_load_explicit(&c->n, memory_order_relaxed);
    atomic_store_explicit(&c->n, now + n, memory_order_relaxed);
}

static inline void gauge_set(struct metric_gauge *g, int64_t n)
{
    atomic_store_explicit(&g->n, n, memory_order_relaxed);
}

static inline void gauge_add(struct metric_gauge *g, int64_t n)
{
    gauge_set(g, atomic_load_explicit(&g->n, memory_order_relaxed) + n);
}

void histogram_observe(struct metric_histogram *h, uint64_t value);
/* The same value count times. */
void histogram_observe_many(struct metric_histogram *h, uint64_t value, uint64_t count);
/* Names the trace of a value that was just observed. trace_id: 32 hex digits; wall_ms: now, since 1970. */
void histogram_exemplify(struct metric_histogram *h, uint64_t value, struct slice trace_id, uint64_t wall_ms);
/* Takes back an observation, for a distribution of what is there now. */
void histogram_forget(struct metric_histogram *h, uint64_t value);

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
    METRIC_GAUGE_SERIES,
    METRIC_COUNTER_SERIES,
};

struct metric {
    enum metric_kind kind;
    const char *name, *help;
    size_t offset;
    const struct metric_bounds *bounds;
    const char *label;        /* NULL: none */
    const char *const *words; /* the values of the label */
    size_t count;             /* and how many */
};

static inline bool metric_is_series(const struct metric *metric)
{
    return metric->kind == METRIC_GAUGE_SERIES || metric->kind == METRIC_COUNTER_SERIES;
}

struct metrics_table {
    size_t size; /* of the struct */
    const struct metric *metrics;
    size_t count;
};

struct metrics_hook {
    const char *name; /* of a series; NULL: a sampler */
    void (*append)(void *ctx, const char *name, struct buf *out);
    void (*sample)(void *ctx);
    void *ctx;
};

/* A process's metrics. Filled before a second thread starts, only read afterwards. */
struct metrics {
    const struct metrics_table *table;
    void **instances;
    size_t instance_count;
    struct metrics_hook *hooks;
    size_t hook_count;
    const char *left_out; /* a metric that the program writes itself; NULL: none */
};

void metrics_init(struct metrics *m, const struct metrics_table *t);
/* Frees the instances too. */
void metrics_release(struct metrics *m);
/* A zeroed struct of cells in cache lines of its own; owned by m. */
void *metrics_instance(struct metrics *m);

/* Called at the beginning of each scrape, to gauge_set what is known only by looking. Runs in the thread that scrapes,
 * in two at once when two do. ctx is *borrowed*. */
void metrics_on_scrape(struct metrics *m, void (*sample)(void *ctx), void *ctx);
/* Gives a series its lines, by metrics_page.h; runs as above. Bound the number of lines. */
void metrics_source(struct metrics *m, const char *name, void (*append)(void *ctx, const char *name, struct buf *out),
                    void *ctx);

/* The sum of all instances' cells at this offset: a counter's or a gauge's, by its field. */
int64_t metrics_sum(const struct metrics *m, size_t offset);
/* The same of one cell of a histogram. */
uint64_t metrics_sum_cells(const struct metrics *m, size_t offset);

struct metrics_exemplar {
    char trace_id[METRIC_TRACE_ID_SIZE];
    uint64_t value, wall_ms;
};
/* The newest exemplar of a histogram's bucket, by the histogram's offset, over all instances. False: there is none. */
bool metrics_exemplar(const struct metrics *m, size_t offset, size_t bucket, struct metrics_exemplar *out);

#endif

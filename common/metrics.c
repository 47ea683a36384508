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

static void add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The first bound that the value does not exceed. Counting them all has no branch to predict wrongly, which costs more
 * than the comparisons. */
static size_t bucket_of(const struct metric_histogram *h, uint64_t value)
{
    size_t below = 0;
    for (size_t i = 0; i < h->bounds->count; i++)
        below += value > h->bounds->upper[i];
    return below;
}

void histogram_observe(struct metric_histogram *h, uint64_t value)
{
    histogram_observe_many(h, value, 1);
}

void histogram_observe_many(struct metric_histogram *h, uint64_t value, uint64_t count)
{
    add(&h->buckets[bucket_of(h, value)], count);
    add(&h->sum, value * count);
}

/* Every cell is atomic, so that a scrape may read on; release and acquire keep them between the two writes of seq. */
void histogram_exemplify(struct metric_histogram *h, uint64_t value, struct slice trace_id, uint64_t wall_ms)
{
    struct metric_exemplar *e = &h->exemplars[bucket_of(h, value)];
    uint64_t words[ARRAY_LEN(e->trace_id)];
    assert(trace_id.n == sizeof(words));
    memcpy(words, trace_id.p, sizeof(words));
    uint64_t seq = atomic_load_explicit(&e->seq, memory_order_relaxed);
    atomic_store_explicit(&e->seq, seq + 1, memory_order_relaxed);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        atomic_store_explicit(&e->trace_id[i], words[i], memory_order_release);
    atomic_store_explicit(&e->value, value, memory_order_release);
    atomic_store_explicit(&e->wall_ms, wall_ms, memory_order_release);
    atomic_store_explicit(&e->seq, seq + 2, memory_order_release);
}

void histogram_forget(struct metric_histogram *h, uint64_t value)
{
    add(&h->buckets[bucket_of(h, value)], (uint64_t)-1);
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
        if (metric_is_series(&m->table->metrics[i]) && strcmp(m->table->metrics[i].name, name) == 0) {
            add_hook(m, (struct metrics_hook){.name = m->table->metrics[i].name, .append = append, .ctx = ctx});
            return;
        }
    BUG("no series is called %s", name);
}

uint64_t metrics_sum_cells(const struct metrics *m, size_t offset)
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
    return (int64_t)metrics_sum_cells(m, offset);
}

/* False: there is none, or it is being written at this moment. */
static bool read_exemplar(const struct metric_exemplar *e, struct metrics_exemplar *out)
{
    uint64_t words[ARRAY_LEN(e->trace_id)];
    uint64_t seq = atomic_load_explicit(&e->seq, memory_order_acquire);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        words[i] = atomic_load_explicit(&e->trace_id[i], memory_order_acquire);
    out->value = atomic_load_explicit(&e->value, memory_order_acquire);
    out->wall_ms = atomic_load_explicit(&e->wall_ms, memory_order_acquire);
    memcpy(out->trace_id, words, sizeof(words));
    return seq != 0 && seq % 2 == 0 && atomic_load_explicit(&e->seq, memory_order_relaxed) == seq;
}

bool metrics_exemplar(const struct metrics *m, size_t offset, size_t bucket, struct metrics_exemplar *out)
{
    bool found = false;
    for (size_t i = 0; i < m->instance_count; i++) {
        const struct metric_histogram *h = (const void *)((const char *)m->instances[i] + offset);
        struct metrics_exemplar one;
        if (!read_exemplar(&h->exemplars[bucket], &one) || (found && one.wall_ms < out->wall_ms))
            continue;
        *out = one;
        found = true;
    }
    return found;
}

/* A row has a need for each bucket, because buckets are lost at different times, and get on at different times. */
#include "router/refill_plan.h"

#include <stdlib.h>

void refill_plan_clear(struct refill_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        partition_unref(plan->rows[i].partition);
    plan->count = 0;
    plan->unsettled = false;
}

void refill_plan_release(struct refill_plan *plan)
{
    refill_plan_clear(plan);
    free(plan->rows);
    *plan = (struct refill_plan){.rows = NULL};
}

void refill_plan_add(struct refill_plan *plan, const struct partition *ours)
{
    if (plan->count == plan->cap) {
        plan->cap = plan->cap > 0 ? plan->cap * 2 : 4;
        plan->rows = xrealloc(plan->rows, plan->cap * sizeof(*plan->rows));
    }
    struct refill_row *row = &plan->rows[plan->count++];
    *row = (struct refill_row){.partition = partition_new(ours->topic, ours->id)};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        row->needs[bucket].to = -1;
    partition_know(row->partition, ours->generation, 0, NULL);
}

/* ---- markers ---- */

static struct refill_row *row_of(const struct refill_plan *plan, struct slice part)
{
    for (size_t i = 0; i < plan->count; i++)
        if (slice_eq(part, slice_of(plan->rows[i].partition->part)))
            return &plan->rows[i];
    return NULL;
}

/* "topic#generation/id" of a partition of ours, but not its generation. */
static bool is_other_generation(const struct refill_plan *plan, struct slice part)
{
    struct slice rest = part;
    uint64_t id;
    struct slice topic = slice_cut(&rest, '#');
    if (rest.p == NULL)
        return false;
    slice_cut(&rest, '/');
    if (rest.p == NULL || slice_to_u64(rest, &id) != 0)
        return false;
    for (size_t i = 0; i < plan->count; i++) {
        const struct partition *p = plan->rows[i].partition;
        if ((uint64_t)p->id == id && slice_eq(topic, slice_of(p->topic)))
            return !slice_eq(part, slice_of(p->part));
    }
    return false;
}

static struct slice text_of(const redisReply *reply)
{
    return slice_make(reply->str, reply->len);
}

/* "<milliseconds>-<microseconds>"; 0 for one that is not to be read, which is never too old. */
static bool is_too_old(struct slice since, uint64_t oldest_ms)
{
    uint64_t ms;
    return slice_to_u64(slice_cut(&since, '-'), &ms) == 0 && ms != 0 && ms < oldest_ms;
}

static bool take_bound(struct refill_plan *plan, unsigned bucket, struct slice part, struct slice value)
{
    struct refill_row *row = row_of(plan, part);
    uint64_t bound;
    if (row == NULL)
        return !is_other_generation(plan, part);
    if (slice_to_u64(value, &bound) == 0)
        row->needs[bucket].to = (int64_t)bound;
    else
        plan->unsettled = true;
    return true;
}

static void take_watermark(struct refill_plan *plan, unsigned bucket, struct slice part, struct slice value)
{
    struct refill_row *row = row_of(plan, part);
    uint64_t offset;
    if (row != NULL && slice_to_u64(value, &offset) == 0)
        row->needs[bucket].from = (int64_t)offset;
}

static struct slice field_of(const redisReply *marker, struct slice name)
{
    for (size_t i = 0; i + 1 < marker->elements; i += 2)
        if (slice_eq(text_of(marker->element[i]), name))
            return text_of(marker->element[i + 1]);
    return (struct slice){0};
}

size_t refill_plan_take(struct refill_plan *plan, unsigned bucket, const redisReply *marker, uint64_t oldest_ms,
                        struct slice *stale, size_t max)
{
    bool old = is_too_old(field_of(marker, SLICE("since")), oldest_ms);
    size_t n = 0;
    for (size_t i = 0; i + 1 < marker->elements; i += 2) {
        struct slice name = text_of(marker->element[i]), value = text_of(marker->element[i + 1]);
        if (slice_starts(name, SLICE("r:"))) {
            struct slice part = slice_from(name, 2);
            bool can = !old && take_bound(plan, bucket, part, value);
            if (!can && n < max)
                stale[n++] = part;
        } else if (slice_starts(name, SLICE("~")))
            take_watermark(plan, bucket, slice_from(name, 1), value);
    }
    return n;
}

static bool is_awaited(const struct refill_row *row)
{
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (row->needs[bucket].to >= 0)
            return true;
    return false;
}

/* ---- reading ---- */

void refill_plan_trim(struct refill_plan *plan)
{
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (is_awaited(&plan->rows[i]))
            plan->rows[kept++] = plan->rows[i];
        else
            partition_unref(plan->rows[i].partition);
    }
    plan->count = kept;
}

void refill_row_begin(struct refill_row *row, int64_t low, int64_t start)
{
    int64_t first = INT64_MAX;
    bool from_the_beginning = false;
    row->end = 0;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        struct refill_need *need = &row->needs[bucket];
        if (need->to < 0)
            continue;
        from_the_beginning |= need->from < low;
        need->from = MAX(need->from, start);
        if (need->from >= need->to)
            continue;
        first = MIN(first, need->from);
        row->end = MAX(row->end, need->to);
    }
    row->truncated = low > 0 && start <= low && from_the_beginning;
    row->read = row->end == 0;
    partition_place(row->partition, row->read ? 0 : first);
}

struct refill_row *refill_plan_find(const struct refill_plan *plan, const char *topic, int32_t id)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct partition *p = plan->rows[i].partition;
        if (p->id == id && strcmp(p->topic, topic) == 0)
            return &plan->rows[i];
    }
    return NULL;
}

bool refill_row_needs(const struct refill_row *row, unsigned bucket, int64_t offset)
{
    return offset >= row->needs[bucket].from && offset < row->needs[bucket].to;
}

int64_t refill_row_progress(const struct refill_row *row, unsigned bucket)
{
    int64_t to = row->needs[bucket].to;
    return row->read ? to : MIN(to, row->partition->next);
}

uint64_t refill_plan_left(const struct refill_plan *plan)
{
    uint64_t left = 0;
    for (size_t i = 0; i < plan->count; i++)
        if (!plan->rows[i].read)
            left += (uint64_t)(plan->rows[i].end - plan->rows[i].partition->next);
    return left;
}

size_t refill_plan_buckets(const struct refill_plan *plan)
{
    size_t n = 0;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        bool awaits = false;
        for (size_t i = 0; i < plan->count && !awaits; i++)
            awaits = plan->rows[i].needs[bucket].to > refill_row_progress(&plan->rows[i], bucket);
        n += awaits;
    }
    return n;
}

bool refill_plan_is_read(const struct refill_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (!plan->rows[i].read)
            return false;
    return true;
}

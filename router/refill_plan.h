/* What is to be refilled, as the markers say: of each of our partitions, which offsets each bucket still awaits. Pure.
 */
#ifndef TIDEGATE_ROUTER_REFILL_PLAN_H
#define TIDEGATE_ROUTER_REFILL_PLAN_H

#include "common/redis_fn.h"
#include "router/partition.h"

/* Offsets from <= o < to, which may be none. to < 0: the bucket's marker does not speak of the partition. */
struct refill_need {
    int64_t from, to;
};

struct refill_row {
    struct partition *partition; /* of our own: how far its history was read */
    struct refill_need needs[TARGET_BUCKETS];
    int64_t end;     /* above all needs */
    bool truncated;  /* Kafka has deleted what was at the beginning of the retention */
    bool begun;      /* a record of it was read */
    bool read;       /* to its end */
    int64_t from_ms; /* Kafka's time of the first record, when truncated and begun */
};

struct refill_plan {
    struct refill_row *rows;
    size_t count, cap;
    bool unsettled; /* a marker must be looked at again: somebody has to say first where live events start */
};

/* Zero-initialised is ready. */
void refill_plan_clear(struct refill_plan *plan);
void refill_plan_release(struct refill_plan *plan);

/* A partition of ours; its part says of which generation. */
void refill_plan_add(struct refill_plan *plan, const struct partition *ours);
/* Takes what a marker (a reply to HGETALL) awaits of our partitions. stale[0..max) receives parts that nobody can
 * refill any more: of another generation of a partition of ours, or of any when the marker's `since` is before
 * oldest_ms; borrowed from the reply. Returns how many. */
size_t refill_plan_take(struct refill_plan *plan, unsigned bucket, const redisReply *marker, uint64_t oldest_ms,
                        struct slice *stale, size_t max);
/* Forgets the rows of which nothing is awaited. */
void refill_plan_trim(struct refill_plan *plan);
/* Where a row's reading starts: Kafka's first offset is low, its first within the retention start. */
void refill_row_begin(struct refill_row *row, int64_t low, int64_t start);

struct refill_row *refill_plan_find(const struct refill_plan *plan, const char *topic, int32_t id);
bool refill_row_needs(const struct refill_row *row, unsigned bucket, int64_t offset);
/* All of the bucket's history below it was handed on: what its marker may be told; -1: nothing. */
int64_t refill_row_progress(const struct refill_row *row, unsigned bucket);
/* Records still to be read, about. */
uint64_t refill_plan_left(const struct refill_plan *plan);
/* Buckets that await something. */
size_t refill_plan_buckets(const struct refill_plan *plan);
bool refill_plan_is_read(const struct refill_plan *plan);

#endif

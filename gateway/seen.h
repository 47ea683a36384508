/* How far each Kafka partition has come to somebody: the last coordinate of each of its last few partitions. Within a
 * target a partition's events come in order, so what is at or below it was seen. Zero-initialised is empty and ready.
 */
#ifndef TIDEGATE_GATEWAY_SEEN_H
#define TIDEGATE_GATEWAY_SEEN_H

#include "common/slice.h"

#define SEEN_MAX 64

struct seen_row {
    uint64_t part; /* keyed hash of `topic#generation/partition`: nobody can choose two that collide */
    uint64_t offset, n;
};

struct seen {
    struct seen_row *rows; /* owned; in the order in which they came first */
    uint8_t count;
};

uint64_t seen_part(struct slice part);
/* False: it was seen already. Else it is now; the oldest of SEEN_MAX partitions makes room for another one, which costs
 * a repeat at worst, never a loss. */
bool seen_take(struct seen *s, uint64_t part, uint64_t offset, uint64_t n);
/* Makes it a copy of another. */
void seen_copy(struct seen *s, const struct seen *of);
/* Forgets the partition, if it had come no further than to this coordinate. */
void seen_forget(struct seen *s, uint64_t part, uint64_t offset, uint64_t n);
/* Whether it has come as far as another in each partition that both know. */
bool seen_covers(const struct seen *s, const struct seen *other);
/* Leaves it empty and ready. */
void seen_release(struct seen *s);

#endif

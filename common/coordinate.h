/* Where in Kafka an event comes from, as text. A *part* is `topic#generation/partition` (the generation counts how
 * often the topic was created anew); a coordinate is `part/offset`, or `part/offset.n` for the n-th event of a record,
 * n > 0. It is the key of the event: the same text is the same event. */
#ifndef TIDEGATE_COMMON_COORDINATE_H
#define TIDEGATE_COMMON_COORDINATE_H

#include "common/buf.h"

struct coordinate {
    struct slice part;
    uint64_t offset, n; /* n: the place within the record */
};

/* A topic's name (at most 249 bytes), and the numbers around it. */
#define COORDINATE_PART_MAX 320

void coordinate_append_part(struct buf *out, struct slice topic, uint64_t generation, uint32_t partition);
void coordinate_append(struct buf *out, const struct coordinate *c);
/* Only what coordinate_append writes; out->part borrows from text. 0, or -1. */
int coordinate_parse(struct slice text, struct coordinate *out);

#endif

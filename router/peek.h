/* Single records, read beside the group: what stands before a position says whether its topic is still the same. */
#ifndef TIDEGATE_ROUTER_PEEK_H
#define TIDEGATE_ROUTER_PEEK_H

#include "router/partition.h"

struct peek {
    const char *topic; /* borrowed */
    int32_t id;
    int64_t offset;
    bool answered;             /* what is there is known */
    struct fingerprint record; /* not known: no record has that offset (any more) */
};

/* Reads the records at all these offsets with a consumer that is set up like rk, is no member of the group and goes
 * away again. Blocks, for a while even beyond limit_ms; what was not answered by then stays so. */
void peek_records(rd_kafka_t *rk, struct peek *rows, size_t count, int limit_ms);

#endif

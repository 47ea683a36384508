/* Refilling what Redis lost: reads our partitions once more from the beginning of the retention up to where live events
 * go on, and appends what it finds to the second logs of the buckets whose markers await it. Live events go first. How
 * far it got stands in the markers, so whoever owns a partition next goes on from there. */
#ifndef TIDEGATE_ROUTER_REFILL_H
#define TIDEGATE_ROUTER_REFILL_H

#include "router/assignment.h"
#include "router/decode.h"
#include "router/reader.h"
#include "router/refill_plan.h"

struct refill {
    struct loop *loop;
    struct router_metrics *metrics;
    struct publisher *publisher;
    const struct assignment *assignment;
    rd_kafka_conf_t *conf; /* owned: of the reader */
    struct decoder decoder;
    struct reader reader;
    struct refill_plan plan;
    bool wanted;          /* markers must be looked at */
    bool looking, failed; /* the look under way counts, and could not ask all */
    size_t waiting;       /* replies of looks still to come */
    uint16_t cells[TARGET_BUCKETS];
    struct lookup *lookup; /* where partitions begin, under way or NULL */
    bool asking;           /* and its answer counts */
    bool running;          /* the plan is carried out */
    unsigned mark_bucket;  /* where the round of marks stands */
    unsigned last_marks;   /* buckets that were told the end */
    struct redis_fn_watermark *fields;
    struct timer timer;
    /* For the log, since the first plan until nothing is awaited: */
    uint64_t begun_ms, records;
};

/* *Takes* conf, borrows the others for its life. After the assignment, before the publisher's links. */
void refill_init(struct refill *r, struct loop *l, const struct decoder_conf *decoder, rd_kafka_conf_t *conf,
                 struct router_metrics *metrics, struct publisher *publisher, const struct assignment *assignment);
/* Waits for the library's threads. */
void refill_release(struct refill *r);

/* Partitions have their places: drops what it was at, and looks what there is to do. */
void refill_wake(struct refill *r);
/* Buckets went to other nodes: the same, once they have done so for a while no more. */
void refill_move(struct refill *r);
/* Redis is away, or the router ends: drops everything. */
void refill_halt(struct refill *r);
/* Nothing of it is under way in other threads, or expected from Redis. */
bool refill_is_quiet(const struct refill *r);

#endif

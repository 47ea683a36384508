/* Records that cannot become events go to a topic of their own, as they were, with the reason in headers. A record
 * counts as done only when its dead letter is in Kafka, or when that could not be had for a while: then it is logged
 * with its coordinates, counted, and passed. */
#ifndef TIDEGATE_ROUTER_DEADLETTER_H
#define TIDEGATE_ROUTER_DEADLETTER_H

#include "router/event.h"
#include "router/metrics.h"
#include "router/partition.h"
#include "router/producer.h"

#define DEADLETTERS_MAX 1000 /* under way at once; then no more records are read */

struct deadletters {
    struct loop *loop;
    struct producer *producer;
    struct router_metrics *metrics;
    const char *suffix; /* of the topic */
    uint64_t retry_ms;
    size_t waiting;
};

void deadletters_init(struct deadletters *dl, struct loop *l, struct producer *producer, struct router_metrics *metrics,
                      const char *suffix, uint64_t retry_ms);

/* Why a record is none of ours; *borrowed*. */
struct refusal {
    const char *reason;       /* a word */
    struct slice detail;      /* a sentence about it */
    struct slice traceparent; /* sound, or absent */
};

/* Sends a record with what is wrong with it. step (may be NULL, for what does not come from Kafka) gets one step more,
 * finished when the dead letter is. */
void deadletters_send(struct deadletters *dl, const struct record *r, const struct refusal *why,
                      const struct step *step);

#endif

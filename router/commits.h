/* Saying how far our partitions are applied: to Kafka, whose commits lag tools and the next owner read, and in copies
 * to Redis (copies.h). */
#ifndef TIDEGATE_ROUTER_COMMITS_H
#define TIDEGATE_ROUTER_COMMITS_H

#include "router/assignment.h"

/* All borrowed. */
struct commits {
    struct assignment *assignment;
    struct consumer *consumer;
    struct publisher *publisher;
    struct router_metrics *metrics;
};

/* Commits what changed since the last time, soon. */
void commits_send(struct commits *c);
/* The same, of `among` only unless it is NULL, before it returns but within wait_ms. */
void commits_send_now(struct commits *c, const rd_kafka_topic_partition_list_t *among, int wait_ms);
/* A commit came to nothing: it is due again. */
void commits_fail(struct commits *c, const rd_kafka_topic_partition_list_t *partitions);

/* Copies all positions, also where nothing changed: Redis may have lost them, Kafka the commits. */
void commits_copy(struct commits *c);
/* The same, as soon as there is a partition whose topic could not be told from another one by its copy. */
void commits_copy_first(struct commits *c);

#endif

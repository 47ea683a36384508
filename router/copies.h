/* Copies of the group's commits, in Redis: Kafka forgets a group's commits of a topic that is deleted, and a topic that
 * is then made anew under the same name must not be taken for the old one. A hash: `topic/partition` to `<offset>
 * <metadata>`. It is lost with the coordinates that would be mistaken, so it needs no more care than they do. */
#ifndef TIDEGATE_ROUTER_COPIES_H
#define TIDEGATE_ROUTER_COPIES_H

#include "common/redis_commands.h"

#include <librdkafka/rdkafka.h>

/* The bucket, and so the node, that has them. */
#define COPIES_BUCKET 0

/* Writes what is being committed; nothing when the link is not up: the next commit will do. */
void copies_write(struct redis_commands *rc, const rd_kafka_topic_partition_list_t *commits);

/* *Takes* the copies, none if Redis refused (logged); NULL: the link broke. */
typedef void (*copies_cb)(void *owner, rd_kafka_topic_partition_list_t *copies);

struct copies_question {
    void *owner;
    copies_cb on_read;
};
/* Asks for all of them; q must stay until on_read. 0, or -1 when the link is not up (on_read is not called). */
int copies_read(struct redis_commands *rc, struct copies_question *q);

#endif

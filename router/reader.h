/* Reads partitions of Kafka from given offsets, in no group and without commits, on the loop: what refilling needs
 * beside the consumer that is a member of the group. It exists only while there is something to read. */
#ifndef TIDEGATE_ROUTER_READER_H
#define TIDEGATE_ROUTER_READER_H

#include "common/loop.h"
#include "common/slice.h"

#include <librdkafka/rdkafka.h>

struct reader;

struct reader_ops {
    /* How many records may come now; 0: none. */
    size_t (*room)(struct reader *r);
    /* *Borrows* the message. */
    void (*on_record)(struct reader *r, const rd_kafka_message_t *message);
    /* The partition's end, as far as it was written by now, is reached. */
    void (*on_end)(struct reader *r, const char *topic, int32_t partition);
};

struct reader {
    struct loop *loop;
    const struct reader_ops *ops;
    void *owner;
    rd_kafka_t *rk; /* NULL: stopped */
    rd_kafka_queue_t *queue;
    struct waker waker;
    struct turn_hook hook;
    struct timer tick;
    bool woken; /* there may be something to poll */
    pthread_t closer;
    bool closing; /* a thread ends the last life's handle */
};

/* Stopped. Its hook runs before those of links that are made later, so what it reads is written in the same turn. */
void reader_init(struct reader *r, struct loop *l, const struct reader_ops *ops, void *owner);
/* Starts with a copy of conf, unless it runs. Returns 0, or -1 with *why (owned). */
int reader_start(struct reader *r, const rd_kafka_conf_t *conf, char **why);
/* Reads these partitions from their offsets, and nothing else; NULL: nothing. Only while it runs. */
void reader_assign(struct reader *r, rd_kafka_topic_partition_list_t *partitions);
/* Reads no more of one of them. */
void reader_drop(struct reader *r, const char *topic, int32_t partition);
/* Stops, if it runs. May be called from its own callbacks. */
void reader_stop(struct reader *r);
/* Stops, and waits until the library's threads are gone. */
void reader_release(struct reader *r);

#endif

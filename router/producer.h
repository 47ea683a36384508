/* Produces to Kafka, idempotently, and says what became of each record. */
#ifndef TIDEGATE_ROUTER_PRODUCER_H
#define TIDEGATE_ROUTER_PRODUCER_H

#include "common/loop.h"
#include "common/slice.h"

#include <librdkafka/rdkafka.h>

/* Embedded in what waits for a delivery. */
struct delivery {
    /* On the loop, once for each producer_send that returned 0. reason NULL: every in-sync replica has it. */
    void (*on_delivered)(struct delivery *d, const char *reason);
};

struct producer {
    struct loop *loop;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct waker waker;
    struct turn_hook hook;
    struct timer tick;
    bool woken;
    size_t waiting; /* deliveries under way */
};

/* *Takes* conf. Returns 0, or -1 with *why (owned). */
int producer_start(struct producer *p, struct loop *l, rd_kafka_conf_t *conf, char **why);
/* Waits at most wait_ms for what is under way, then frees; what was not delivered by then gets no callback. */
void producer_release(struct producer *p, int wait_ms);

struct producer_record {
    const char *topic;
    struct slice key;            /* p NULL: none */
    struct slice value;          /* p NULL: none */
    rd_kafka_headers_t *headers; /* *taken* when it returns 0; may be NULL */
};
/* Copies key and value. Returns 0, or -1 with *why a static text. */
int producer_send(struct producer *p, const struct producer_record *r, struct delivery *d, const char **why);

#endif

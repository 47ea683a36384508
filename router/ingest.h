/* Events that come by HTTP, from a Dapr sidecar or anybody who speaks CloudEvents: structured, binary or in batches.
 * They are produced to a topic of ours, from where they take the ordinary way; SUCCESS means that every in-sync replica
 * has them. What can never be decoded becomes a dead letter and is answered DROP. */
#ifndef TIDEGATE_ROUTER_INGEST_H
#define TIDEGATE_ROUTER_INGEST_H

#include "common/http_server.h"
#include "router/config.h"
#include "router/deadletter.h"
#include "router/decode.h"
#include "router/producer.h"

struct ingest {
    struct loop *loop;
    const struct router_config *conf;
    struct router_metrics *metrics;
    struct producer *producer;
    struct deadletters *deadletters;
    struct decoder decoder;
    struct list posts; /* that await deliveries */
};

void ingest_init(struct ingest *in, struct loop *l, const struct router_config *conf, struct router_metrics *metrics,
                 struct producer *producer, struct deadletters *deadletters, const struct decoder_conf *decoder);
/* After the producer ended: what is still open is freed without an answer. */
void ingest_release(struct ingest *in);

/* A POST with events for the route of a topic: answers now or later. *Borrows* topic until return. */
void ingest_take(struct ingest *in, h2o_req_t *req, struct slice topic);
/* Appends the answer to GET /dapr/subscribe. */
void ingest_subscription(const struct ingest *in, struct buf *out);

#endif

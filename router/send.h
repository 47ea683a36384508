/* --send TOPIC: records from a command line to Kafka, each acknowledged by every in-sync replica. For trying an
 * installation out where there is no other producer; a run does not use it. */
#ifndef TIDEGATE_ROUTER_SEND_H
#define TIDEGATE_ROUTER_SEND_H

#include <librdkafka/rdkafka.h>

struct send {
    const char *topic;
    const char *key;   /* of all records; NULL: none */
    const char *value; /* the only record; NULL: each line of stdin is one, empty ones are not */
};

/* *Takes* conf, a producer's. Says on stdout how many were acknowledged, and on stderr why one was not. Returns the
 * program's exit status: 0 when all were. */
int send_run(const struct send *s, rd_kafka_conf_t *conf);

#endif

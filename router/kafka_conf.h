/* How librdkafka is set up: our defaults in one table, the operator's properties over them, and the few that nobody may
 * change because delivery rests on them. */
#ifndef TIDEGATE_ROUTER_KAFKA_CONF_H
#define TIDEGATE_ROUTER_KAFKA_CONF_H

#include "common/slice.h"

#include <librdkafka/rdkafka.h>

enum kafka_role {
    KAFKA_CONSUMER, /* the member of the group */
    KAFKA_READER,   /* reads what it is told to, in no group (reader.h) */
    KAFKA_PRODUCER
};

/* One property as the operator wrote it: "SASL_MECHANISM" or "sasl.mechanism". */
struct kafka_property {
    struct slice name;
    const char *value;
};

struct kafka_settings {
    const char *brokers;
    const char *client_id;
    const char *group_id;
    const char *instance_id;    /* static membership; NULL: none */
    uint64_t session_ms;        /* after that long without a heartbeat a router counts as dead */
    uint64_t delivery_bound_ms; /* producer: how long a record is tried */
    const struct kafka_property *properties;
    size_t property_count;
};

/* Where the library's log lines go, called by its threads: to our log. */
void kafka_log(const rd_kafka_t *rk, int severity, const char *facility, const char *text);
/* What a consumer must be told in any case, beside what the operator wants to be told: the library says only in these
 * lines that a topic was gone for a moment. They are not logged unless the operator asks for others, too. */
#define KAFKA_DEBUG "topic"

/* Returns owned (rd_kafka_new takes it), or NULL with *why (owned) a sentence that names the property. Logs of the
 * library go to ours. */
rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *s, enum kafka_role role, char **why);

#endif

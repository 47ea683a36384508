/* Judges the router's options against each other. */
#include "router/config.h"
#include "common/metrics_page.h"
#include "router/metrics.h"
#include "common/config_table.h"
#include "common/probe.h"
#include "common/redis_site.h"

#include <stdlib.h>

int router_start_parse(const char *text, enum router_start *start, uint64_t *back_ms)
{
    struct slice word = slice_of(text);
    *back_ms = 0;
    if (slice_eq_nocase(word, SLICE("latest")))
        *start = START_LATEST;
    else if (slice_eq_nocase(word, SLICE("earliest")))
        *start = START_EARLIEST;
    else
        *start = START_BACK;
    return *start == START_BACK ? config_parse_duration(word, back_ms) : 0;
}

static void judge_kafka(struct config *cfg, const struct router_config *v)
{
    enum router_start start;
    uint64_t back_ms;
    if (router_start_parse(v->start, &start, &back_ms) != 0)
        config_problem(cfg, CONFIG_ERROR, "START=%s: must be latest, earliest or a time such as 30m, 12h or 7d",
                       v->start);
    if (v->static_membership && v->hostname == NULL)
        config_problem(cfg, CONFIG_ERROR, "STATIC_MEMBERSHIP=1 needs HOSTNAME, a name that no other router has");
    struct slice rest = slice_of(v->kafka_brokers), broker;
    if (!config_list_next(&rest, &broker) && !v->embedded_kafka)
        config_problem(cfg, CONFIG_ERROR, "KAFKA_BROKERS names no broker");
}

static void judge_dapr(struct config *cfg, const struct router_config *v)
{
    if (!v->dapr_ingest)
        return;
    if (v->dapr_pubsub == NULL)
        config_problem(cfg, CONFIG_ERROR, "DAPR_INGEST=1 needs DAPR_PUBSUB, the name of the pub/sub component");
    if (slice_eq(slice_of(v->ingest_topic), slice_of(v->dapr_topic)))
        config_problem(cfg, CONFIG_ERROR,
                       "INGEST_TOPIC must differ from DAPR_TOPIC, or the sidecar delivers what it is given for ever");
}

static void judge_redis(struct config *cfg, const struct router_config *v)
{
    struct redis_site site;
    char *why;
    if (redis_site_init(&site, &REDIS_OPTIONS(v), &why) == 0) {
        redis_site_release(&site);
        return;
    }
    config_problem(cfg, CONFIG_ERROR, "%s", why);
    free(why);
}

static void validate(struct config *cfg, const void *values)
{
    const struct router_config *v = values;
    judge_kafka(cfg, v);
    judge_dapr(cfg, v);
    judge_redis(cfg, v);
}

static void print_metrics(struct buf *out)
{
    metrics_markdown(&router_metrics_table, out);
}

static const struct config_action actions[] = {
    PROBE_ACTIONS("http://…, or a path of this router,"),
    {"send", "TOPIC", NULL, "produces each line of its input to Kafka, waits for all, ends: 0 all are there, 1 not"},
    {"send-key", "TEXT", "send", "key of the records"},
    {"send-value", "TEXT", "send", "the only record, instead of lines"},
};

const struct config_table router_config_table = {
    .program = "tidegate-router",
    .summary = "Moves events from Kafka to Redis, where the gateways of a Tidegate cluster find them.",
    CONFIG_ROWS,
    .actions = actions,
    .action_count = ARRAY_LEN(actions),
    .prefix = "KAFKA_CONFIG_",
    .prefix_help = "Any librdkafka property: KAFKA_CONFIG_SASL_MECHANISM is sasl.mechanism.",
    .validate = validate,
    .print_metrics = print_metrics,
};

/* Properties are applied in three layers: our table, what the settings say, the operator's own. What the last layer may
 * not touch is refused by name, with the reason: these are not preferences. */
#include "router/kafka_conf.h"
#include "common/buf.h"
#include "common/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define FOR_CONSUMER (1u << KAFKA_CONSUMER)
#define FOR_READER   (1u << KAFKA_READER)
#define FOR_READING  (FOR_CONSUMER | FOR_READER)
#define FOR_PRODUCER (1u << KAFKA_PRODUCER)
#define FOR_ALL      (FOR_READING | FOR_PRODUCER)

#define JOIN_SESSIONS 3
#define JOIN_LEAST_MS 10000u

static const struct {
    unsigned roles;
    const char *name, *value;
    const char *fixed; /* why nobody may change it, or NULL */
} defaults[] = {
    {FOR_CONSUMER, "partition.assignment.strategy", "cooperative-sticky", "rebalances must not stop every partition"},
    {FOR_READING, "enable.auto.commit", "false", "only what Redis holds is committed"},
    {FOR_READING, "enable.auto.offset.store", "false", "only what Redis holds is committed"},
    {FOR_CONSUMER, "enable.partition.eof", "false", "the ends of partitions are no records"},
    /* A position below the oldest record: what is left is delivered, nothing is skipped. */
    {FOR_READING, "auto.offset.reset", "earliest", "where partitions start is START's to say"},
    {FOR_CONSUMER, "heartbeat.interval.ms", "2000", NULL},
    {FOR_READING, "topic.metadata.refresh.interval.ms", "10000", NULL},
    /* A full local queue makes librdkafka wait a second before it fetches again: keep it well above a second's worth.
     */
    {FOR_CONSUMER, "queued.min.messages", "100000", NULL},
    {FOR_CONSUMER, "queued.max.messages.kbytes", "65536", NULL},
    /* A reader is not in a hurry, and what it holds is taken from others. */
    {FOR_READER, "enable.partition.eof", "true", "that a partition ends here must be known"},
    {FOR_READER, "queued.min.messages", "20000", NULL},
    {FOR_READER, "queued.max.messages.kbytes", "16384", NULL},
    {FOR_READING, "fetch.wait.max.ms", "100", NULL},
    {FOR_READING, "allow.auto.create.topics", "false", NULL},
    {FOR_PRODUCER, "enable.idempotence", "true", "a retry must not repeat or reorder records"},
    {FOR_PRODUCER, "linger.ms", "2", NULL},
    {FOR_ALL, "socket.keepalive.enable", "true", NULL},
    {FOR_ALL, "reconnect.backoff.ms", "50", NULL},
    {FOR_ALL, "reconnect.backoff.max.ms", "2000", NULL},
    {FOR_ALL, "log.connection.close", "false", NULL},
};

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, char **why)
{
    char reason[256];
    if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
        return 0;
    *why = xasprintf("Kafka property %s: %s", name, reason);
    return -1;
}

static int set_u64(rd_kafka_conf_t *conf, const char *name, uint64_t value, char **why)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return set(conf, name, text, why);
}

static int set_optional(rd_kafka_conf_t *conf, const char *name, const char *value, char **why)
{
    return value == NULL ? 0 : set(conf, name, value, why);
}

static int apply_defaults(rd_kafka_conf_t *conf, enum kafka_role role, char **why)
{
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (defaults[i].roles & (1u << role) && set(conf, defaults[i].name, defaults[i].value, why) != 0)
            return -1;
    return 0;
}

static int apply_settings(rd_kafka_conf_t *conf, const struct kafka_settings *s, enum kafka_role role, char **why)
{
    if (set(conf, "bootstrap.servers", s->brokers, why) != 0 || set_optional(conf, "client.id", s->client_id, why) != 0)
        return -1;
    if (role == KAFKA_PRODUCER)
        return set_u64(conf, "message.timeout.ms", s->delivery_bound_ms, why);
    /* A reader names the group too, because the library wants a name, but never joins it. */
    if (set(conf, "group.id", s->group_id, why) != 0)
        return -1;
    if (role == KAFKA_READER)
        return 0;
    if (set_optional(conf, "group.instance.id", s->instance_id, why) != 0)
        return -1;
    /* A request to join waits for its answer as long as a poll may take and 3 s more, five minutes by default, even on
     * a connection that fell silent. */
    if (set_u64(conf, "max.poll.interval.ms", MAX(JOIN_LEAST_MS, s->session_ms * JOIN_SESSIONS), why) != 0)
        return -1;
    return set_u64(conf, "session.timeout.ms", s->session_ms, why);
}

/* "SASL_MECHANISM" is sasl.mechanism. */
static void append_name(struct buf *out, struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        buf_byte(out, name.p[i] == '_' ? '.' : (char)tolower((unsigned char)name.p[i]));
    buf_byte(out, '\0');
}

static const char *why_fixed(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (defaults[i].fixed != NULL && strcmp(name, defaults[i].name) == 0)
            return defaults[i].fixed;
    return NULL;
}

static int apply_property(rd_kafka_conf_t *conf, const struct kafka_property *property, char **why)
{
    struct buf name = {0};
    append_name(&name, property->name);
    const char *fixed = why_fixed(name.p);
    int result = -1;
    if (fixed != NULL)
        *why = xasprintf("Kafka property %s cannot be changed: %s", name.p, fixed);
    else
        result = set(conf, name.p, property->value, why);
    buf_release(&name);
    return result;
}

/* Adds ours to what the operator set. */
static int add_debug(rd_kafka_conf_t *conf, char **why)
{
    char wanted[256] = "";
    size_t size = sizeof(wanted);
    rd_kafka_conf_get(conf, "debug", wanted, &size);
    if (wanted[0] == '\0')
        return set(conf, "debug", KAFKA_DEBUG, why);
    char *both = xasprintf("%s," KAFKA_DEBUG, wanted);
    int result = set(conf, "debug", both, why);
    free(both);
    return result;
}

static bool is_debug_wanted(const rd_kafka_t *rk)
{
    char wanted[256] = "";
    size_t size = sizeof(wanted);
    rd_kafka_conf_get(rd_kafka_conf((rd_kafka_t *)rk), "debug", wanted, &size);
    return strcmp(wanted, KAFKA_DEBUG) != 0;
}

/* Severities are those of RFC 5424. */
void kafka_log(const rd_kafka_t *rk, int severity, const char *facility, const char *text)
{
    if (severity == 7 && !is_debug_wanted(rk))
        return;
    static const enum log_level levels[] = {LOG_ERROR, LOG_ERROR, LOG_ERROR, LOG_ERROR,
                                            LOG_WARN,  LOG_INFO,  LOG_DEBUG, LOG_DEBUG};
    enum log_level level = levels[severity & 7];
    LOG_AT(level, "kafka_log", LOG_S("client", rd_kafka_name(rk)), LOG_S("facility", facility), LOG_S("text", text));
}

rd_kafka_conf_t *kafka_conf_new(const struct kafka_settings *s, enum kafka_role role, char **why)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, kafka_log);
    if (apply_defaults(conf, role, why) != 0 || apply_settings(conf, s, role, why) != 0)
        goto fail;
    for (size_t i = 0; i < s->property_count; i++)
        if (apply_property(conf, &s->properties[i], why) != 0)
            goto fail;
    if (role == KAFKA_CONSUMER && add_debug(conf, why) != 0)
        goto fail;
    return conf;
fail:
    rd_kafka_conf_destroy(conf);
    return NULL;
}

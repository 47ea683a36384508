/* All partitions are assigned at their offsets at once; the first thing that comes from each, its record, a later one
 * or an error, is the answer. */
#include "router/peek.h"
#include "common/clock.h"
#include "common/log.h"

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    if (rd_kafka_conf_set(conf, name, value, NULL, 0) != RD_KAFKA_CONF_OK)
        BUG("Kafka property %s=%s", name, value);
}

/* The callbacks are the member's, who lives on another thread. */
static rd_kafka_t *new_reader(rd_kafka_t *rk)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(rk));
    rd_kafka_conf_set_opaque(conf, NULL);
    rd_kafka_conf_set_rebalance_cb(conf, NULL);
    rd_kafka_conf_set_offset_commit_cb(conf, NULL);
    rd_kafka_conf_set_error_cb(conf, NULL);
    set(conf, "auto.offset.reset", "error"); /* the log ends before the offset, or begins behind it */
    set(conf, "enable.partition.eof", "true");
    /* Of one partition a batch always comes whole; those of all come in one answer if they are no larger than this. A
     * smaller queue would be no help: one record of any partition in it makes the library wait before it fetches more.
     */
    set(conf, "fetch.message.max.bytes", "65536");
    set(conf, "fetch.wait.max.ms", "10");
    char why[256];
    rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
    if (reader == NULL) {
        rd_kafka_conf_destroy(conf);
        log_warn("peek_failed", LOG_S("reason", why));
        return NULL;
    }
    rd_kafka_poll_set_consumer(reader);
    return reader;
}

static rd_kafka_resp_err_t assign(rd_kafka_t *reader, const struct peek *rows, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, rows[i].topic, rows[i].id)->offset = rows[i].offset;
    rd_kafka_resp_err_t err = rd_kafka_assign(reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}

static struct peek *row_of(struct peek *rows, size_t count, const rd_kafka_message_t *m)
{
    for (size_t i = 0; i < count && m->rkt != NULL; i++)
        if (rows[i].id == m->partition && strcmp(rows[i].topic, rd_kafka_topic_name(m->rkt)) == 0)
            return &rows[i];
    return NULL;
}

/* An error that passes is no answer. */
static bool is_answer(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
           err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
}

static bool take(struct peek *row, const rd_kafka_message_t *m)
{
    if (row == NULL || row->answered || !is_answer(m->err))
        return false;
    row->answered = true;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->offset == row->offset)
        row->record = fingerprint_of(m);
    return true;
}

/* There is nothing to wait for. */
static bool is_gone(rd_kafka_resp_err_t err)
{
    return err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

void peek_records(rd_kafka_t *rk, struct peek *rows, size_t count, int limit_ms)
{
    rd_kafka_t *reader = count > 0 ? new_reader(rk) : NULL;
    if (reader == NULL)
        return;
    uint64_t end_ms = clock_mono_ms() + (uint64_t)limit_ms;
    size_t waiting = assign(reader, rows, count) == RD_KAFKA_RESP_ERR_NO_ERROR ? count : 0;
    while (waiting > 0 && clock_mono_ms() < end_ms) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(reader, 50);
        if (m == NULL)
            continue;
        waiting -= take(row_of(rows, count, m), m);
        end_ms = is_gone(m->err) ? 0 : end_ms;
        rd_kafka_message_destroy(m);
    }
    rd_kafka_destroy_flags(reader, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

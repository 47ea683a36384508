/* The producer tries each dead letter for as long as is allowed; what fails sooner for good (no such topic) is sent
 * again every second until then. */
#include "router/deadletter.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/traceparent.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS 1000

struct deadletter {
    struct deadletters *all;
    struct delivery delivery;
    struct step step; /* partition NULL: none */
    struct timer retry;
    uint64_t first_ms;
    char *topic; /* the dead letter's */
    char *source;
    char *trace_id; /* NULL: none */
    int32_t partition;
    int64_t offset;
    struct buf key, value;
    bool has_key;
    rd_kafka_headers_t *headers; /* owned: sending takes a copy */
};

static void add_header(rd_kafka_headers_t *headers, const char *name, struct slice value)
{
    rd_kafka_header_add(headers, name, -1, value.p, (ssize_t)value.n);
}

static void add_number(rd_kafka_headers_t *headers, const char *name, int64_t value)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%" PRId64, value);
    add_header(headers, name, slice_make(text, (size_t)n));
}

static rd_kafka_headers_t *make_headers(const struct record *r, const struct refusal *why)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(r->header_count + 5);
    for (size_t i = 0; i < r->header_count; i++)
        rd_kafka_header_add(headers, r->headers[i].name.p, (ssize_t)r->headers[i].name.n, r->headers[i].value.p,
                            (ssize_t)r->headers[i].value.n);
    add_header(headers, "tidegate-reason", slice_of(why->reason));
    add_header(headers, "tidegate-error", why->detail);
    add_header(headers, "tidegate-topic", r->topic);
    if (r->offset >= 0) {
        add_number(headers, "tidegate-partition", r->partition);
        add_number(headers, "tidegate-offset", r->offset);
    }
    return headers;
}

static void finish(struct deadletter *d)
{
    d->all->waiting--;
    if (d->step.partition != NULL)
        partition_finish(&d->step);
    timer_stop(&d->retry);
    rd_kafka_headers_destroy(d->headers);
    buf_release(&d->key);
    buf_release(&d->value);
    free(d->topic);
    free(d->source);
    free(d->trace_id);
    free(d);
}

/* The producer's own bound and this one are the same time: what failed for good in between is tried until then. */
static void on_failed(struct deadletter *d, const char *why)
{
    uint64_t spent_ms = clock_mono_ms() - d->first_ms;
    if (spent_ms + RETRY_MS < d->all->retry_ms) {
        timer_start(d->all->loop, &d->retry, RETRY_MS);
        return;
    }
    log_error("record_passed", LOG_S("topic", d->source), LOG_I("partition", d->partition), LOG_I("offset", d->offset),
              LOG_S("dead_letter_topic", d->topic), LOG_S("reason", why), LOG_S("trace_id", d->trace_id));
    counter_add(&d->all->metrics->records[RECORD_PASSED], 1);
    finish(d);
}

static void send_now(struct deadletter *d)
{
    const char *why;
    struct producer_record r = {.topic = d->topic,
                                .key = {d->has_key ? d->key.p : NULL, d->key.n},
                                .value = buf_slice(&d->value),
                                .headers = rd_kafka_headers_copy(d->headers)};
    if (producer_send(d->all->producer, &r, &d->delivery, &why) == 0)
        return;
    rd_kafka_headers_destroy(r.headers);
    on_failed(d, why);
}

static void on_retry(struct timer *t)
{
    send_now(CONTAINER_OF(t, struct deadletter, retry));
}

static void on_delivered(struct delivery *delivery, const char *reason)
{
    struct deadletter *d = CONTAINER_OF(delivery, struct deadletter, delivery);
    if (reason != NULL) {
        on_failed(d, reason);
        return;
    }
    counter_add(&d->all->metrics->records[RECORD_DEAD_LETTER], 1);
    finish(d);
}

void deadletters_send(struct deadletters *dl, const struct record *r, const struct refusal *why,
                      const struct step *step)
{
    struct deadletter *d = xcalloc(1, sizeof(*d));
    struct slice trace_id = traceparent_trace_id(why->traceparent);
    log_warn("dead_letter", LOG_SL("topic", r->topic), LOG_I("partition", r->partition), LOG_I("offset", r->offset),
             LOG_S("reason", why->reason), LOG_SL("detail", why->detail), LOG_SL("trace_id", trace_id));
    d->all = dl;
    d->delivery.on_delivered = on_delivered;
    timer_init(&d->retry, on_retry);
    d->first_ms = clock_mono_ms();
    d->topic = xasprintf("%.*s%s", SLICE_ARG(r->topic), dl->suffix);
    d->source = slice_dup(r->topic);
    d->trace_id = trace_id.p != NULL ? slice_dup(trace_id) : NULL;
    d->partition = r->partition;
    d->offset = r->offset;
    d->has_key = r->key.p != NULL;
    buf_append(&d->key, r->key);
    buf_append(&d->value, r->value);
    d->headers = make_headers(r, why);
    if (step != NULL) {
        d->step = partition_add_step(step);
        partition_mark_dead_letter(step);
    }
    dl->waiting++;
    send_now(d);
}

void deadletters_init(struct deadletters *dl, struct loop *l, struct producer *producer, struct router_metrics *metrics,
                      const char *suffix, uint64_t retry_ms)
{
    *dl = (struct deadletters){
        .loop = l, .producer = producer, .metrics = metrics, .suffix = suffix, .retry_ms = retry_ms};
}

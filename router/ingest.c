/* A request holds one record, or a batch of them; it is answered when the last of its deliveries is reported, or when
 * that takes too long. A repeat that Dapr sends after RETRY may be a second delivery of the same event: at least once.
 */
#include "router/ingest.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/json_write.h"
#include "common/log.h"
#include "common/traceparent.h"

#include <stdlib.h>

#define TIMEOUT_MS  10000
#define HEADERS_MAX 64
#define DEPTH_EXTRA 2 /* a batch is one bracket around its events */

/* A POST under way. */
struct ingest_post {
    struct list link;
    struct ingest *ingest;
    struct http_pending *pending; /* NULL: answered */
    struct timer timeout;
    size_t waiting; /* deliveries */
    size_t produced, dropped;
    bool failed;
};

struct ingest_record {
    struct delivery delivery;
    struct ingest_post *post;
    char traceparent[TRACEPARENT_SIZE]; /* good if traced */
    bool traced;
};

static struct slice trace_id_of(const struct ingest_record *record)
{
    return traceparent_trace_id(slice_make(record->traced ? record->traceparent : NULL, TRACEPARENT_SIZE));
}

static const struct {
    struct slice json;
    int label;
} answers[] = {
    {{"{\"status\":\"SUCCESS\"}", 20}, INGEST_SUCCESS},
    {{"{\"status\":\"RETRY\"}", 18}, INGEST_RETRY},
    {{"{\"status\":\"DROP\"}", 17}, INGEST_DROP},
};

static void answer(struct ingest_post *post, int label)
{
    timer_stop(&post->timeout);
    counter_add(&post->ingest->metrics->ingest[label], 1);
    h2o_req_t *req = http_pending_take(post->pending);
    post->pending = NULL;
    if (req != NULL)
        http_reply_json(req, 200, answers[label].json);
}

static void answer_if_known(struct ingest_post *post)
{
    if (post->waiting > 0)
        return;
    if (post->pending != NULL)
        answer(post, post->failed ? INGEST_RETRY : post->produced > 0 ? INGEST_SUCCESS : INGEST_DROP);
    list_remove(&post->link);
    free(post);
}

static void on_timeout(struct timer *t)
{
    struct ingest_post *post = CONTAINER_OF(t, struct ingest_post, timeout);
    answer(post, INGEST_RETRY);
}

static void on_delivered(struct delivery *d, const char *reason)
{
    struct ingest_record *record = CONTAINER_OF(d, struct ingest_record, delivery);
    struct ingest_post *post = record->post;
    if (reason != NULL) {
        log_warn("ingest_not_delivered", LOG_S("reason", reason), LOG_SL("trace_id", trace_id_of(record)));
        post->failed = true;
    }
    free(record);
    post->waiting--;
    answer_if_known(post);
}

/* One user's events stay in one partition: the key is the user's id, or the target's name for others. */
static struct slice key_of(const struct event *ev)
{
    struct slice target = ev->targets[0];
    return slice_starts(target, SLICE("u:")) ? slice_from(target, 2) : target;
}

static void produce(struct ingest_post *post, const struct record *r, const struct event *ev)
{
    struct ingest_record *record = xcalloc(1, sizeof(*record));
    rd_kafka_headers_t *headers = rd_kafka_headers_new(r->header_count);
    for (size_t i = 0; i < r->header_count; i++)
        rd_kafka_header_add(headers, r->headers[i].name.p, (ssize_t)r->headers[i].name.n, r->headers[i].value.p,
                            (ssize_t)r->headers[i].value.n);
    *record = (struct ingest_record){
        .delivery = {.on_delivered = on_delivered}, .post = post, .traced = ev->traceparent.p != NULL};
    if (record->traced)
        memcpy(record->traceparent, ev->traceparent.p, TRACEPARENT_SIZE);
    const struct producer_record out = {
        .topic = post->ingest->conf->ingest_topic, .key = key_of(ev), .value = r->value, .headers = headers};
    const char *why;
    post->produced++;
    if (producer_send(post->ingest->producer, &out, &record->delivery, &why) == 0) {
        post->waiting++;
        return;
    }
    log_warn("ingest_not_produced", LOG_S("reason", why), LOG_SL("trace_id", trace_id_of(record)));
    rd_kafka_headers_destroy(headers);
    free(record);
    post->failed = true;
}

static void take(struct ingest_post *post, const struct record *r)
{
    struct ingest *in = post->ingest;
    struct event ev;
    enum decode_outcome outcome = decode_record(&in->decoder, r, &ev);
    if (outcome == DECODE_EVENT) {
        produce(post, r, &ev);
        return;
    }
    struct buf why = {0};
    decode_describe(&in->decoder, outcome, &why);
    counter_add(&in->metrics->refused[outcome], 1);
    const struct refusal refusal = {decode_outcome_word(outcome), buf_slice(&why), in->decoder.traceparent};
    deadletters_send(in->deadletters, r, &refusal, NULL);
    buf_release(&why);
    post->dropped++;
}

/* "application/cloudevents-batch+json", with or without parameters. */
static bool is_batch(struct slice content_type)
{
    return slice_eq_nocase(slice_trim(slice_cut(&content_type, ';')), SLICE("application/cloudevents-batch+json"));
}

/* Batches must be arrays; what their elements are, decoding says. -1: it is no array. */
static int take_batch(struct ingest_post *post, struct record *r, struct slice body)
{
    struct json_value batch, element;
    struct json_error err;
    struct slice key;
    if (json_parse(body, (unsigned)post->ingest->conf->json_max_depth + DEPTH_EXTRA, &batch, &err) != 0 ||
        batch.kind != JSON_ARRAY)
        return -1;
    struct json_iter it = json_iter(batch);
    while (json_next(&it, &key, &element)) {
        r->value = element.raw;
        take(post, r);
    }
    return 0;
}

/* The headers that travel on: what names the route, the content type, the trace and, of binary mode, the attributes.
 * "ce-id" is "ce_id" on Kafka; names is where the latter are written. */
static size_t collect_headers(h2o_req_t *req, struct slice topic, struct record_header out[HEADERS_MAX],
                              struct buf *names)
{
    size_t n = 0;
    struct slice content_type = http_header(req, "content-type");
    out[n++] = (struct record_header){SLICE(DECODE_HEADER_TOPIC), topic};
    if (is_batch(content_type))
        out[n++] = (struct record_header){SLICE("content-type"), SLICE("application/cloudevents+json")};
    else if (content_type.p != NULL)
        out[n++] = (struct record_header){SLICE("content-type"), content_type};
    struct slice traceparent = http_header(req, "traceparent");
    if (traceparent.p != NULL)
        out[n++] = (struct record_header){SLICE("traceparent"), traceparent};
    buf_reserve(names, 64 * HEADERS_MAX); /* so that slices of it stay */
    for (size_t i = 0; i < req->headers.size && n < HEADERS_MAX; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        struct slice name = {h->name->base, h->name->len};
        if (!slice_starts(name, SLICE("ce-")) || names->n + name.n > 64 * HEADERS_MAX)
            continue;
        size_t at = names->n;
        buf_lit(names, "ce_");
        buf_append(names, slice_from(name, 3));
        out[n++] = (struct record_header){{names->p + at, name.n}, {h->value.base, h->value.len}};
    }
    return n;
}

void ingest_take(struct ingest *in, h2o_req_t *req, struct slice topic)
{
    struct ingest_post *post = xcalloc(1, sizeof(*post));
    *post = (struct ingest_post){.ingest = in, .pending = http_pending_new(req), .waiting = 1};
    list_push_back(&in->posts, &post->link);
    timer_init(&post->timeout, on_timeout);
    timer_start(in->loop, &post->timeout, TIMEOUT_MS);

    struct record_header headers[HEADERS_MAX];
    struct buf names = {0};
    struct slice body = http_body(req);
    struct record r = {.topic = slice_of(in->conf->ingest_topic),
                       .partition = -1,
                       .offset = -1,
                       .timestamp_ms = (int64_t)clock_wall_ms(),
                       .value = {body.p != NULL ? body.p : "", body.n},
                       .headers = headers,
                       .header_count = collect_headers(req, topic, headers, &names)};
    if (!is_batch(http_header(req, "content-type")) || take_batch(post, &r, body) != 0)
        take(post, &r);
    buf_release(&names);
    post->waiting--;
    answer_if_known(post);
}

void ingest_subscription(const struct ingest *in, struct buf *out)
{
    buf_lit(out, "[{\"pubsubname\":");
    json_write_string(out, slice_of(in->conf->dapr_pubsub));
    buf_lit(out, ",\"topic\":");
    json_write_string(out, slice_of(in->conf->dapr_topic));
    buf_lit(out, ",\"route\":\"/task-updates\"}]");
}

void ingest_init(struct ingest *in, struct loop *l, const struct router_config *conf, struct router_metrics *metrics,
                 struct producer *producer, struct deadletters *deadletters, const struct decoder_conf *decoder)
{
    *in =
        (struct ingest){.loop = l, .conf = conf, .metrics = metrics, .producer = producer, .deadletters = deadletters};
    list_init(&in->posts);
    decoder_init(&in->decoder, decoder);
}

void ingest_release(struct ingest *in)
{
    LIST_EACH_SAFE (it, &in->posts) {
        struct ingest_post *post = CONTAINER_OF(it, struct ingest_post, link);
        timer_stop(&post->timeout);
        if (post->pending != NULL)
            (void)http_pending_take(post->pending);
        list_remove(it);
        free(post);
    }
    decoder_release(&in->decoder);
}

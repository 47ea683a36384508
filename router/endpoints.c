/* Healthy is a process whose loop turns; ready is one through which records flow. Why not is said in words that a
 * person on call can act on. */
#include "router/endpoints.h"
#include "common/json_write.h"
#include "common/metrics_page.h"

static void on_health(struct http_server *s, h2o_req_t *req)
{
    http_reply_json(req, 200, SLICE("{\"status\":\"healthy\"}"));
}

static void add_reason(struct buf *out, const char *code, const char *detail)
{
    struct buf text = {0};
    buf_append(&text, slice_of(code));
    if (detail[0] != '\0') {
        buf_lit(&text, ": ");
        buf_append(&text, slice_of(detail));
    }
    if (out->n > 0)
        buf_byte(out, ',');
    json_write_string(out, buf_slice(&text));
    buf_release(&text);
}

static void add_node_reasons(struct buf *out, const struct node *n)
{
    if (n->state == NODE_DOWN)
        add_reason(out, "redis_away", n->rc.link.label);
    else if (n->state == NODE_GREETING)
        add_reason(out, "redis_greeting", n->rc.link.label);
    if (n->policy[0] != '\0')
        add_reason(out, "redis_evicts, maxmemory-policy must be noeviction", n->policy);
    if (n->state == NODE_READY && n->pipe.refused)
        add_reason(out, "redis_refuses_writes", n->pipe.refusal);
}

static void add_reasons(struct buf *out, const struct app *app)
{
    const struct downstream *d = &app->downstream;
    if (d->stopping)
        add_reason(out, "draining", "");
    if (d->consumer.unreachable)
        add_reason(out, "kafka_unreachable", app->conf->kafka_brokers);
    else if (d->consumer.state == CONSUMER_JOINING && !consumer_waits_for_topics(&d->consumer))
        add_reason(out, "kafka_joining", app->conf->kafka_group_id);
    else if (d->assignment.waiting_ms != 0)
        add_reason(out, "kafka_placing", "");
    for (size_t i = 0; i < d->publisher.node_count; i++)
        if (publisher_uses(&d->publisher, i))
            add_node_reasons(out, d->publisher.nodes[i]);
    if (!d->publisher.topology.known)
        add_reason(out, "redis_nodes_unknown", d->publisher.topology.site->list);
}

static void on_ready(struct http_server *s, h2o_req_t *req)
{
    const struct app *app = s->conf.app;
    struct buf reasons = {0}, body = {0};
    add_reasons(&reasons, app);
    if (reasons.n == 0)
        buf_lit(&body, "{\"status\":\"ready\"}");
    else
        buf_printf(&body, "{\"status\":\"not_ready\",\"reasons\":[%.*s]}", (int)reasons.n, reasons.p);
    http_reply_json(req, reasons.n == 0 ? 200 : 503, buf_slice(&body));
    buf_release(&reasons);
    buf_release(&body);
}

static void on_metrics(struct http_server *s, h2o_req_t *req)
{
    const struct app *app = s->conf.app;
    enum metrics_format format = metrics_format_for(http_headers_joined(req, "accept"));
    struct buf body = {0};
    metrics_scrape(&app->metrics, format, &body);
    metrics_end(format, &body);
    http_add_header(req, "vary", SLICE("accept"));
    http_reply(req, 200, metrics_content_type(format), buf_slice(&body));
    buf_release(&body);
}

static void sample(void *ctx)
{
    struct app *app = ctx;
    const struct downstream *d = &app->downstream;
    struct router_metrics *m = app->cells;
    int64_t up = 0, refusing = 0;
    for (size_t i = 0; i < d->publisher.node_count; i++) {
        const struct node *n = d->publisher.nodes[i];
        if (!publisher_uses(&d->publisher, i))
            continue;
        up += node_is_fine(n);
        refusing += n->state == NODE_READY && (n->pipe.refused || n->policy[0] != '\0');
    }
    gauge_set(&m->refilling_buckets, (int64_t)refill_plan_buckets(&d->refill.plan));
    gauge_set(&m->redis_up, up);
    gauge_set(&m->redis_refusing, refusing);
    bool settled = d->consumer.state == CONSUMER_MEMBER || consumer_waits_for_topics(&d->consumer);
    gauge_set(&m->kafka_up, settled && !d->consumer.unreachable);
    gauge_set(&m->partitions, (int64_t)d->assignment.count);
    gauge_set(&m->partitions_paused, d->consumer.paused ? (int64_t)d->assignment.count : 0);
    gauge_set(&m->appends_inflight, (int64_t)publisher_waiting(&d->publisher));
    gauge_set(&m->dead_letters_inflight, (int64_t)d->deadletters->waiting);
}

/* The end of a partition is what its last fetch said: no question to Kafka. */
static void append_lag(void *ctx, const char *name, struct buf *out)
{
    const struct app *app = ctx;
    const struct assignment *a = &app->downstream.assignment;
    for (size_t i = 0; i < a->count; i++) {
        const struct partition *p = a->rows[i];
        int64_t low, high;
        if (!p->placed ||
            rd_kafka_get_watermark_offsets(a->consumer->rk, p->topic, p->id, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        char id[16];
        snprintf(id, sizeof(id), "%d", p->id);
        const struct metric_label labels[] = {{"topic", slice_of(p->topic)}, {"partition", slice_of(id)}};
        if (high >= 0)
            metrics_line(out, name, labels, ARRAY_LEN(labels), MAX(high - partition_position(p), 0));
    }
}

void endpoints_measure(struct app *app)
{
    metrics_on_scrape(&app->metrics, sample, app);
    metrics_source(&app->metrics, "tidegate_router_lag_records", append_lag, app);
}

static void on_subscribe(struct http_server *s, h2o_req_t *req)
{
    const struct app *app = s->conf.app;
    struct buf body = {0};
    ingest_subscription(&app->ingest, &body);
    http_reply_json(req, 200, buf_slice(&body));
    buf_release(&body);
}

static void on_task_updates(struct http_server *s, h2o_req_t *req)
{
    struct app *app = s->conf.app;
    ingest_take(&app->ingest, req, slice_of(app->conf->dapr_topic));
}

static void on_events(struct http_server *s, h2o_req_t *req)
{
    struct app *app = s->conf.app;
    struct slice topic = slice_from(http_path(req), sizeof("/events/") - 1);
    struct slice pubsub = slice_cut(&topic, '/');
    if (pubsub.n == 0 || topic.n == 0 || memchr(topic.p, '/', topic.n) != NULL)
        http_reply_error(req, 404, "not_found", "The path is /events/{pubsub}/{topic}.");
    else
        ingest_take(&app->ingest, req, topic);
}

const struct http_route endpoints[] = {
    {"GET", "/health", on_health},
    {"GET", "/ready", on_ready},
    {"GET", "/metrics", on_metrics},
    {"GET", "/dapr/subscribe", on_subscribe},
    {"POST", "/task-updates", on_task_updates},
    {"POST", "/events/*", on_events},
};
const size_t endpoint_count = ARRAY_LEN(endpoints), endpoint_count_without_ingest = 3;

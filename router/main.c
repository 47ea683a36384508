/* tidegate-router: reads the configuration and the routes, starts, and ends in order when it is told to. */
#include "common/config.h"
#include "common/log.h"
#include "common/probe.h"
#include "router/app.h"
#include "router/embedded_kafka.h"
#include "router/endpoints.h"
#include "router/kafka_conf.h"
#include "router/send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LAST_COMMIT_MS 1000 /* of an end that took too long */
#define LAST_FLUSH_MS  2000
#define SOCKETS_MAX    1024

/* ---- routes ---- */

static const char *lookup_variable(void *cfg, const char *name)
{
    return config_lookup(cfg, name);
}

static char *read_file(const char *path, char **why)
{
    FILE *file = fopen(path, "rb");
    struct buf text = {0};
    if (file == NULL) {
        *why = xasprintf("%s: %s", path, strerror(errno));
        return NULL;
    }
    size_t n;
    while ((n = fread(buf_reserve(&text, 4096), 1, 4096, file)) > 0)
        text.n += n;
    bool failed = ferror(file);
    fclose(file);
    if (failed) {
        *why = xasprintf("%s: cannot be read", path);
        buf_release(&text);
        return NULL;
    }
    buf_byte(&text, '\0');
    return text.p;
}

static const char *profile_name(struct config *cfg, const struct router_config *v)
{
    return v->profile == PROFILE_NONE ? NULL : config_lookup(cfg, "PROFILE");
}

static struct route_table *load_routes(struct config *cfg, const struct router_config *v, char **why)
{
    char *text = NULL;
    if (v->routes != NULL && (text = read_file(v->routes, why)) == NULL)
        return NULL;
    struct slice field = slice_of(v->dedupe_field);
    const struct route_source source = {.file = text != NULL ? v->routes : "built-in routes",
                                        .text = text != NULL ? slice_of(text) : routes_default(),
                                        .profile = profile_name(cfg, v),
                                        .dedupe_field = slice_eq(field, SLICE("none")) ? (struct slice){0} : field,
                                        .env = lookup_variable,
                                        .env_arg = cfg};
    struct route_table *routes = routes_parse(&source, why);
    free(text);
    return routes;
}

/* The topics of all routes in force; of the one that a sidecar delivers, the topic that it is produced to instead. */
static void collect_topics(struct app *app)
{
    app->topics = xcalloc(app->routes->count + 1, sizeof(*app->topics));
    for (size_t i = 0; i < app->routes->count; i++) {
        const char *topic = app->routes->rows[i].topic_text;
        bool by_http = app->conf->dapr_ingest && strcmp(topic, app->conf->dapr_topic) == 0;
        app->topics[app->topic_count++] = by_http ? app->conf->ingest_topic : topic;
    }
}

/* ---- Kafka ---- */

struct kafka_properties {
    struct kafka_property *rows;
    size_t count;
};

static struct kafka_properties read_properties(const struct config *cfg)
{
    struct kafka_properties out = {0};
    struct config_variable variable;
    size_t at = 0;
    while (config_next_variable(cfg, "KAFKA_CONFIG_", &at, &variable)) {
        out.rows = xrealloc(out.rows, (out.count + 1) * sizeof(*out.rows));
        out.rows[out.count++] = (struct kafka_property){.name = slice_from(variable.name, sizeof("KAFKA_CONFIG_") - 1),
                                                        .value = variable.value};
    }
    return out;
}

static rd_kafka_conf_t *make_kafka_conf(const struct config *cfg, const struct router_config *v, enum kafka_role role,
                                        char **why)
{
    struct kafka_properties properties = read_properties(cfg);
    const struct kafka_settings settings = {.brokers = v->kafka_brokers,
                                            .client_id = v->kafka_client_id,
                                            .group_id = v->kafka_group_id,
                                            .instance_id = v->static_membership ? v->hostname : NULL,
                                            .session_ms = v->kafka_session_timeout,
                                            .delivery_bound_ms = MAX(v->dlq_retry, 1000),
                                            .properties = properties.rows,
                                            .property_count = properties.count};
    rd_kafka_conf_t *conf = kafka_conf_new(&settings, role, why);
    free(properties.rows);
    return conf;
}

static void check_kafka(struct config *cfg, const struct router_config *v)
{
    for (int role = KAFKA_CONSUMER; role <= KAFKA_PRODUCER; role++) {
        char *why = NULL;
        rd_kafka_conf_t *conf = make_kafka_conf(cfg, v, (enum kafka_role)role, &why);
        if (conf != NULL)
            rd_kafka_conf_destroy(conf);
        else
            config_problem(cfg, CONFIG_ERROR, "%s", why);
        free(why);
    }
}

/* --check: a file of routes is read, and what they do is said. */
static void check(struct config *cfg, const void *values, FILE *out)
{
    char *why = NULL;
    check_kafka(cfg, values);
    struct route_table *routes = load_routes(cfg, values, &why);
    if (routes == NULL) {
        config_problem(cfg, CONFIG_ERROR, "%s", why);
        free(why);
        return;
    }
    struct buf text = {0};
    routes_describe(routes, &text);
    fprintf(out, "%.*s", (int)text.n, text.p);
    buf_release(&text);
    routes_free(routes);
}

static int start_producer(struct app *app, const struct config *cfg, char **why)
{
    rd_kafka_conf_t *conf = make_kafka_conf(cfg, app->conf, KAFKA_PRODUCER, why);
    return conf == NULL ? -1 : producer_start(&app->producer, &app->loop, conf, why);
}

static struct decoder_conf decoder_of(const struct app *app)
{
    return (struct decoder_conf){.routes = app->routes,
                                 .ingest_topic =
                                     app->conf->dapr_ingest ? slice_of(app->conf->ingest_topic) : (struct slice){0},
                                 .value_max = app->conf->max_record_size,
                                 .depth_max = (unsigned)app->conf->json_max_depth};
}

static int start_downstream(struct app *app, const struct config *cfg, char **why)
{
    const struct decoder_conf decoder = decoder_of(app);
    struct downstream_setup setup = {.loop = &app->loop,
                                     .conf = app->conf,
                                     .metrics = app->cells,
                                     .redis = &app->redis,
                                     .decoder = &decoder,
                                     .topics = app->topics,
                                     .topic_count = app->topic_count,
                                     .deadletters = &app->deadletters};
    setup.consumer = make_kafka_conf(cfg, app->conf, KAFKA_CONSUMER, why);
    if (setup.consumer == NULL)
        return -1;
    setup.reader = make_kafka_conf(cfg, app->conf, KAFKA_READER, why);
    if (setup.reader != NULL)
        return downstream_start(&app->downstream, &setup, why);
    rd_kafka_conf_destroy(setup.consumer);
    return -1;
}

/* ---- HTTP ---- */

static void on_refused(struct http_server *s, enum http_refusal why)
{
    struct app *app = s->conf.app;
    counter_add(&app->cells->http_refused[why], 1);
}

static int start_http(struct app *app, char **why)
{
    const struct http_server_conf conf = {.host = app->conf->host,
                                          .port = (uint16_t)app->conf->port,
                                          .routes = endpoints,
                                          .route_count =
                                              app->conf->dapr_ingest ? endpoint_count : endpoint_count_without_ingest,
                                          .limits = {.head_max = app->conf->head_max_bytes,
                                                     .head_timeout_ms = app->conf->head_timeout,
                                                     .answer_timeout_ms = app->conf->answer_timeout,
                                                     .sockets_max = SOCKETS_MAX},
                                          .body_max = app->conf->body_max_bytes,
                                          .app = app,
                                          .on_refused = on_refused};
    return http_server_start(&app->http, &app->loop, &conf, why);
}

/* ---- life ---- */

static void on_drained(struct downstream *d)
{
    loop_stop(d->loop);
}

/* Not everything could be ended in order: what is appended is committed, the rest is found again by the next start. */
static void on_deadline(struct lifecycle *lc)
{
    struct app *app = CONTAINER_OF(lc, struct app, lifecycle);
    log_warn("stopped_late", LOG_I("appends_waiting", publisher_waiting(&app->downstream.publisher)));
    downstream_commit_now(&app->downstream, LAST_COMMIT_MS);
    _exit(0);
}

static void on_stop(struct lifecycle *lc)
{
    struct app *app = CONTAINER_OF(lc, struct app, lifecycle);
    lifecycle_bound(lc, MAX(app->conf->drain_seconds, 100), on_deadline);
    http_server_stop_listening(&app->http);
    downstream_stop(&app->downstream, on_drained);
}

static int start(struct app *app, const struct config *cfg, char **why)
{
    const struct decoder_conf decoder = decoder_of(app);
    if (start_http(app, why) != 0 || start_producer(app, cfg, why) != 0)
        return -1;
    deadletters_init(&app->deadletters, &app->loop, &app->producer, app->cells, app->conf->dlq_suffix,
                     app->conf->dlq_retry);
    ingest_init(&app->ingest, &app->loop, app->conf, app->cells, &app->producer, &app->deadletters, &decoder);
    return start_downstream(app, cfg, why);
}

static void release(struct app *app)
{
    /* librdkafka's consumer asserts when it is ended before its first assignment, and its threads are all that is left.
     */
    if (app->downstream.consumer.rebalances == 0) {
        log_info("stopped", LOG_S("group", "never joined"));
        _exit(0);
    }
    downstream_release(&app->downstream);
    producer_release(&app->producer, LAST_FLUSH_MS);
    ingest_release(&app->ingest);
    http_server_release(&app->http);
    lifecycle_release(&app->lifecycle);
    loop_release(&app->loop);
    log_info("stopped", LOG_S("group", "left"));
}

static int run_router(struct app *app, const struct config *cfg)
{
    char *why;
    loop_init(&app->loop);
    lifecycle_init(&app->lifecycle, &app->loop, on_stop);
    metrics_init(&app->metrics, &router_metrics_table);
    router_metrics_name();
    app->cells = metrics_instance(&app->metrics);
    process_measure(&app->process, &app->metrics, "tidegate-router");
    endpoints_measure(app);
    if (start(app, cfg, &why) != 0) {
        log_error("start_failed", LOG_S("reason", why));
        fprintf(stderr, "tidegate-router: %s\n", why);
        return 1;
    }
    log_info("listening", LOG_S("host", app->conf->host), LOG_I("port", app->http.port),
             LOG_S("kafka", app->conf->kafka_brokers), LOG_S("group", app->conf->kafka_group_id),
             LOG_I("topics", app->topic_count));
    loop_run(&app->loop);
    release(app);
    metrics_release(&app->metrics);
    return 0;
}

static int run_embedded_kafka(const struct app *app)
{
    struct slice *topics = xcalloc(app->topic_count + 1, sizeof(*topics));
    for (size_t i = 0; i < app->topic_count; i++)
        topics[i] = slice_of(app->topics[i]);
    int rc = embedded_kafka_run(topics, app->topic_count);
    free(topics);
    return rc;
}

static int run(struct config *cfg, const struct router_config *v)
{
    struct app app = {.conf = v};
    char *why = NULL;
    app.routes = load_routes(cfg, v, &why);
    if (app.routes == NULL) {
        fprintf(stderr, "tidegate-router: %s\n", why);
        free(why);
        return 2;
    }
    if (redis_site_init(&app.redis, &REDIS_OPTIONS(v), &why) != 0)
        BUG("REDIS_URL passed the configuration's judgement: %s", why);
    collect_topics(&app);
    int rc = v->embedded_kafka ? run_embedded_kafka(&app) : run_router(&app, cfg);
    free(app.topics);
    routes_free(app.routes);
    redis_site_release(&app.redis);
    return rc;
}

static int probe(const struct config *cfg, const struct router_config *v)
{
    const struct probe_self self = {.program = "tidegate-router", .host = v->host, .port = (uint16_t)v->port};
    return probe_run(cfg, &self);
}

static int send_records(const struct config *cfg, const struct router_config *v)
{
    const struct send s = {.topic = config_asked(cfg, "send"),
                           .key = config_asked(cfg, "send-key"),
                           .value = config_asked(cfg, "send-value")};
    char *why = NULL;
    rd_kafka_conf_t *conf = make_kafka_conf(cfg, v, KAFKA_PRODUCER, &why);
    if (conf != NULL)
        return send_run(&s, conf);
    fprintf(stderr, "tidegate-router: %s\n", why);
    free(why);
    return 2;
}

int main(int argc, char **argv)
{
    struct router_config values;
    struct config_table table = router_config_table;
    table.check = check;
    struct config *cfg = config_new(&table, &values);
    int rc = config_start(cfg, argc, argv, environ, stdout, stderr);
    if (rc == CONFIG_RUN && config_asked(cfg, "probe") != NULL)
        rc = probe(cfg, &values);
    else if (rc == CONFIG_RUN && config_asked(cfg, "send") != NULL)
        rc = send_records(cfg, &values);
    if (rc == CONFIG_RUN) {
        log_set_threshold(values.log_level);
        config_log_warnings(cfg);
        rc = run(cfg, &values);
    }
    config_free(cfg);
    return rc;
}

/* The table of endpoints, and those that are small. */
#include "gateway/api.h"
#include "gateway/origin.h"
#include "gateway/stats.h"
#include "gateway/upgrade.h"
#include "gateway/web.h"
#include "gateway/worker.h"

static const char *not_ready_because(const struct worker *w)
{
    if (w->draining)
        return "draining";
    if (!w->bus.topology.known)
        return "redis_nodes_unknown";
    return bus_is_trusted(&w->bus) ? "redis_away" : "redis_deaf";
}

static void on_ready(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    struct buf body = {0};
    if (gateway_is_ready(w->gateway)) {
        http_reply_json(req, 200, SLICE("{\"status\":\"ready\"}"));
        return;
    }
    buf_printf(&body, "{\"status\":\"not_ready\",\"reasons\":[\"%s\"]}", not_ready_because(w));
    http_reply_json(req, 503, buf_slice(&body));
    buf_release(&body);
}

static void on_options(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    if (!origin_allowed(w->cfg->allowed_origins, http_header(req, "origin"))) {
        http_reply_error(req, 403, "origin_not_allowed", "This origin is not in ALLOWED_ORIGINS");
        return;
    }
    http_add_header(req, "access-control-allow-methods", SLICE("GET, HEAD, POST, OPTIONS"));
    http_add_header(req, "access-control-allow-headers", SLICE("authorization, content-type, idempotency-key"));
    http_add_header(req, "access-control-max-age", SLICE("600"));
    http_reply(req, 204, "text/plain", SLICE(""));
}

/* CORS protocol of the Fetch standard: the origin is reflected, with credentials. */
static void on_reply_headers(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    struct slice origin = http_header(req, "origin");
    if (w->cfg->allowed_origins != NULL)
        http_add_header(req, "vary", SLICE("origin"));
    if (origin.p == NULL || !origin_allowed(w->cfg->allowed_origins, origin))
        return;
    http_add_header(req, "access-control-allow-origin", origin);
    http_add_header(req, "access-control-allow-credentials", SLICE("true"));
}

static void on_refused(struct http_server *s, enum http_refusal why)
{
    struct worker *w = s->conf.app;
    counter_add(&w->metrics->http_refused[why], 1);
}

/* clang-format off: a row a line */
static const struct http_route routes[] = {
    {"GET", "/ws", upgrade_on_ws},       {"GET", "/ws/*", upgrade_on_ws},       {"GET", "/echo", upgrade_on_echo},
    {"GET", "/health", stats_on_health}, {"GET", "/ready", on_ready},           {"GET", "/status", stats_on_status},
    {"GET", "/stats", stats_on_stats},   {"GET", "/metrics", stats_on_metrics}, {"GET", "/demo", web_on_demo},
    {"GET", "/demo/*", web_on_demo},     {"OPTIONS", "/*", on_options},
};
/* clang-format on */

const struct http_server_conf api_http = {
    .routes = routes, .route_count = ARRAY_LEN(routes), .on_refused = on_refused, .on_reply_headers = on_reply_headers};

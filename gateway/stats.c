/* Figures hold over all gateways: totals are the census's, a second old; users by name are read when asked for, and
 * added up here. */
#include "gateway/stats.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/json_write.h"
#include "common/metrics_page.h"
#include "gateway/worker.h"

#include <inttypes.h>
#include <stdlib.h>

#define NAMES_DEPTH 4
#define JSON_TYPE   "application/json"

/* ---- /health ---- */

static uint64_t uptime_s(const struct worker *w)
{
    return (clock_wall_ms() - w->gateway->process.started_ms) / 1000;
}

static void health_tidegate(const struct worker *w, struct buf *b)
{
    buf_printf(b,
               "{\"status\":\"healthy\",\"service\":\"tidegate-gateway\",\"version\":\"" TIDEGATE_VERSION
               "\",\"connections\":%" PRIu64 ",\"uptime\":%" PRIu64 "}",
               w->census.totals.connections, uptime_s(w));
}

static void health_survey(const struct worker *w, struct buf *b)
{
    char now[CLOCK_ISO_LEN + 1];
    clock_iso8601(clock_wall_ms(), now);
    buf_printf(b,
               "{\"status\":\"healthy\",\"service\":\"websocket-service\",\"timestamp\":\"%s\",\"uptime\":%" PRIu64
               ",\"connections\":{\"total\":%" PRIu64 ",\"users\":%" PRIu64 "}}",
               now, uptime_s(w), w->census.totals.connections, w->census.totals.users);
}

static void health_notisync(const struct worker *w, struct buf *b)
{
    buf_printf(b,
               "{\"status\":\"healthy\",\"service\":\"tidegate-gateway\",\"version\":\"" TIDEGATE_VERSION
               "\",\"websocket\":{\"status\":\"%s\",\"connections\":%" PRIu64 "},\"uptime\":%" PRIu64 "}",
               gateway_is_ready(w->gateway) ? "running" : "degraded", w->census.totals.connections, uptime_s(w));
}

static void health_skill(const struct worker *w, struct buf *b)
{
    buf_printf(b, "{\"status\":\"healthy\",\"connections\":%" PRIu64 "}", w->census.totals.connections);
}

static void (*const health_shapes[])(const struct worker *, struct buf *) = {[HEALTH_TIDEGATE] = health_tidegate,
                                                                             [HEALTH_TODO] = health_tidegate,
                                                                             [HEALTH_SURVEY] = health_survey,
                                                                             [HEALTH_NOTISYNC] = health_notisync,
                                                                             [HEALTH_SKILL] = health_skill};

void stats_on_health(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    struct buf b = {0};
    health_shapes[w->cfg->health_shape](w, &b);
    http_reply_json(req, 200, buf_slice(&b));
    buf_release(&b);
}

/* ---- users by name, over all workers ---- */

struct user_count {
    struct map_node node;
    uint64_t connections;
    char *name; /* a JSON string */
};

struct users {
    struct map by_name;
    const char *only;           /* see struct names_read */
    enum metrics_format format; /* too */
};

static void add_user(struct users *u, struct slice name, uint64_t connections)
{
    struct map_node *node = map_find(&u->by_name, name);
    if (node == NULL) {
        struct user_count *fresh = xcalloc(1, sizeof(*fresh));
        fresh->name = slice_dup(name);
        node = &fresh->node;
        map_insert(&u->by_name, node, slice_of(fresh->name));
    }
    CONTAINER_OF(node, struct user_count, node)->connections += connections;
}

static void add_names(struct users *u, struct slice json)
{
    struct json_value root, count;
    struct json_error err;
    struct slice name;
    uint64_t n;
    if (json_parse(json, NAMES_DEPTH, &root, &err) != 0 || root.kind != JSON_OBJECT)
        return;
    struct json_iter it = json_iter(root);
    while (json_next(&it, &name, &count))
        if (json_to_u64(count, &n) == 0)
            add_user(u, name, n);
}

static void users_release(struct users *u)
{
    struct map_node *node;
    while ((node = map_first(&u->by_name)) != NULL) {
        struct user_count *user = CONTAINER_OF(node, struct user_count, node);
        map_remove(&u->by_name, node);
        free(user->name);
        free(user);
    }
    map_release(&u->by_name);
}

/* ---- /status and /stats ---- */

typedef void (*write_body)(const struct worker *w, const struct users *u, struct buf *b);

struct names_read {
    struct worker *worker;
    struct http_pending *pending;
    const char *type;
    write_body write;
    char *only; /* owned: the one user whose connections the asker may see, as a JSON string; NULL: all */
    enum metrics_format format; /* of a page of metrics */
};

/* Distinct users, as far as they are named; a map that is cut at STATUS_USERS_MAX counts the others per worker. */
static uint64_t active_users(const struct worker *w, const struct users *u)
{
    bool cut = u->by_name.count >= (uint64_t)w->cfg->status_users_max;
    return cut ? MAX(w->census.totals.users, u->by_name.count) : u->by_name.count;
}

static void status_body(const struct worker *w, const struct users *u, struct buf *b)
{
    size_t left = (size_t)w->cfg->status_users_max;
    buf_printf(b,
               "{\"service\":\"WebSocket Service\",\"version\":\"1.0.0\",\"status\":\"%s\",\"connections\":%" PRIu64
               ",\"active_users\":%" PRIu64 ",\"connections_per_user\":{",
               w->draining ? "draining" : "running", w->census.totals.connections, active_users(w, u));
    const char *comma = "";
    MAP_EACH (node, &u->by_name) {
        const struct user_count *user = CONTAINER_OF(node, struct user_count, node);
        if (u->only != NULL && strcmp(user->name, u->only) != 0)
            continue;
        if (left-- == 0)
            break;
        buf_printf(b, "%s%s:%" PRIu64, comma, user->name, user->connections);
        comma = ",";
    }
    buf_lit(b, "}}");
}

static void stats_body(const struct worker *w, const struct users *u, struct buf *b)
{
    const struct census_totals *t = &w->census.totals;
    buf_printf(b,
               "{\"total_connections\":%" PRIu64 ",\"active_users\":%" PRIu64 ",\"messages_sent\":%" PRIu64
               ",\"workers\":%" PRIu64 "}",
               t->connections, active_users(w, u), t->messages, t->workers);
}

static void answer(struct names_read *read, const struct users *u)
{
    h2o_req_t *req = http_pending_take(read->pending);
    struct buf b = {0};
    if (req != NULL) {
        read->write(read->worker, u, &b);
        http_reply(req, 200, read->type, buf_slice(&b));
    }
    buf_release(&b);
    free(read->only);
    free(read);
}

static void on_names(void *arg, const redisReply *reply)
{
    const struct names_read *read = arg;
    struct users u = {.only = read->only, .format = read->format};
    map_init(&u.by_name);
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY)
        for (size_t i = 0; i < reply->elements; i++)
            if (reply->element[i]->type == REDIS_REPLY_STRING)
                add_names(&u, slice_make(reply->element[i]->str, reply->element[i]->len));
    answer(arg, &u);
    users_release(&u);
}

/* Of the workers whose id begins so. what: type and write, with only (*taken*) or format. */
static void read_names(struct worker *w, h2o_req_t *req, struct slice prefix, const struct names_read *what)
{
    struct names_read *read = xmalloc(sizeof(*read));
    *read = *what;
    read->worker = w;
    read->pending = http_pending_new(req);
    struct buf keys = {0};
    struct slice *argv = xmalloc(CENSUS_WORKERS_MAX * sizeof(*argv));
    size_t n = census_names_mget(&w->census, prefix, &keys, argv, CENSUS_WORKERS_MAX);
    if (n < 2 || redis_commands_send(&bus_node_of(&w->bus, 0)->commands, argv, n, on_names, read) != 0)
        on_names(read, NULL);
    free(argv);
    buf_release(&keys);
}

/* A user's token opens what API_AUTH=user leaves to users; *only (owned) is that user then. */
static bool is_user(struct worker *w, h2o_req_t *req, char **only)
{
    const struct auth_sources from = {.authorization = http_header(req, "authorization")};
    struct auth_verdict verdict;
    auth_check(&w->auth, &from, clock_wall_ms() / 1000, &verdict);
    if (verdict.ok) {
        struct buf name = {0};
        json_write_string(&name, buf_slice(&verdict.claims.user));
        *only = slice_dup(buf_slice(&name));
        buf_release(&name);
    }
    jwt_claims_release(&verdict.claims);
    return verdict.ok;
}

static bool is_allowed(struct worker *w, h2o_req_t *req, char **only)
{
    *only = NULL;
    if (w->cfg->api_auth == API_AUTH_OPEN || auth_is_server(&w->auth, http_header(req, "authorization")))
        return true;
    if (w->cfg->api_auth == API_AUTH_USER && is_user(w, req, only))
        return true;
    http_add_header(req, "www-authenticate", SLICE("Bearer"));
    http_reply_error(req, 401, "credential_required",
                     w->cfg->api_auth == API_AUTH_USER ? "This endpoint needs a user's token, or API_TOKEN"
                                                       : "This endpoint needs the server credential, API_TOKEN");
    return false;
}

void stats_on_status(struct http_server *s, h2o_req_t *req)
{
    struct names_read what = {.type = JSON_TYPE, .write = status_body};
    if (is_allowed(s->conf.app, req, &what.only))
        read_names(s->conf.app, req, SLICE(""), &what);
}

void stats_on_stats(struct http_server *s, h2o_req_t *req)
{
    struct names_read what = {.type = JSON_TYPE, .write = stats_body};
    if (is_allowed(s->conf.app, req, &what.only))
        read_names(s->conf.app, req, SLICE(""), &what);
}

/* ---- /metrics ---- */

static void write_user_metric(const struct worker *w, const struct users *u, struct buf *b)
{
    static const struct metric metric = {
        .kind = METRIC_GAUGE, .name = STATS_USER_METRIC, .help = "Open connections by user."};
    size_t left = (size_t)w->cfg->status_users_max;
    struct buf scratch = {0};
    metrics_head(b, u->format, &metric);
    MAP_EACH (node, &u->by_name) {
        const struct user_count *user = CONTAINER_OF(node, struct user_count, node);
        struct json_value name = {JSON_STRING, slice_of(user->name)};
        struct metric_label label = {.name = "user"};
        buf_clear(&scratch);
        if (left-- == 0)
            break;
        if (json_string_decode(name, &scratch, &label.value) == 0)
            metrics_line(b, STATS_USER_METRIC, &label, 1, (int64_t)user->connections);
    }
    buf_release(&scratch);
}

static void metrics_body(const struct worker *w, const struct users *u, struct buf *b)
{
    metrics_scrape(&w->gateway->metrics, u->format, b);
    if (w->cfg->metrics_per_user)
        write_user_metric(w, u, b);
    metrics_end(u->format, b);
}

/* The users of this process alone: another gateway's are in its own metrics. */
void stats_on_metrics(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    enum metrics_format format = metrics_format_for(http_headers_joined(req, "accept"));
    const char *type = metrics_content_type(format);
    http_add_header(req, "vary", SLICE("accept"));
    if (w->cfg->metrics_per_user) {
        read_names(w, req, slice_of(w->gateway->id),
                   &(struct names_read){.type = type, .write = metrics_body, .format = format});
        return;
    }
    struct buf b = {0};
    metrics_body(w, &(struct users){.format = format}, &b);
    http_reply(req, 200, type, buf_slice(&b));
    buf_release(&b);
}

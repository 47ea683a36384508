/* Judges the gateway's options against each other: what is missing, what cannot work together, and what is unsafe
 * enough that production must not start with it. */
#include "gateway/config.h"
#include "common/metrics_page.h"
#include "gateway/metrics.h"
#include "common/config_table.h"
#include "common/probe.h"
#include "common/redis_site.h"
#include "gateway/client_ip.h"
#include "gateway/dialect.h"

#include <stdlib.h>

/* HS256 wants a key as long as its hash (RFC 7518, section 3.2). */
#define SECRET_BYTES_MIN 32

/* Parts of the secrets that documents give as examples. */
static const char *const placeholders[] = {"your-secret", "your_secret", "change-in-production", "change-me",
                                           "changeme",    "change_me",   "super-secret",         "example"};

static bool is_placeholder(const char *secret)
{
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++)
        if (strcasestr(secret, placeholders[i]) != NULL)
            return true;
    return false;
}

static void judge_secret(struct config *cfg, const char *name, const char *secret, const char *harm)
{
    if (secret == NULL)
        return;
    if (is_placeholder(secret))
        config_problem(cfg, CONFIG_UNSAFE, "%s is an example out of a document: anybody can %s", name, harm);
    else if (strlen(secret) < SECRET_BYTES_MIN)
        config_problem(cfg, CONFIG_WARN, "%s is shorter than %d bytes and can be guessed", name, SECRET_BYTES_MIN);
}

static void judge_tokens(struct config *cfg, const struct gateway_config *v)
{
    if (v->jwt_secret == NULL && v->ws_auth == WS_AUTH_REQUIRED)
        config_problem(cfg, CONFIG_ERROR,
                       "JWT_SECRET_KEY (or JWT_SECRET, BETTER_AUTH_SECRET) is not set: no token can be checked");
    judge_secret(cfg, "JWT_SECRET_KEY", v->jwt_secret, "make tokens");
    judge_secret(cfg, "API_TOKEN", v->api_token, "use it");
    struct slice rest = slice_of(v->jwt_user_claims), claim;
    if (!config_list_next(&rest, &claim))
        config_problem(cfg, CONFIG_ERROR, "JWT_USER_CLAIMS names no claim");
}

static void judge_openness(struct config *cfg, const struct gateway_config *v)
{
    if (v->ws_auth == WS_AUTH_PATH)
        config_problem(cfg, CONFIG_UNSAFE, "WS_AUTH=path believes any user id that a client names");
    if (v->api_auth == API_AUTH_OPEN)
        config_problem(cfg, CONFIG_UNSAFE, "API_AUTH=open lets anybody publish and read statistics");
    if (v->conformance)
        config_problem(cfg, CONFIG_UNSAFE, "CONFORMANCE=1 opens /echo to anybody");
}

static void judge_times(struct config *cfg, const struct gateway_config *v)
{
    if (v->idle_ping >= v->connection_timeout)
        config_problem(cfg, CONFIG_ERROR,
                       "IDLE_PING must be shorter than CONNECTION_TIMEOUT, or every quiet client is closed");
    if (v->admission_rate != 0 && v->admission_wait >= v->answer_timeout)
        config_problem(cfg, CONFIG_ERROR,
                       "ADMISSION_WAIT must be shorter than ANSWER_TIMEOUT, or who waits is cut off before its turn");
}

static void judge_words(struct config *cfg, const struct gateway_config *v)
{
    struct slice bad;
    const struct dialect *d = dialect_by_name(slice_of(v->dialect));
    if (d == NULL || d->id == DIALECT_ID_ECHO)
        config_problem(cfg, CONFIG_ERROR, "DIALECT: there is no dialect %s", v->dialect);
    if (!client_ip_list_valid(v->trusted_proxies, &bad))
        config_problem(cfg, CONFIG_ERROR, "TRUSTED_PROXIES: %.*s is neither an address nor a network", SLICE_ARG(bad));
}

static void judge_redis(struct config *cfg, const struct gateway_config *v)
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
    const struct gateway_config *v = values;
    judge_tokens(cfg, v);
    judge_openness(cfg, v);
    judge_times(cfg, v);
    judge_words(cfg, v);
    judge_redis(cfg, v);
}

static void print_metrics(struct buf *out)
{
    metrics_markdown(&gateway_metrics_table, out);
}

static const struct config_action actions[] = {
    PROBE_ACTIONS("http://…, ws://… (waits for the welcome), or a path of this gateway,"),
    {"probe-user", "ID", "probe", "who to be at a ws://…: makes a token with JWT_SECRET_KEY"},
};

const struct config_table gateway_config_table = {
    .program = "tidegate-gateway",
    .summary = "Holds the WebSockets of a Tidegate cluster and delivers what the routers put into Redis.",
    CONFIG_ROWS,
    .actions = actions,
    .action_count = ARRAY_LEN(actions),
    .validate = validate,
    .print_metrics = print_metrics,
};

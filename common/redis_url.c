/* A scheme, credentials, hosts, a path: what each may hold is told by the scheme. */
#include "common/redis_url.h"

#include <stdlib.h>

#define REDIS_PORT    6379
#define SENTINEL_PORT 26379

static const struct scheme {
    const char *text;
    enum redis_kind kind;
    bool tls;
} schemes[] = {{"redis", REDIS_ONE, false},
               {"rediss", REDIS_ONE, true},
               {"redis+sentinel", REDIS_SENTINEL, false},
               {"rediss+sentinel", REDIS_SENTINEL, true},
               {"redis+cluster", REDIS_CLUSTER, false},
               {"rediss+cluster", REDIS_CLUSTER, true}};

static int take_scheme(struct slice *text, struct redis_url *out, const char **why)
{
    const char *end = text->n > 0 ? memmem(text->p, text->n, "://", 3) : NULL;
    if (end == NULL)
        return 0;
    struct slice word = slice_make(text->p, (size_t)(end - text->p));
    *text = slice_from(*text, word.n + 3);
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!slice_eq(word, slice_of(schemes[i].text)))
            continue;
        out->kind = schemes[i].kind;
        out->tls = schemes[i].tls;
        return 0;
    }
    *why = "the scheme is none of redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster and rediss+cluster";
    return -1;
}

static int take_hosts(struct slice text, struct redis_url *out, const char **why)
{
    out->hosts = xcalloc(REDIS_NODES_MAX, sizeof(*out->hosts));
    do {
        if (out->count == REDIS_NODES_MAX) {
            *why = "there are more than 64 hosts";
            return -1;
        }
        struct endpoint *host = &out->hosts[out->count];
        host->port = out->kind == REDIS_SENTINEL ? SENTINEL_PORT : REDIS_PORT;
        if (endpoint_parse_host(slice_cut(&text, ','), host, why) != 0)
            return -1;
        out->count++;
        for (size_t i = 0; i + 1 < out->count; i++)
            if (endpoint_is_at(host, out->hosts[i].host, out->hosts[i].port)) {
                *why = "a host is named twice";
                return -1;
            }
    } while (text.p != NULL);
    if (out->kind == REDIS_ONE && out->count > 1)
        out->kind = REDIS_SEVERAL;
    return 0;
}

static int take_master(struct slice *path, struct redis_url *out, const char **why)
{
    struct slice name = slice_cut(path, '/');
    char *text = xmalloc(name.n + 1);
    int n = endpoint_percent_decode(name, text);
    if (n <= 0 || memchr(text, '\0', (size_t)n) != NULL) {
        free(text);
        *why = "the name of the master is missing: redis+sentinel://host,host/name";
        return -1;
    }
    text[n] = '\0';
    out->master = text;
    return 0;
}

static int take_path(struct slice path, struct redis_url *out, const char **why)
{
    uint64_t db = 0;
    if (out->kind == REDIS_SENTINEL && take_master(&path, out, why) != 0)
        return -1;
    if (path.n > 0 && (slice_to_u64(path, &db) != 0 || db > 65535)) {
        *why = "the path is not a database number";
        return -1;
    }
    if (out->kind == REDIS_CLUSTER && db != 0) {
        *why = "a Redis Cluster has no databases but 0";
        return -1;
    }
    out->data.db = (unsigned)db;
    return 0;
}

static int parse_into(struct slice text, struct redis_url *out, const char **why)
{
    if (take_scheme(&text, out, why) != 0)
        return -1;
    struct slice path = text;
    text = slice_cut(&path, '/');
    const char *at = text.n > 0 ? memrchr(text.p, '@', text.n) : NULL;
    if (at != NULL) {
        size_t n = (size_t)(at - text.p);
        if (endpoint_parse_credentials(slice_make(text.p, n), &out->data, why) != 0)
            return -1;
        text = slice_from(text, n + 1);
    }
    return take_hosts(text, out, why) != 0 ? -1 : take_path(path, out, why);
}

int redis_url_parse(struct slice text, struct redis_url *out, const char **why)
{
    *out = (struct redis_url){.kind = REDIS_ONE};
    if (parse_into(slice_trim(text), out, why) == 0)
        return 0;
    redis_url_release(out);
    return -1;
}

void redis_url_release(struct redis_url *u)
{
    for (size_t i = 0; u->hosts != NULL && i < REDIS_NODES_MAX; i++)
        endpoint_release(&u->hosts[i]);
    free(u->hosts);
    free(u->master);
    endpoint_release(&u->data);
    *u = (struct redis_url){0};
}

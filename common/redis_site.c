/* Puts the URL's hosts, the credentials and TLS together into endpoints that a link can go to. */
#include "common/redis_site.h"
#include "common/buf.h"

#include <stdlib.h>

static char *list_of(const struct redis_url *u)
{
    struct buf text = {0};
    for (size_t i = 0; i < u->count; i++) {
        char *label = endpoint_label(&u->hosts[i]);
        buf_append(&text, i > 0 ? SLICE(",") : SLICE(""));
        buf_append(&text, slice_of(label));
        free(label);
    }
    if (u->data.db != 0)
        buf_printf(&text, "/%u", u->data.db);
    buf_byte(&text, '\0');
    return text.p;
}

static int judge(const struct redis_options *o, const struct redis_url *u, char **why)
{
    bool files = o->tls.ca != NULL || o->tls.cert != NULL || o->tls.key != NULL || o->tls.server_name != NULL;
    bool sentinel = o->sentinel_user != NULL || o->sentinel_password != NULL;
    if (files && !u->tls)
        *why = xstrdup("REDIS_TLS_…: without rediss:// in REDIS_URL nothing is encrypted");
    else if (sentinel && u->kind != REDIS_SENTINEL)
        *why = xstrdup("REDIS_SENTINEL_…: REDIS_URL is not redis+sentinel://");
    else if (o->sentinel_user != NULL && o->sentinel_password == NULL)
        *why = xstrdup("REDIS_SENTINEL_USER needs REDIS_SENTINEL_PASSWORD");
    else if (u->data.user != NULL && u->data.password == NULL)
        *why = xstrdup("REDIS_URL: a user needs a password");
    else
        return 0;
    return -1;
}

static int make_tls(struct redis_site *s, const struct redis_options *o, char **why)
{
    char *reason;
    s->tls = tls_client_new(&o->tls, &reason);
    if (s->tls != NULL)
        return 0;
    *why = xasprintf("REDIS_TLS_…: %s", reason);
    free(reason);
    return -1;
}

/* An endpoint at the URL's host, with the credentials, database and TLS of `as`. */
static struct endpoint at(const struct endpoint *host, const struct endpoint *as)
{
    struct endpoint e;
    endpoint_copy(&e, as);
    e.host = xstrdup(host->host);
    e.port = host->port;
    return e;
}

static void fill(struct redis_site *s, const struct redis_options *o, const struct redis_url *u)
{
    endpoint_copy(&s->data, &u->data);
    s->data.tls = s->tls;
    const struct endpoint sentinel = {
        .user = (char *)o->sentinel_user, .password = (char *)o->sentinel_password, .tls = s->tls};
    s->kind = u->kind;
    s->count = u->count;
    s->hosts = xcalloc(u->count, sizeof(*s->hosts));
    for (size_t i = 0; i < u->count; i++)
        s->hosts[i] = at(&u->hosts[i], u->kind == REDIS_SENTINEL ? &sentinel : &s->data);
    s->master = u->master != NULL ? xstrdup(u->master) : NULL;
    s->list = list_of(u);
}

int redis_site_init(struct redis_site *s, const struct redis_options *o, char **why)
{
    struct redis_url u;
    const char *reason;
    *s = (struct redis_site){0};
    if (redis_url_parse(slice_of(o->url), &u, &reason) != 0) {
        *why = xasprintf("REDIS_URL: %s", reason);
        return -1;
    }
    int rc = judge(o, &u, why);
    if (rc == 0 && u.tls)
        rc = make_tls(s, o, why);
    if (rc == 0)
        fill(s, o, &u);
    redis_url_release(&u);
    return rc;
}

void redis_site_release(struct redis_site *s)
{
    for (size_t i = 0; i < s->count; i++)
        endpoint_release(&s->hosts[i]);
    free(s->hosts);
    endpoint_release(&s->data);
    free(s->master);
    free(s->list);
    tls_client_free(s->tls);
    *s = (struct redis_site){0};
}

unsigned redis_site_node(const struct redis_site *s, unsigned bucket)
{
    uint64_t key = bucket;
    int64_t node = -1, next = 0;
    while (next < (int64_t)s->count) {
        node = next;
        key = key * 2862933555777941757u + 1;
        next = (int64_t)((double)(node + 1) * ((double)(1ll << 31) / (double)((key >> 33) + 1)));
    }
    return (unsigned)node;
}

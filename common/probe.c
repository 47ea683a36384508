/* The flags become a struct probe; an attempt is a connection and a conversation, by the URL's scheme. HTTP is spoken
 * here, what else there is by whoever runs the probe. */
#include "common/probe.h"
#include "common/clock.h"
#include "common/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TIMEOUT_MS 3000
#define EVERY_MS   250
#define ANSWER_MAX (8u << 20)
#define SHOWN_MAX  200 /* bytes of a refusal */

/* ---- HTTP ---- */

size_t probe_read_head(struct dial *d, unsigned *status, char **why)
{
    for (;;) {
        size_t head;
        enum wire_result r = wire_response(buf_slice(&d->in), &head, status);
        if (r == WIRE_OK)
            return head;
        int more = r == WIRE_MORE && d->in.n < ANSWER_MAX ? dial_more(d, why) : 0;
        if (more < 0)
            return 0;
        if (more == 0) {
            *why = xstrdup("what came is no answer of HTTP");
            return 0;
        }
    }
}

/* To the end of the stream. */
static int read_body(struct dial *d, char **why)
{
    int more;
    while ((more = dial_more(d, why)) > 0)
        if (d->in.n > ANSWER_MAX) {
            *why = xasprintf("an answer of more than %u bytes", ANSWER_MAX);
            return -1;
        }
    return more;
}

/* A line stays a line. */
static struct slice shown(struct slice body)
{
    char *p = (char *)body.p;
    body.n = MIN(body.n, SHOWN_MAX);
    for (size_t i = 0; i < body.n; i++)
        p[i] = (unsigned char)p[i] < ' ' ? ' ' : p[i];
    return slice_trim(body);
}

void probe_refused(struct dial *d, size_t head, unsigned status, char **why)
{
    struct slice body = shown(slice_from(buf_slice(&d->in), head));
    *why = xasprintf("status %u%s%.*s", status, body.n > 0 ? ": " : "", SLICE_ARG(body));
}

static int converse_http(const struct probe *p, struct dial *d, void *arg, char **why)
{
    char *request = xasprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", p->path, p->authority);
    unsigned status;
    size_t head = 0;
    if (dial_send(d, slice_of(request), why) == 0)
        head = probe_read_head(d, &status, why);
    free(request);
    if (head == 0 || read_body(d, why) != 0)
        return -1;
    if (status < 200 || status > 299) {
        probe_refused(d, head, status, why);
        return -1;
    }
    struct slice body = slice_from(buf_slice(&d->in), head), expect = slice_of(p->expect);
    if (expect.n == 0 || memmem(body.p, body.n, expect.p, expect.n) != NULL)
        return 0;
    *why = xasprintf("status %u, but nowhere in its %zu bytes stands %s", status, body.n, p->expect);
    return -1;
}

/* ---- flags ---- */

/* Who listens everywhere answers here. */
static const char *reachable(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
}

static const struct scheme {
    const char *prefix;
    bool ws;
} schemes[] = {{"http://", false}, {"ws://", true}};

/* What stands behind the scheme; *converse is how it is spoken, NULL when nobody here does. */
static const char *cut_scheme(const struct probe_self *self, const char *url, probe_converse *converse)
{
    *converse = url[0] == '/' ? converse_http : NULL;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (slice_starts(slice_of(url), slice_of(schemes[i].prefix))) {
            *converse = schemes[i].ws ? self->on_ws : converse_http;
            return url + strlen(schemes[i].prefix);
        }
    return url;
}

static bool is_target(const char *path)
{
    for (const char *p = path; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return false;
    return true;
}

static int read_url(struct probe *p, const struct probe_self *self, const char *url, probe_converse *converse,
                    const char **why)
{
    const char *rest = cut_scheme(self, url, converse);
    if (*converse == NULL) {
        *why = self->on_ws != NULL ? "must be http://, ws:// or a path of this program"
                                   : "must be http:// or a path of this program";
        return -1;
    }
    const char *path = strchrnul(rest, '/');
    struct slice authority = slice_make(rest, (size_t)(path - rest));
    p->path = path[0] != '\0' ? path : "/";
    p->at.port = 80;
    if (!is_target(p->path)) {
        *why = "the path holds a blank or a control character";
        return -1;
    }
    if (rest != url) {
        p->authority = slice_dup(authority);
        return endpoint_parse_host(authority, &p->at, why);
    }
    p->at.host = xstrdup(reachable(self->host));
    p->at.port = self->port;
    p->authority = endpoint_label(&p->at);
    return 0;
}

static int read_time(const struct config *cfg, const char *flag, uint64_t *ms, const char **why)
{
    const char *text = config_asked(cfg, flag);
    if (text == NULL || config_parse_duration(slice_of(text), ms) == 0)
        return 0;
    *why = "a time is written 500ms, 3s or 2m";
    return -1;
}

/* ---- */

static int attempt(const struct probe *p, probe_converse converse, void *arg, char **why)
{
    struct dial d;
    if (dial_open(&d, p->at.host, p->at.port, p->timeout_ms, why) != 0)
        return -1;
    int rc = converse(p, &d, arg, why);
    dial_release(&d);
    return rc;
}

static int attempts(const struct probe *p, probe_converse converse, void *arg, char **why)
{
    uint64_t until = clock_mono_ms() + p->for_ms, now;
    while (attempt(p, converse, arg, why) == 0) {
        now = clock_mono_ms();
        if (now >= until)
            return 0;
        usleep((useconds_t)MIN(EVERY_MS, until - now) * 1000);
    }
    return -1;
}

int probe_run(const struct config *cfg, const struct probe_self *self)
{
    const char *url = config_asked(cfg, "probe"), *mistake = NULL;
    struct probe p = {.expect = config_asked(cfg, "probe-expect"), .timeout_ms = TIMEOUT_MS};
    probe_converse converse;
    char *why = NULL;
    int rc = 2;
    assert(url != NULL);
    if (read_time(cfg, "probe-timeout", &p.timeout_ms, &mistake) == 0 &&
        read_time(cfg, "probe-for", &p.for_ms, &mistake) == 0 && read_url(&p, self, url, &converse, &mistake) == 0)
        rc = attempts(&p, converse, self->arg, &why) == 0 ? 0 : 1;
    if (rc != 0)
        fprintf(stderr, "%s: %s: %s\n", self->program, url, mistake != NULL ? mistake : why);
    free(why);
    free(p.authority);
    endpoint_release(&p.at);
    return rc;
}

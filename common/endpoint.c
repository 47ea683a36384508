/* URL parsing for Redis: strict, with a sentence for each mistake. */
#include "common/endpoint.h"

#include <stdlib.h>

#define REDIS_PORT 6379

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int endpoint_percent_decode(struct slice s, char *dst)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            dst[n++] = s.p[i];
            continue;
        }
        int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
        if (hi < 0 || lo < 0)
            return -1;
        dst[n++] = (char)(hi << 4 | lo);
        i += 2;
    }
    return (int)n;
}

bool endpoint_query(struct slice query, struct slice name, struct slice *value)
{
    while (query.n > 0) {
        *value = slice_cut(&query, '&');
        if (slice_eq(slice_cut(value, '='), name))
            return true;
    }
    return false;
}

/* Returns owned, or NULL when an escape is malformed or hides a NUL. */
static char *decoded(struct slice s)
{
    char *text = xmalloc(s.n + 1);
    int n = endpoint_percent_decode(s, text);
    if (n < 0 || memchr(text, '\0', (size_t)n) != NULL) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static int parse_credentials(struct slice s, struct endpoint *out, const char **why)
{
    struct slice user = slice_cut(&s, ':');
    struct slice password = s;
    if (s.p == NULL) { /* redis://secret@host: the whole is a password, as redis-cli reads it */
        password = user;
        user = SLICE("");
    }
    if (user.n > 0 && (out->user = decoded(user)) == NULL) {
        *why = "the user name holds a malformed %-escape";
        return -1;
    }
    if (password.n > 0 && (out->password = decoded(password)) == NULL) {
        *why = "the password holds a malformed %-escape";
        return -1;
    }
    return 0;
}

static int parse_port(struct slice s, struct endpoint *out, const char **why)
{
    uint64_t port;
    if (slice_to_u64(s, &port) != 0 || port == 0 || port > 65535) {
        *why = "the port is not a number from 1 to 65535";
        return -1;
    }
    out->port = (uint16_t)port;
    return 0;
}

static int parse_host_port(struct slice s, struct endpoint *out, const char **why)
{
    struct slice host;
    if (slice_starts(s, SLICE("["))) {
        s = slice_from(s, 1);
        host = slice_cut(&s, ']');
        if (s.p == NULL || (s.n > 0 && s.p[0] != ':')) {
            *why = "an IPv6 address is written [address]:port";
            return -1;
        }
        if (s.n > 0 && parse_port(slice_from(s, 1), out, why) != 0)
            return -1;
    } else {
        host = slice_cut(&s, ':');
        if (s.p != NULL && parse_port(s, out, why) != 0)
            return -1;
    }
    if (host.n == 0) {
        *why = "the host is missing";
        return -1;
    }
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || host.p[i] == 0x7f) {
            *why = "the host holds a blank or a control character";
            return -1;
        }
    out->host = slice_dup(host);
    return 0;
}

static int parse_into(struct slice url, struct endpoint *out, const char **why)
{
    out->port = REDIS_PORT;
    if (slice_starts(url, SLICE("rediss://"))) {
        *why = "rediss:// needs a TLS proxy beside this process (stunnel or a sidecar); point redis:// at that";
        return -1;
    }
    if (slice_starts(url, SLICE("redis://")))
        url = slice_from(url, strlen("redis://"));
    else if (url.n > 0 && memmem(url.p, url.n, "://", 3) != NULL) {
        *why = "the scheme is not redis://";
        return -1;
    }
    struct slice path = url;
    url = slice_cut(&path, '/');
    const char *at = url.n > 0 ? memrchr(url.p, '@', url.n) : NULL;
    if (at != NULL) {
        size_t n = (size_t)(at - url.p);
        if (parse_credentials(slice_make(url.p, n), out, why) != 0)
            return -1;
        url = slice_from(url, n + 1);
    }
    uint64_t db = 0;
    if (path.n > 0 && (slice_to_u64(path, &db) != 0 || db > 65535)) {
        *why = "the path is not a database number";
        return -1;
    }
    out->db = (unsigned)db;
    return parse_host_port(url, out, why);
}

int endpoint_parse_redis(struct slice url, struct endpoint *out, const char **why)
{
    *out = (struct endpoint){0};
    if (parse_into(slice_trim(url), out, why) == 0)
        return 0;
    endpoint_release(out);
    return -1;
}

void endpoint_release(struct endpoint *e)
{
    free(e->host);
    free(e->user);
    free(e->password);
    *e = (struct endpoint){0};
}

char *endpoint_label(const struct endpoint *e)
{
    return xasprintf(strchr(e->host, ':') != NULL ? "[%s]:%u" : "%s:%u", e->host, e->port);
}

/* The parts of URLs: strict, with a sentence for each mistake. */
#include "common/endpoint.h"

#include <stdlib.h>

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

int endpoint_parse_credentials(struct slice s, struct endpoint *out, const char **why)
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

int endpoint_parse_host(struct slice s, struct endpoint *out, const char **why)
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

static char *copy_text(const char *text)
{
    return text != NULL ? xstrdup(text) : NULL;
}

void endpoint_copy(struct endpoint *dst, const struct endpoint *src)
{
    *dst = *src;
    dst->host = copy_text(src->host);
    dst->user = copy_text(src->user);
    dst->password = copy_text(src->password);
}

bool endpoint_is_at(const struct endpoint *e, const char *host, uint16_t port)
{
    return e->host != NULL && e->port == port && strcmp(e->host, host) == 0;
}

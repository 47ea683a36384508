/* Where a server is, and who we are to it: the URLs of configuration. */
#ifndef TIDEGATE_COMMON_ENDPOINT_H
#define TIDEGATE_COMMON_ENDPOINT_H

#include "common/slice.h"

struct endpoint {
    char *host; /* name or address, IPv6 without brackets */
    uint16_t port;
    char *user;     /* NULL: none */
    char *password; /* NULL: none */
    unsigned db;
};

/* Parses redis://[[user]:password@]host[:port][/db], or host[:port]. User and password are percent-decoded. Returns 0
 * and *out owning its strings (endpoint_release), or -1 with *why a static sentence. rediss:// is refused: the Redis
 * library of this build has no TLS. */
int endpoint_parse_redis(struct slice url, struct endpoint *out, const char **why);
void endpoint_release(struct endpoint *e);
/* "host:port" for logs, never a credential; returns owned. */
char *endpoint_label(const struct endpoint *e);

/* The value, still encoded, of the first parameter of that name in a query (without its '?'); false: absent. One
 * without
 * '=' has an empty value. */
bool endpoint_query(struct slice query, struct slice name, struct slice *value);

/* Decodes %XX into dst (at least s.n bytes), which may be s itself: the length, or -1 when an escape is malformed. */
int endpoint_percent_decode(struct slice s, char *dst);

#endif

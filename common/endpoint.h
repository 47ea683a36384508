/* Where a server is, and who we are to it; and the parts that URLs are made of. */
#ifndef TIDEGATE_COMMON_ENDPOINT_H
#define TIDEGATE_COMMON_ENDPOINT_H

#include "common/slice.h"

struct tls_client;

struct endpoint {
    char *host; /* name or address, IPv6 without brackets */
    uint16_t port;
    char *user;     /* NULL: none */
    char *password; /* NULL: none */
    unsigned db;
    const struct tls_client *tls; /* borrowed; NULL: in the clear */
};

void endpoint_release(struct endpoint *e);
/* Makes *dst an endpoint with strings of its own. */
void endpoint_copy(struct endpoint *dst, const struct endpoint *src);
/* Same host, by its text, and port. */
bool endpoint_is_at(const struct endpoint *e, const char *host, uint16_t port);
/* "host:port" for logs, never a credential; returns owned. */
char *endpoint_label(const struct endpoint *e);

/* Of [user]:password, or password alone, both percent-decoded: 0 and out->user and ->password are set, or -1 with *why
 * a static sentence. */
int endpoint_parse_credentials(struct slice s, struct endpoint *out, const char **why);
/* Of host[:port] or [address][:port]: 0 and out->host is set, ->port too if it is given; or -1 with *why. */
int endpoint_parse_host(struct slice s, struct endpoint *out, const char **why);

/* The value, still encoded, of the first parameter of that name in a query (without its '?'); false: absent. One
 * without '=' has an empty value. */
bool endpoint_query(struct slice query, struct slice name, struct slice *value);

/* Decodes %XX into dst (at least s.n bytes), which may be s itself: the length, or -1 when an escape is malformed. */
int endpoint_percent_decode(struct slice s, char *dst);

#endif

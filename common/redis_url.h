/* Where Redis is, in one text: a single server, a master that Sentinels know, a Redis Cluster, or several nodes that
 * know nothing of each other.
 *
 *     redis://[[user]:password@]host[:port][/db]               one server
 *     redis://[…@]host[:port],host[:port],…[/db]               several nodes, which share the buckets
 *     redis+sentinel://[…@]host[:port],…/master[/db]           user and password are the data nodes'
 *     redis+cluster://[…@]host[:port],…                        some nodes to begin with
 *
 * rediss://, rediss+sentinel:// and rediss+cluster:// are the same through TLS, to Sentinels too. A bare host[:port] is
 * redis://. Ports default to 6379, a Sentinel's to 26379. User, password and the master's name are percent-encoded. */
#ifndef TIDEGATE_COMMON_REDIS_URL_H
#define TIDEGATE_COMMON_REDIS_URL_H

#include "common/endpoint.h"

#define REDIS_NODES_MAX 64

enum redis_kind { REDIS_ONE, REDIS_SEVERAL, REDIS_SENTINEL, REDIS_CLUSTER };

struct redis_url {
    enum redis_kind kind;
    bool tls;
    struct endpoint data;   /* user, password and db of the nodes that hold data; no host */
    struct endpoint *hosts; /* host and port only */
    size_t count;           /* 1 to REDIS_NODES_MAX */
    char *master;           /* for Sentinels, else NULL */
};

/* 0 and *out owning its strings (redis_url_release), or -1 with *why a static sentence. */
int redis_url_parse(struct slice text, struct redis_url *out, const char **why);
void redis_url_release(struct redis_url *u);

#endif

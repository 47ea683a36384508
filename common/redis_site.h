/* Where Redis is and who we are there, as the options say it: made at the start, constant, shared by all threads. */
#ifndef TIDEGATE_COMMON_REDIS_SITE_H
#define TIDEGATE_COMMON_REDIS_SITE_H

#include "common/redis_url.h"
#include "common/tls.h"

/* Texts of options, NULL: not set. */
struct redis_options {
    const char *url;
    const char *sentinel_user, *sentinel_password;
    struct tls_files tls;
};
/* Of a configuration's values, v a pointer to the struct made of config_common.def. */
#define REDIS_OPTIONS(v)                                                                                               \
    ((struct redis_options){.url = (v)->redis_url,                                                                     \
                            .sentinel_user = (v)->redis_sentinel_user,                                                 \
                            .sentinel_password = (v)->redis_sentinel_password,                                         \
                            .tls = {.ca = (v)->redis_tls_ca,                                                           \
                                    .cert = (v)->redis_tls_cert,                                                       \
                                    .key = (v)->redis_tls_key,                                                         \
                                    .server_name = (v)->redis_tls_server_name}})

struct redis_site {
    enum redis_kind kind;
    struct endpoint *hosts; /* of nodes, or of Sentinels; whole, with what the greeting needs there */
    size_t count;
    struct endpoint data; /* of a node that is yet to be found: all but host and port */
    char *master;         /* its name at the Sentinels */
    char *list;           /* the hosts as host:port,host:port/db, without credentials */
    struct tls_client *tls;
};

/* 0, or -1 with *why owned: a sentence that names the option. */
int redis_site_init(struct redis_site *s, const struct redis_options *o, char **why);
void redis_site_release(struct redis_site *s);
/* Of several nodes that know nothing of each other: the number of the one that has a bucket. Jump consistent hash
 * (Lamping and Veach, 2014) of the bucket: one node more at the end of the list moves the least. */
unsigned redis_site_node(const struct redis_site *s, unsigned bucket);

#endif

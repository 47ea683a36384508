/* Addresses in, connecting sockets out. Binding to a source address without choosing a port leaves the choice to
 * connect(2), which then only has to be unique per destination. */
#include "loadtest/lib/target.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define SOCKETS_PER_SOURCE 10000u

static int resolve(struct target *t, struct slice host, struct slice port, const char **why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (host.n > 2 && host.p[0] == '[')
        host = slice_make(host.p + 1, host.n - 2);
    char *h = slice_dup(host), *p = slice_dup(port);
    int rc = getaddrinfo(h, p, &hints, &found);
    if (rc == 0) {
        memcpy(&t->addr, found->ai_addr, found->ai_addrlen);
        t->addr_len = found->ai_addrlen;
        freeaddrinfo(found);
    } else {
        *why = xasprintf("%s:%s: %s", h, p, gai_strerror(rc));
    }
    free(h);
    free(p);
    return rc == 0 ? 0 : -1;
}

static int parse_one(struct slice item, struct slice default_path, struct target *out, const char **why)
{
    uint64_t port;
    if (slice_starts(item, SLICE("wss://"))) {
        *why = "TLS is not spoken here: name the plain port";
        return -1;
    }
    if (slice_starts(item, SLICE("ws://")))
        item = slice_from(item, 5);
    const char *slash = memchr(item.p, '/', item.n);
    out->host = slash ? slice_make(item.p, (size_t)(slash - item.p)) : item;
    out->path = slash ? slice_from(item, out->host.n) : default_path;
    const char *colon = memrchr(out->host.p, ':', out->host.n);
    size_t name_len = colon ? (size_t)(colon - out->host.p) : 0;
    struct slice port_text = colon ? slice_from(out->host, name_len + 1) : SLICE("");
    if (name_len == 0 || slice_to_u64(port_text, &port) != 0 || port == 0 || port > 65535) {
        *why = xasprintf("\"%.*s\" is not host:port", SLICE_ARG(item));
        return -1;
    }
    return resolve(out, slice_make(out->host.p, name_len), port_text, why);
}

int targets_parse(const char *text, const char *default_path, struct target out[TARGETS_MAX], const char **why)
{
    struct slice rest = slice_of(text);
    int n = 0;
    while (rest.p != NULL) {
        if (n == TARGETS_MAX) {
            *why = "that are too many targets";
            return -1;
        }
        if (parse_one(slice_trim(slice_cut(&rest, ',')), slice_of(default_path), &out[n++], why) != 0)
            return -1;
    }
    return n;
}

static bool on_loopback(const struct target *t)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&t->addr;
    return t->addr.ss_family == AF_INET && ntohl(in->sin_addr.s_addr) >> 24 == 127;
}

/* 127.1.0.1 for the first 10,000 sockets, then 127.1.0.2 and so on. */
static int bind_source(int fd, uint64_t index)
{
    uint32_t n = (uint32_t)(index / SOCKETS_PER_SOURCE);
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(0x7f010000u | (n / 254) << 8 | (n % 254 + 1))};
    int one = 1;
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) != 0)
        return -1;
    return bind(fd, (const struct sockaddr *)&source, sizeof(source));
}

int target_connect(const struct target *t, uint64_t index)
{
    int one = 1;
    int fd = socket(t->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    bool bound = !on_loopback(t) || bind_source(fd, index) == 0;
    if (bound && (connect(fd, (const struct sockaddr *)&t->addr, t->addr_len) == 0 || errno == EINPROGRESS))
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

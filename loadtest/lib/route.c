/* A listener that comes and goes, and a walk over the connections for each thing that concerns all. */
#include "loadtest/lib/route.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG     4096
#define RECV_BUFFER (128 << 10)

static struct pair *pair_of(struct list *node)
{
    return CONTAINER_OF(node, struct pair, node);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void on_connection(struct watch *w, uint32_t events)
{
    struct route *r = CONTAINER_OF(w, struct route, listener);
    int fd;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        pair_open(&r->passage, fd);
}

static int route_listen(struct route *r)
{
    struct sockaddr_in at = loopback(r->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, size = RECV_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, BACKLOG) != 0) {
        close(fd);
        return -1;
    }
    watch_open(r->passage.poller, &r->listener, fd, EPOLLIN, on_connection);
    return 0;
}

struct route *route_new(struct poller *poller, struct slice name, uint16_t port, uint16_t server_port, bool resp)
{
    struct route *r = xcalloc(1, sizeof(*r));
    memcpy(r->name, name.p, MIN(name.n, ROUTE_NAME_MAX - 1));
    r->port = port;
    r->passage.poller = poller;
    r->passage.server = loopback(server_port);
    r->passage.resp = resp;
    list_init(&r->node);
    list_init(&r->passage.pairs);
    list_init(&r->passage.gone);
    if (route_listen(r) == 0)
        return r;
    free(r);
    return NULL;
}

void route_free(struct route *r)
{
    route_reset(r);
    pairs_reap(&r->passage);
    watch_close(&r->listener);
    list_remove(&r->node);
    free(r);
}

int route_obey(struct route *r)
{
    LIST_EACH_SAFE (node, &r->passage.pairs)
        pair_obey(pair_of(node));
    if (r->passage.plan.refuse > 0)
        watch_close(&r->listener);
    else if (r->listener.fd < 0)
        return route_listen(r);
    return 0;
}

size_t route_reset(struct route *r)
{
    size_t n = 0;
    LIST_EACH_SAFE (node, &r->passage.pairs) {
        pair_reset(pair_of(node));
        n++;
    }
    r->passage.counts.reset += n;
    return n;
}

uint64_t route_flush(struct route *r, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    LIST_EACH_SAFE (node, &r->passage.pairs) {
        struct pair *p = pair_of(node);
        uint64_t due = MIN(delayline_next(&p->client.out), delayline_next(&p->server.out));
        if (due <= now_us)
            due = pair_flush(p, now_us);
        next = MIN(next, due);
    }
    return next;
}

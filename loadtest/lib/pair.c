/* Two sockets and a line of bytes towards each. Reading one side feeds the line of the other (the server's side through
 * the sieve); a line that is full stops the reading. The end of one side ends the other when its line is empty. */
#include "loadtest/lib/pair.h"

#include "common/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE   65536
#define LINE_FULL   (1u << 20)
#define RECV_BUFFER (128 << 10) /* small, so that a frozen route is felt by the server soon */

static bool frozen(const struct side *s)
{
    const struct fault_plan *plan = &s->pair->passage->plan;
    return s == &s->pair->client ? plan->freeze_up > 0 : plan->freeze_down > 0;
}

static void side_watch(struct side *s)
{
    bool in = s->pair->swallowed || (!frozen(s) && !s->pair->cut && s->other->out.bytes.n < LINE_FULL);
    watch_for(s->pair->passage->poller, &s->watch, (in ? EPOLLIN : 0) | (s->blocked ? EPOLLOUT : 0));
}

static void pair_gone(struct pair *p)
{
    struct passage *g = p->passage;
    list_remove(&p->node);
    list_push_back(&g->gone, &p->node);
    g->counts.open--;
}

static bool is_gone(const struct pair *p)
{
    return p->client.watch.fd < 0 && p->server.watch.fd < 0;
}

static void pair_close(struct pair *p)
{
    if (is_gone(p))
        return;
    watch_close(&p->client.watch);
    watch_close(&p->server.watch);
    pair_gone(p);
}

void pair_reset(struct pair *p)
{
    if (is_gone(p))
        return;
    watch_reset(&p->client.watch);
    watch_reset(&p->server.watch);
    pair_gone(p);
}

static void side_flush(struct side *s, uint64_t now_us)
{
    struct slice due;
    while (s->watch.fd >= 0 && !s->blocked && (due = delayline_due(&s->out, now_us)).n > 0) {
        ssize_t n = send(s->watch.fd, due.p, due.n, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            pair_reset(s->pair);
            return;
        }
        s->blocked = n < (ssize_t)due.n;
        delayline_take(&s->out, (size_t)MAX(n, 0));
    }
}

/* After bytes went out: goes on reading, or ends. */
static void pair_settle(struct pair *p)
{
    bool client_done = p->client.out.bytes.n == 0, server_done = p->server.out.bytes.n == 0;
    if (is_gone(p))
        return;
    if (p->cut && client_done) {
        p->passage->counts.cut++;
        pair_reset(p);
        return;
    }
    bool ended = (p->server.watch.fd < 0 && client_done && !frozen(&p->server)) ||
                 (p->client.watch.fd < 0 && server_done && !frozen(&p->client));
    if (ended && !p->swallowed) {
        pair_close(p);
        return;
    }
    side_watch(&p->client);
    side_watch(&p->server);
}

uint64_t pair_flush(struct pair *p, uint64_t now_us)
{
    side_flush(&p->client, now_us);
    side_flush(&p->server, now_us);
    pair_settle(p);
    if (is_gone(p))
        return UINT64_MAX;
    uint64_t up = p->server.blocked ? UINT64_MAX : delayline_next(&p->server.out);
    uint64_t down = p->client.blocked ? UINT64_MAX : delayline_next(&p->client.out);
    return MIN(up, down);
}

static bool leave_out(void *arg, struct slice channel)
{
    struct passage *g = arg;
    size_t only = strlen(g->plan.only);
    g->counts.messages++;
    if (only > 0 && memmem(channel.p, channel.n, g->plan.only, only) == NULL)
        return false;
    bool out = fault_chance(&g->random, g->plan.drop);
    g->counts.dropped += out;
    return out;
}

static uint64_t due_us(struct passage *g, uint64_t now_us)
{
    uint64_t jitter = g->plan.jitter_ms > 0 ? fault_random(&g->random) % (g->plan.jitter_ms * 1000) : 0;
    return now_us + g->plan.delay_ms * 1000 + jitter;
}

static void from_server(struct pair *p, struct slice bytes, uint64_t now_us)
{
    struct passage *g = p->passage;
    struct sieve_rule rule = {leave_out, g, g->plan.cuts > 0 ? g->plan.cut_at : 0};
    struct buf out = {0};
    g->counts.bytes_down += bytes.n;
    p->cut = sieve_feed(&p->sieve, bytes, &rule, &out);
    g->plan.cuts -= p->cut;
    delayline_put(&p->client.out, buf_slice(&out), due_us(g, now_us));
    buf_release(&out);
}

static void from_client(struct pair *p, struct slice bytes, uint64_t now_us)
{
    p->passage->counts.bytes_up += bytes.n;
    delayline_put(&p->server.out, bytes, due_us(p->passage, now_us));
}

/* In a hole the end of one side stays unknown to the other, until the hole is gone. */
static void on_swallowed(struct side *s, ssize_t n)
{
    struct pair *p = s->pair;
    if (n > 0) {
        p->passage->counts.swallowed += (uint64_t)n;
        return;
    }
    if (p->passage->plan.hole == 0 || s->other->watch.fd < 0)
        pair_close(p);
    else
        watch_close(&s->watch);
}

/* The connection is over while nothing may be read: told on when the route thaws. */
static void on_frozen_end(struct side *s)
{
    watch_close(&s->watch);
    if (s->other->watch.fd < 0)
        pair_gone(s->pair);
}

static void on_end(struct side *s, ssize_t n)
{
    struct passage *g = s->pair->passage;
    if (n < 0) {
        g->counts.unreachable += s == &s->pair->server && errno == ECONNREFUSED;
        pair_reset(s->pair);
        return;
    }
    watch_close(&s->watch);
    if (s->other->out.bytes.n == 0)
        watch_close(&s->other->watch);
    if (is_gone(s->pair))
        pair_gone(s->pair);
}

static void on_readable(struct side *s)
{
    char in[READ_SIZE];
    ssize_t n = recv(s->watch.fd, in, sizeof(in), 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (s->pair->swallowed) {
        on_swallowed(s, n);
        return;
    }
    if (n <= 0) {
        on_end(s, n);
        return;
    }
    uint64_t now = clock_mono_us();
    (s == &s->pair->client ? from_client : from_server)(s->pair, slice_make(in, (size_t)n), now);
    side_flush(s->other, now);
    pair_settle(s->pair);
}

static void on_event(struct watch *w, uint32_t events)
{
    struct side *s = CONTAINER_OF(w, struct side, watch);
    if (events & EPOLLOUT) {
        s->blocked = false;
        side_flush(s, clock_mono_us());
        pair_settle(s->pair);
    }
    if (s->watch.fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    if (s->pair->cut)
        pair_reset(s->pair);
    else if (!s->pair->swallowed && frozen(s))
        on_frozen_end(s);
    else
        on_readable(s);
}

static void side_open(struct side *s, struct side *other, int fd)
{
    int one = 1;
    s->other = other;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    watch_open(s->pair->passage->poller, &s->watch, fd, 0, on_event);
}

static int connect_server(const struct passage *g)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = RECV_BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (connect(fd, (const struct sockaddr *)&g->server, sizeof(g->server)) == 0 || errno == EINPROGRESS)
        return fd;
    close(fd);
    return -1;
}

void pair_open(struct passage *g, int fd)
{
    struct pair *p = xcalloc(1, sizeof(*p));
    p->passage = g;
    p->client.pair = p->server.pair = p;
    p->sieve.opaque = !g->resp;
    p->swallowed = g->plan.hole > 0;
    p->server.watch.fd = -1;
    list_init(&p->node);
    list_push_back(&g->pairs, &p->node);
    g->counts.accepted++;
    g->counts.open++;
    side_open(&p->client, &p->server, fd);
    p->server.other = &p->client;
    int server = p->swallowed ? -1 : connect_server(g);
    if (server >= 0)
        side_open(&p->server, &p->client, server);
    if (server < 0 && !p->swallowed) {
        g->counts.unreachable++;
        pair_reset(p);
        return;
    }
    pair_settle(p);
}

void pair_obey(struct pair *p)
{
    if (p->passage->plan.hole == FAULT_HOLE_ALL && !p->swallowed) {
        p->swallowed = true;
        delayline_clear(&p->client.out);
        delayline_clear(&p->server.out);
    }
    bool half = p->client.watch.fd < 0 || p->server.watch.fd < 0;
    if (p->swallowed && half && p->passage->plan.hole == 0) {
        pair_close(p);
        return;
    }
    pair_settle(p);
}

void pairs_reap(struct passage *g)
{
    LIST_EACH_SAFE (node, &g->gone) {
        struct pair *p = CONTAINER_OF(node, struct pair, node);
        list_remove(node);
        delayline_release(&p->client.out);
        delayline_release(&p->server.out);
        sieve_release(&p->sieve);
        free(p);
    }
}

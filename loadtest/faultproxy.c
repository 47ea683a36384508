/* A TCP proxy that breaks things on command, between the programs and their Redis or Kafka. One thread on epoll. It is
 * told what to do by lines on a socket of 127.0.0.1, and answers each with one line:
 *   add NAME PORT SERVER_PORT resp|raw    seed NAME NUMBER
 *   set NAME FIELD VALUE …                reset NAME
 *   heal NAME                             stats NAME
 * Fields are those of struct fault_plan. It ends by a signal. */
#include "loadtest/lib/args.h"
#include "loadtest/lib/route.h"

#include "common/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMAND_MAX 1024
#define WORDS_MAX   24
#define TURN_MS     200

static struct options {
    uint64_t control;
} opt;

static const struct arg args[] = {
    {"control", ARG_COUNT, &opt.control, "Port on 127.0.0.1 where commands are taken."},
};
static const struct arg_table table = {"faultproxy", "a TCP proxy that drops, delays, resets and falls silent", args,
                                       ARRAY_LEN(args)};

/* Whoever gives commands: one after the other, each waits for its answer. */
struct commander {
    struct watch watch;
    struct list node;
    struct buf in;
};

static struct proxy {
    struct poller poller;
    struct watch listener;
    struct list routes, commanders;
} proxy;

static volatile sig_atomic_t stop;

static void on_stop(int sig)
{
    stop = 1;
}

static struct route *find_route(struct slice name)
{
    LIST_EACH (node, &proxy.routes) {
        struct route *r = CONTAINER_OF(node, struct route, node);
        if (slice_eq(name, slice_of(r->name)))
            return r;
    }
    return NULL;
}

/* A command's words behind its own name; the first is always a route. answer is empty: it becomes "ok". */
struct command {
    struct slice words[WORDS_MAX];
    size_t n;
    struct route *route;
    struct buf answer;
};

static void refuse(struct command *c, const char *why)
{
    buf_printf(&c->answer, "error %s", why);
}

static int read_port(struct slice word, uint16_t *port)
{
    uint64_t n;
    if (slice_to_u64(word, &n) != 0 || n == 0 || n > UINT16_MAX)
        return -1;
    *port = (uint16_t)n;
    return 0;
}

static void do_add(struct command *c)
{
    uint16_t port, server;
    if (c->n != 4 || read_port(c->words[1], &port) != 0 || read_port(c->words[2], &server) != 0) {
        refuse(c, "add NAME PORT SERVER_PORT resp|raw");
        return;
    }
    if (c->words[0].n >= ROUTE_NAME_MAX || find_route(c->words[0]) != NULL) {
        refuse(c, "name is taken or too long");
        return;
    }
    struct route *r = route_new(&proxy.poller, c->words[0], port, server, slice_eq(c->words[3], SLICE("resp")));
    if (r != NULL)
        list_push_back(&proxy.routes, &r->node);
    else
        refuse(c, strerror(errno));
}

static void obey_plan(struct command *c)
{
    if (route_obey(c->route) != 0)
        refuse(c, strerror(errno));
}

static void do_set(struct command *c)
{
    struct fault_plan plan = c->route->passage.plan;
    for (size_t i = 1; i < c->n; i += 2)
        if (i + 1 == c->n || fault_set(&plan, c->words[i], c->words[i + 1]) != 0) {
            buf_printf(&c->answer, "error %.*s: no such field, or not such a value", SLICE_ARG(c->words[i]));
            return;
        }
    c->route->passage.plan = plan;
    obey_plan(c);
}

static void do_heal(struct command *c)
{
    c->route->passage.plan = (struct fault_plan){0};
    obey_plan(c);
}

static void do_reset(struct command *c)
{
    buf_printf(&c->answer, "%zu", route_reset(c->route));
}

static void do_seed(struct command *c)
{
    if (c->n != 2 || slice_to_u64(c->words[1], &c->route->passage.random) != 0)
        refuse(c, "seed NAME NUMBER");
}

static void do_stats(struct command *c)
{
    fault_counts_print(&c->route->passage.counts, &c->answer);
}

static const struct verb {
    const char *name;
    void (*run)(struct command *c);
} verbs[] = {
    {"add", do_add}, {"set", do_set}, {"heal", do_heal}, {"reset", do_reset}, {"seed", do_seed}, {"stats", do_stats},
};

static const struct verb *find_verb(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (slice_eq(name, slice_of(verbs[i].name)))
            return &verbs[i];
    return NULL;
}

static void run_line(struct slice line, struct command *c)
{
    const struct verb *verb = find_verb(slice_cut(&line, ' '));
    while (line.n > 0 && c->n < WORDS_MAX)
        c->words[c->n++] = slice_cut(&line, ' ');
    if (c->n > 0)
        c->route = find_route(c->words[0]);
    if (verb == NULL)
        refuse(c, "no such command");
    else if (c->n == 0 || (c->route == NULL && verb->run != do_add))
        refuse(c, "no such route");
    else
        verb->run(c);
    if (c->answer.n == 0)
        buf_lit(&c->answer, "ok");
    buf_byte(&c->answer, '\n');
}

static void commander_gone(struct commander *m)
{
    watch_close(&m->watch);
    list_remove(&m->node);
    buf_release(&m->in);
    free(m);
}

/* Answers are short and waited for: they fit into the socket. */
static void on_command(struct watch *w, uint32_t events)
{
    struct commander *m = CONTAINER_OF(w, struct commander, watch);
    ssize_t n = recv(w->fd, buf_reserve(&m->in, COMMAND_MAX), COMMAND_MAX, 0);
    if (n <= 0 || m->in.n + (size_t)n > COMMAND_MAX) {
        commander_gone(m);
        return;
    }
    m->in.n += (size_t)n;
    char *end = memchr(m->in.p, '\n', m->in.n);
    if (end == NULL)
        return;
    struct command c = {.n = 0};
    run_line(slice_make(m->in.p, (size_t)(end - m->in.p)), &c);
    send(w->fd, c.answer.p, c.answer.n, MSG_NOSIGNAL);
    buf_clear(&m->in);
    buf_release(&c.answer);
}

static void on_commander(struct watch *w, uint32_t events)
{
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct commander *m = xcalloc(1, sizeof(*m));
    list_init(&m->node);
    list_push_back(&proxy.commanders, &m->node);
    watch_open(&proxy.poller, &m->watch, fd, EPOLLIN, on_command);
}

static void take_commands(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (opt.control == 0 || opt.control > UINT16_MAX)
        args_refuse(&table, "--control must be a port");
    at.sin_port = htons((uint16_t)opt.control);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 16) != 0)
        args_refuse(&table, "port %" PRIu64 ": %s", opt.control, strerror(errno));
    watch_open(&proxy.poller, &proxy.listener, fd, EPOLLIN, on_commander);
}

/* Milliseconds until something delayed is due; never long, since a signal may come just before the wait. */
static int flush_routes(void)
{
    uint64_t now = clock_mono_us(), next = UINT64_MAX;
    LIST_EACH (node, &proxy.routes) {
        struct route *r = CONTAINER_OF(node, struct route, node);
        pairs_reap(&r->passage);
        next = MIN(next, route_flush(r, now));
    }
    return next == UINT64_MAX ? TURN_MS : (int)MIN(TURN_MS, (MAX(next, now) - now + 999) / 1000);
}

int main(int argc, char **argv)
{
    args_parse(&table, argc, argv);
    struct sigaction catch = {.sa_handler = on_stop};
    sigaction(SIGINT, &catch, NULL);
    sigaction(SIGTERM, &catch, NULL);
    list_init(&proxy.routes);
    list_init(&proxy.commanders);
    poller_init(&proxy.poller);
    take_commands();
    while (!stop)
        poller_turn(&proxy.poller, flush_routes());
    LIST_EACH_SAFE (node, &proxy.commanders)
        commander_gone(CONTAINER_OF(node, struct commander, node));
    LIST_EACH_SAFE (node, &proxy.routes)
        route_free(CONTAINER_OF(node, struct route, node));
    watch_close(&proxy.listener);
    close(proxy.poller.epoll);
    return 0;
}

/* A connection's way: accept, then the guard reads the first head without consuming it, checks it, and hands the
 * socket with those bytes to h2o. From there h2o parses, and on_h2o_request walks the program's table of endpoints. */
#include "common/http_server.h"
#include "common/clock.h"
#include "common/http_head.h"
#include "common/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define RESUME_MS        100
#define LAST_ANSWERS_MS  1000 /* for answers under way when the server ends, and for what is cut to go */

struct handler {
    h2o_handler_t super;
    struct http_server *server;
};

static void refused(void *arg, enum http_refusal why)
{
    struct http_server *s = arg;
    if (s->conf.on_refused != NULL)
        s->conf.on_refused(s, why);
}

static void on_accept(h2o_socket_t *listener, const char *err);

static void on_resume(struct timer *t)
{
    struct http_server *s = CONTAINER_OF(t, struct http_server, resume_timer);
    if (s->listener != NULL)
        h2o_socket_read_start(s->listener, on_accept);
}

/* False when nobody waits any more, errno says why. */
static bool accept_one(struct http_server *s)
{
    errno = 0;
    h2o_socket_t *sock = h2o_evloop_socket_accept(s->listener);
    if (sock == NULL)
        return false;
    s->starved = false;
    http_conns_add(&s->conns, sock);
    return true;
}

static void starve(struct http_server *s)
{
    if (!s->starved)
        log_error("accept_out_of_descriptors", LOG_I("sockets", s->conns.sockets));
    s->starved = true;
    h2o_socket_read_stop(s->listener);
    timer_start(s->loop, &s->resume_timer, RESUME_MS);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct http_server *s = listener->data;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(s)) {
            if (errno == EMFILE || errno == ENFILE)
                starve(s);
            return;
        }
}

/* ---- requests ---- */

static bool path_matches(const char *pattern, struct slice path)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*')
        return slice_starts(path, slice_make(pattern, n - 1));
    return slice_eq(path, slice_make(pattern, n));
}

static bool method_matches(const char *method, struct slice asked)
{
    return slice_eq(asked, slice_of(method)) || (strcmp(method, "GET") == 0 && slice_eq(asked, SLICE("HEAD")));
}

static void answer_no_route(struct http_server *s, h2o_req_t *req, struct buf *allow)
{
    if (allow->n == 0) {
        refused(s, HTTP_REFUSED_PATH);
        http_reply_error(req, 404, "not_found", "No such path");
    } else {
        refused(s, HTTP_REFUSED_METHOD);
        http_add_header(req, "allow", buf_slice(allow));
        http_reply_error(req, 405, "method_not_allowed", "This path does not take this method");
    }
    buf_release(allow);
}

static void route_request(struct http_server *s, h2o_req_t *req)
{
    struct slice path = http_path(req), method = http_method(req);
    struct buf allow = {0};
    for (size_t i = 0; i < s->conf.route_count; i++) {
        const struct http_route *r = &s->conf.routes[i];
        if (!path_matches(r->path, path))
            continue;
        if (method_matches(r->method, method)) {
            buf_release(&allow);
            r->on_request(s, req);
            return;
        }
        if (strcmp(r->method, "OPTIONS") == 0)
            continue; /* a row for preflights matches every path, known or not */
        if (allow.n > 0)
            buf_lit(&allow, ", ");
        buf_append(&allow, slice_of(r->method));
    }
    answer_no_route(s, req, &allow);
}

/* A kept-alive connection's later heads reach h2o unguarded; while their request is answered they are still in the
 * input buffer. */
static bool later_head_is_bad(struct http_server *s, h2o_req_t *req)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    if (sock->input == NULL || sock->input->size == 0)
        return false;
    struct http_head_scan scan = {0};
    switch (http_head_scan(&scan, slice_make(sock->input->bytes, sock->input->size), s->conf.limits.head_max)) {
    case HTTP_HEAD_TOO_LARGE:
        refused(s, HTTP_REFUSED_HEAD_SIZE);
        req->http1_is_persistent = 0;
        http_reply_error(req, 431, "head_too_large", http_reason(431));
        return true;
    case HTTP_HEAD_AMBIGUOUS:
        refused(s, HTTP_REFUSED_FRAMING);
        req->http1_is_persistent = 0;
        http_reply_error(req, 400, "ambiguous_length", http_reason(400));
        return true;
    default:
        return false;
    }
}

static int on_h2o_request(h2o_handler_t *self, h2o_req_t *req)
{
    struct http_server *s = ((struct handler *)self)->server;
    http_conns_on_request(&s->conns, req);
    if (s->releasing) {
        http_reply_error(req, 503, "going_down", "This server is going down");
        return 0;
    }
    if (later_head_is_bad(s, req))
        return 0;
    if (s->conf.on_reply_headers != NULL)
        s->conf.on_reply_headers(s, req);
    route_request(s, req);
    return 0;
}

/* ---- start and stop ---- */

static int bind_listener(const struct http_server_conf *conf, char **why)
{
    char port[8];
    snprintf(port, sizeof(port), "%u", conf->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *res;
    int rc = getaddrinfo(conf->host, port, &hints, &res);
    if (rc != 0) {
        *why = xasprintf("cannot listen on %s: %s", conf->host, gai_strerror(rc));
        return -1;
    }
    int on = 1, off = 0;
    int fd = socket(res->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && res->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (conf->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        bind(fd, res->ai_addr, res->ai_addrlen) != 0 || listen(fd, 65535) != 0) {
        *why = xasprintf("cannot listen on %s port %u: %s", conf->host, conf->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(res);
    return fd;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa = {.v6 = {.sin6_port = 0}};
    socklen_t len = sizeof(sa);
    if (getsockname(fd, &sa.any, &len) != 0)
        return 0;
    return ntohs(sa.any.sa_family == AF_INET6 ? sa.v6.sin6_port : sa.v4.sin_port);
}

static void configure_h2o(struct http_server *s)
{
    h2o_config_init(&s->global);
    s->global.server_name = h2o_iovec_init(H2O_STRLIT("tidegate"));
    s->global.http1.upgrade_to_http2 = 0;
    s->global.http2.callbacks.request_shutdown = NULL; /* it would leave a timer behind in the context */
    s->global.http1.req_timeout = s->conf.limits.head_timeout_ms;
    s->global.max_request_entity_size = s->conf.body_max;
    h2o_hostconf_t *host = h2o_config_register_host(&s->global, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *root = h2o_config_register_path(host, "/", 0);
    struct handler *handler = (struct handler *)h2o_create_handler(root, sizeof(*handler));
    handler->super.on_req = on_h2o_request;
    handler->server = s;
    h2o_context_init(&s->ctx, s->loop->h2o, &s->global);
    s->accept = (h2o_accept_ctx_t){.ctx = &s->ctx, .hosts = s->global.hosts};
}

int http_server_start(struct http_server *s, struct loop *l, const struct http_server_conf *conf, char **why)
{
    *s = (struct http_server){.conf = *conf, .loop = l};
    s->conns =
        (struct http_conns){.loop = l, .limits = conf->limits, .accept = &s->accept, .arg = s, .on_refused = refused};
    http_conns_init(&s->conns);
    timer_init(&s->resume_timer, on_resume);
    int fd = bind_listener(conf, why);
    if (fd < 0)
        return -1;
    s->port = bound_port(fd);
    configure_h2o(s);
    s->listener = h2o_evloop_socket_create(l->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    s->listener->data = s;
    h2o_socket_read_start(s->listener, on_accept);
    return 0;
}

void http_server_stop_listening(struct http_server *s)
{
    if (s->listener == NULL)
        return;
    while (accept_one(s)) /* the kernel would reset those that it has let in already */
        continue;
    h2o_socket_close(s->listener);
    s->listener = NULL;
    timer_stop(&s->resume_timer);
    h2o_context_request_shutdown(&s->ctx);
}

static void turn_until_empty(struct http_server *s, uint64_t ms)
{
    uint64_t deadline = clock_mono_ms() + ms;
    while (s->conns.sockets > 0 && clock_mono_ms() < deadline)
        loop_turn(s->loop, 10);
}

void http_server_release(struct http_server *s)
{
    if (s->ctx.loop == NULL)
        return; /* it never listened */
    http_server_stop_listening(s);
    s->releasing = true;
    http_conns_cut_idle(&s->conns);
    turn_until_empty(s, LAST_ANSWERS_MS);
    http_conns_cut_idle(&s->conns);
    http_conns_cut_busy(&s->conns);
    turn_until_empty(s, LAST_ANSWERS_MS);
    http_conns_release(&s->conns);
    if (s->conns.sockets > 0) {
        log_error("http_sockets_left", LOG_I("count", s->conns.sockets));
        return; /* what h2o still holds keeps its memory: the process ends */
    }
    h2o_context_dispose(&s->ctx);
    h2o_config_dispose(&s->global);
}

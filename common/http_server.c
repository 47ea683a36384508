/* A connection's way: accept, then the guard reads the first head without consuming it, checks it, and hands the
 * socket with those bytes to h2o. From there h2o parses, and on_h2o_request walks the program's table of endpoints. */
#include "common/http_server.h"
#include "common/clock.h"
#include "common/endpoint.h"
#include "common/http_head.h"
#include "common/log.h"

#include <errno.h>
#include <h2o/http1.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define RESUME_MS        100

/* A connection whose first head is awaited. */
struct pending_head {
    struct list link;
    struct http_server *server;
    h2o_socket_t *sock;
    uint64_t due_ms;
    struct http_head_scan scan;
    bool answering;
};

struct handler {
    h2o_handler_t super;
    struct http_server *server;
};

const char *const http_refusal_words[HTTP_REFUSED_COUNT] = {
    [HTTP_REFUSED_HEAD_SIZE] = "head_too_large", [HTTP_REFUSED_HEAD_SLOW] = "head_timeout",
    [HTTP_REFUSED_FRAMING] = "ambiguous_length", [HTTP_REFUSED_HTTP2] = "http2",
    [HTTP_REFUSED_PATH] = "not_found",           [HTTP_REFUSED_METHOD] = "method_not_allowed",
    [HTTP_REFUSED_SOCKETS] = "too_many_sockets"};

static void refused(struct http_server *s, enum http_refusal why)
{
    if (s->conf.on_refused != NULL)
        s->conf.on_refused(s, why);
}

static void on_socket_closed(void *data)
{
    struct http_server *s = data;
    s->sockets--;
}

/* ---- the guard ---- */

static void head_free(struct pending_head *head)
{
    list_remove(&head->link);
    free(head);
}

static void on_refusal_written(h2o_socket_t *sock, const char *err)
{
    struct pending_head *head = sock->data;
    head_free(head);
    h2o_socket_close(sock);
}

/* Answers and closes. The peer may still be sending: what it sent is left unread, so it may see a reset; that is its
 * choice to have made. */
static void refuse_head(struct pending_head *head, enum http_refusal why, int status, const char *code)
{
    refused(head->server, why);
    h2o_socket_read_stop(head->sock);
    head->answering = true;
    head->due_ms = head->server->loop->now_ms + head->server->conf.head_timeout_ms;
    list_remove(&head->link);
    list_push_back(&head->server->heads, &head->link);

    static __thread char text[512];
    int n =
        snprintf(text, sizeof(text),
                 "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
                 "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
                 status, http_reason(status),
                 strlen("{\"error\":{\"code\":\"\",\"message\":\"\"}}") + strlen(code) + strlen(http_reason(status)),
                 code, http_reason(status));
    h2o_iovec_t v = h2o_iovec_init(text, (size_t)n);
    h2o_socket_write(head->sock, &v, 1, on_refusal_written);
}

static void pass_to_h2o(struct pending_head *head)
{
    struct http_server *s = head->server;
    h2o_socket_t *sock = head->sock;
    head_free(head);
    h2o_socket_read_stop(sock);
    struct timeval now;
    gettimeofday(&now, NULL);
    h2o_http1_accept(&s->accept, sock, now);
}

static void on_head_bytes(h2o_socket_t *sock, const char *err)
{
    struct pending_head *head = sock->data;
    if (err != NULL) {
        head_free(head);
        h2o_socket_close(sock);
        return;
    }
    struct slice bytes = slice_make(sock->input->bytes, sock->input->size);
    switch (http_head_scan(&head->scan, bytes, head->server->conf.head_max)) {
    case HTTP_HEAD_MORE:
        break;
    case HTTP_HEAD_OK:
        pass_to_h2o(head);
        break;
    case HTTP_HEAD_TOO_LARGE:
        refuse_head(head, HTTP_REFUSED_HEAD_SIZE, 431, "head_too_large");
        break;
    case HTTP_HEAD_AMBIGUOUS:
        refuse_head(head, HTTP_REFUSED_FRAMING, 400, "ambiguous_length");
        break;
    case HTTP_HEAD_HTTP2:
        refuse_head(head, HTTP_REFUSED_HTTP2, 400, "http2_not_supported");
        break;
    }
}

static void on_head_timer(struct timer *t)
{
    struct http_server *s = CONTAINER_OF(t, struct http_server, head_timer);
    LIST_EACH_SAFE (it, &s->heads) {
        struct pending_head *head = CONTAINER_OF(it, struct pending_head, link);
        if (head->due_ms > s->loop->now_ms)
            break;
        h2o_socket_t *sock = head->sock;
        if (head->answering || sock->input->size == 0) { /* nothing was asked: an idle connection ends in silence */
            head_free(head);
            h2o_socket_close(sock);
        } else {
            refuse_head(head, HTTP_REFUSED_HEAD_SLOW, 408, "head_timeout");
        }
    }
    if (!list_empty(&s->heads))
        timer_start(s->loop, t, MIN(s->conf.head_timeout_ms, 250));
}

static void accept_one(struct http_server *s, h2o_socket_t *sock)
{
    s->sockets++;
    sock->on_close.cb = on_socket_closed;
    sock->on_close.data = s;
    struct pending_head *head = xcalloc(1, sizeof(*head));
    head->server = s;
    head->sock = sock;
    head->due_ms = s->loop->now_ms + s->conf.head_timeout_ms;
    sock->data = head;
    list_push_back(&s->heads, &head->link);
    if (!timer_is_armed(&s->head_timer))
        timer_start(s->loop, &s->head_timer, MIN(s->conf.head_timeout_ms, 250));
    if (s->sockets > s->conf.sockets_max) {
        refuse_head(head, HTTP_REFUSED_SOCKETS, 503, "too_many_connections");
        return;
    }
    h2o_socket_read_start(sock, on_head_bytes);
}

static void on_accept(h2o_socket_t *listener, const char *err);

static void on_resume(struct timer *t)
{
    struct http_server *s = CONTAINER_OF(t, struct http_server, resume_timer);
    s->paused = false;
    if (s->listener != NULL)
        h2o_socket_read_start(s->listener, on_accept);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    struct http_server *s = listener->data;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        errno = 0;
        h2o_socket_t *sock = h2o_evloop_socket_accept(listener);
        if (sock != NULL) {
            accept_one(s, sock);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE) {
            log_error("accept_out_of_descriptors", LOG_I("sockets", s->sockets));
            h2o_socket_read_stop(listener);
            s->paused = true;
            timer_start(s->loop, &s->resume_timer, RESUME_MS);
        }
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
    switch (http_head_scan(&scan, slice_make(sock->input->bytes, sock->input->size), s->conf.head_max)) {
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
    s->global.http1.req_timeout = s->conf.head_timeout_ms;
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
    int fd = bind_listener(conf, why);
    if (fd < 0)
        return -1;
    s->port = bound_port(fd);
    list_init(&s->heads);
    timer_init(&s->head_timer, on_head_timer);
    timer_init(&s->resume_timer, on_resume);
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
    h2o_socket_close(s->listener);
    s->listener = NULL;
    timer_stop(&s->resume_timer);
    h2o_context_request_shutdown(&s->ctx);
}

void http_server_release(struct http_server *s)
{
    http_server_stop_listening(s);
    timer_stop(&s->head_timer);
    LIST_EACH_SAFE (it, &s->heads) {
        struct pending_head *head = CONTAINER_OF(it, struct pending_head, link);
        h2o_socket_close(head->sock);
        head_free(head);
    }
    /* h2o closes idle kept-alive connections only when their request timer runs out; wait for that at most */
    uint64_t deadline = clock_mono_ms() + s->conf.head_timeout_ms + 1000;
    while (s->sockets > 0 && clock_mono_ms() < deadline)
        loop_turn(s->loop, 50);
    if (s->sockets > 0)
        return; /* what still writes keeps its memory: the process ends */
    h2o_context_dispose(&s->ctx);
    h2o_config_dispose(&s->global);
}

/* A connection is in one of three lists, each in the order in which its time runs out: it owes us a head, we owe it an
 * answer, or h2o waits for its next request under a timeout of its own. h2o owns the socket from the first head on, so
 * to end such a connection its socket is only shut down: h2o then finds it closed. */
#include "common/http_conn.h"
#include "common/http_head.h"

#include <h2o/http1.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#define LOOK_MS 250

struct http_conn {
    struct list link;
    struct http_conns *conns;
    h2o_socket_t *sock;
    uint64_t due_ms;
    struct http_head_scan scan;
    bool refused;               /* the guard's refusal is being written */
    struct http_conn **request; /* cell in the pool of the request under way that points here; NULL: none */
};

const char *const http_refusal_words[HTTP_REFUSED_COUNT] = {
    [HTTP_REFUSED_HEAD_SIZE] = "head_too_large", [HTTP_REFUSED_HEAD_SLOW] = "head_timeout",
    [HTTP_REFUSED_FRAMING] = "ambiguous_length", [HTTP_REFUSED_HTTP2] = "http2",
    [HTTP_REFUSED_PATH] = "not_found",           [HTTP_REFUSED_METHOD] = "method_not_allowed",
    [HTTP_REFUSED_SOCKETS] = "too_many_sockets", [HTTP_REFUSED_ANSWER_SLOW] = "answer_timeout"};

/* What the guard says, in the words of RFC 9110 section 15. */
static const struct {
    const char *status, *code;
} refusals[] = {
    [HTTP_REFUSED_HEAD_SIZE] = {"431 Request Header Fields Too Large", "head_too_large"},
    [HTTP_REFUSED_HEAD_SLOW] = {"408 Request Timeout", "head_timeout"},
    [HTTP_REFUSED_FRAMING] = {"400 Bad Request", "ambiguous_length"},
    [HTTP_REFUSED_HTTP2] = {"400 Bad Request", "http2_not_supported"},
    [HTTP_REFUSED_SOCKETS] = {"503 Service Unavailable", "too_many_connections"},
};

static void move_to(struct list *list, struct http_conn *c, uint64_t ms)
{
    struct http_conns *cs = c->conns;
    list_remove(&c->link);
    list_push_back(list, &c->link);
    c->due_ms = cs->loop->now_ms + ms;
    if (list != &cs->idle && !timer_is_armed(&cs->look))
        timer_start(cs->loop, &cs->look, MIN(ms, LOOK_MS));
}

static void conn_free(struct http_conn *c)
{
    list_remove(&c->link);
    if (c->request != NULL)
        *c->request = NULL;
    free(c);
}

static void on_closed(void *data)
{
    struct http_conn *c = data;
    c->conns->sockets--;
    conn_free(c);
}

static void on_closed_elsewhere(void *data)
{
    struct http_conns *cs = data;
    cs->sockets--;
}

void http_conns_give_away(h2o_socket_t *sock)
{
    struct http_conn *c = sock->on_close.data;
    sock->on_close.cb = on_closed_elsewhere;
    sock->on_close.data = c->conns;
    conn_free(c);
}

/* ---- the guard ---- */

static void on_refusal_written(h2o_socket_t *sock, const char *err)
{
    h2o_socket_close(sock);
}

/* Answers and closes. The peer may still be sending: what it sent is left unread, so it may see a reset; that is its
 * choice to have made. */
static void refuse(struct http_conn *c, enum http_refusal why)
{
    static __thread char text[512];
    const char *status = refusals[why].status, *code = refusals[why].code, *reason = status + strlen("400 ");
    c->conns->on_refused(c->conns->arg, why);
    h2o_socket_read_stop(c->sock);
    c->refused = true;
    move_to(&c->conns->heads, c, c->conns->limits.head_timeout_ms);
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
                     "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
                     status, strlen("{\"error\":{\"code\":\"\",\"message\":\"\"}}") + strlen(code) + strlen(reason),
                     code, reason);
    h2o_iovec_t v = h2o_iovec_init(text, (size_t)n);
    h2o_socket_write(c->sock, &v, 1, on_refusal_written);
}

static void pass_to_h2o(struct http_conn *c)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    move_to(&c->conns->idle, c, 0);
    h2o_socket_read_stop(c->sock);
    h2o_http1_accept(c->conns->accept, c->sock, now);
}

static void on_head_bytes(h2o_socket_t *sock, const char *err)
{
    struct http_conn *c = sock->data;
    if (err != NULL) {
        h2o_socket_close(sock);
        return;
    }
    struct slice bytes = slice_make(sock->input->bytes, sock->input->size);
    switch (http_head_scan(&c->scan, bytes, c->conns->limits.head_max)) {
    case HTTP_HEAD_MORE:
        break;
    case HTTP_HEAD_OK:
        pass_to_h2o(c);
        break;
    case HTTP_HEAD_TOO_LARGE:
        refuse(c, HTTP_REFUSED_HEAD_SIZE);
        break;
    case HTTP_HEAD_AMBIGUOUS:
        refuse(c, HTTP_REFUSED_FRAMING);
        break;
    case HTTP_HEAD_HTTP2:
        refuse(c, HTTP_REFUSED_HTTP2);
        break;
    }
}

void http_conns_add(struct http_conns *cs, h2o_socket_t *sock)
{
    struct http_conn *c = xcalloc(1, sizeof(*c));
    c->conns = cs;
    c->sock = sock;
    list_init(&c->link);
    sock->data = c;
    sock->on_close.cb = on_closed;
    sock->on_close.data = c;
    cs->sockets++;
    if (cs->sockets > cs->limits.sockets_max) {
        refuse(c, HTTP_REFUSED_SOCKETS);
        return;
    }
    move_to(&cs->heads, c, cs->limits.head_timeout_ms);
    h2o_socket_read_start(sock, on_head_bytes);
}

/* ---- requests ---- */

static void on_request_gone(void *cell)
{
    struct http_conn *c = *(struct http_conn **)cell;
    if (c == NULL)
        return;
    c->request = NULL;
    move_to(&c->conns->idle, c, 0);
}

void http_conns_on_request(struct http_conns *cs, h2o_req_t *req)
{
    struct http_conn *c = req->conn->callbacks->get_socket(req->conn)->on_close.data;
    c->request = h2o_mem_alloc_shared(&req->pool, sizeof(*c->request), on_request_gone);
    *c->request = c;
    move_to(&cs->busy, c, cs->limits.answer_timeout_ms);
}

/* ---- time ---- */

static void shut_down(struct http_conn *c)
{
    move_to(&c->conns->idle, c, 0);
    shutdown(h2o_socket_get_fd(c->sock), SHUT_RDWR);
}

static struct http_conn *first_due(struct list *list, uint64_t now_ms)
{
    if (list_empty(list))
        return NULL;
    struct http_conn *first = CONTAINER_OF(list->next, struct http_conn, link);
    return first->due_ms <= now_ms ? first : NULL;
}

static void on_look(struct timer *t)
{
    struct http_conns *cs = CONTAINER_OF(t, struct http_conns, look);
    uint64_t now = cs->loop->now_ms;
    struct http_conn *c;
    while ((c = first_due(&cs->heads, now)) != NULL) {
        if (c->refused || c->sock->input->size == 0) /* nothing was asked: an idle connection ends in silence */
            h2o_socket_close(c->sock);
        else
            refuse(c, HTTP_REFUSED_HEAD_SLOW);
    }
    while ((c = first_due(&cs->busy, now)) != NULL) {
        cs->on_refused(cs->arg, HTTP_REFUSED_ANSWER_SLOW);
        shut_down(c);
    }
    if (!list_empty(&cs->heads) || !list_empty(&cs->busy))
        timer_start(cs->loop, t, LOOK_MS);
}

void http_conns_init(struct http_conns *cs)
{
    list_init(&cs->heads);
    list_init(&cs->busy);
    list_init(&cs->idle);
    timer_init(&cs->look, on_look);
}

void http_conns_cut_idle(struct http_conns *cs)
{
    LIST_EACH_SAFE (it, &cs->heads)
        h2o_socket_close(CONTAINER_OF(it, struct http_conn, link)->sock);
    LIST_EACH (it, &cs->idle)
        shutdown(h2o_socket_get_fd(CONTAINER_OF(it, struct http_conn, link)->sock), SHUT_RDWR);
}

void http_conns_cut_busy(struct http_conns *cs)
{
    struct http_conn *c;
    while ((c = first_due(&cs->busy, UINT64_MAX)) != NULL)
        shut_down(c);
}

void http_conns_release(struct http_conns *cs)
{
    timer_stop(&cs->look);
}

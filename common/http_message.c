/* What handlers ask of a request, and the few forms of answer. */
#include "common/endpoint.h"
#include "common/http_conn.h"
#include "common/http_server.h"

#include <h2o/http1.h>
#include <stdlib.h>

struct slice http_path(const h2o_req_t *req)
{
    return slice_make(req->path_normalized.base, req->path_normalized.len);
}

struct slice http_method(const h2o_req_t *req)
{
    return slice_make(req->method.base, req->method.len);
}

struct slice http_body(const h2o_req_t *req)
{
    return slice_make(req->entity.base, req->entity.base != NULL ? req->entity.len : 0);
}

/* Not by h2o's own function, which keeps a copy for the life of the socket. */
void http_peer(const h2o_req_t *req, struct sockaddr_storage *out)
{
    h2o_socket_t *sock = req->conn->callbacks->get_socket(req->conn);
    socklen_t n = sizeof(*out);
    getpeername(h2o_socket_get_fd(sock), (struct sockaddr *)out, &n);
}

struct slice http_decode(h2o_req_t *req, struct slice text)
{
    char *out = h2o_mem_alloc_pool(&req->pool, text.n + 1);
    int n = endpoint_percent_decode(text, out);
    if (n < 0 || memchr(out, '\0', (size_t)n) != NULL)
        return (struct slice){NULL, 0};
    out[n] = '\0';
    return slice_make(out, (size_t)n);
}

struct slice http_query(h2o_req_t *req, const char *name, bool *bad)
{
    if (req->query_at == SIZE_MAX)
        return (struct slice){NULL, 0};
    struct slice value, query = slice_make(req->path.base + req->query_at + 1, req->path.len - req->query_at - 1);
    if (!endpoint_query(query, slice_of(name), &value))
        return (struct slice){NULL, 0};
    value = http_decode(req, value);
    if (value.p == NULL && bad != NULL)
        *bad = true;
    return value;
}

struct slice http_header(const h2o_req_t *req, const char *name)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    if (at < 0) {
        const h2o_token_t *token = h2o_lookup_token(name, strlen(name));
        at = token != NULL ? h2o_find_header(&req->headers, token, -1) : -1;
    }
    if (at < 0)
        return (struct slice){NULL, 0};
    const h2o_iovec_t *value = &req->headers.entries[at].value;
    return slice_make(value->base, value->len);
}

struct slice http_headers_joined(h2o_req_t *req, const char *name)
{
    struct slice at, value, joined = {NULL, 0};
    for (size_t i = 0; http_header_at(req, i, &at, &value); i++) {
        if (!slice_eq(at, slice_of(name)))
            continue;
        h2o_iovec_t both = h2o_concat(&req->pool, h2o_iovec_init(joined.p, joined.n),
                                      h2o_iovec_init(", ", joined.p != NULL ? 2 : 0), h2o_iovec_init(value.p, value.n));
        joined = slice_make(both.base, both.len);
    }
    return joined;
}

void http_add_header(h2o_req_t *req, const char *name, struct slice value)
{
    h2o_iovec_t n = h2o_strdup(&req->pool, name, strlen(name));
    h2o_iovec_t v = h2o_strdup(&req->pool, value.p, value.n);
    h2o_add_header_by_str(&req->pool, &req->res.headers, n.base, n.len, 1, NULL, v.base, v.len);
}

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {{101, "Switching Protocols"},
                 {200, "OK"},
                 {204, "No Content"},
                 {301, "Moved Permanently"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Payload Too Large"},
                 {415, "Unsupported Media Type"},
                 {426, "Upgrade Required"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {503, "Service Unavailable"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].reason;
    BUG("no reason phrase for status %d", status);
}

void http_reply(h2o_req_t *req, int status, const char *type, struct slice body)
{
    req->res.status = status;
    req->res.reason = http_reason(status);
    req->res.content_length = status == 204 ? SIZE_MAX : body.n; /* RFC 9110 section 8.6: a 204 says no length */
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, type, strlen(type));
    h2o_send_inline(req, body.p != NULL ? body.p : "", body.n);
}

void http_reply_json(h2o_req_t *req, int status, struct slice json)
{
    http_reply(req, status, "application/json", json);
}

void http_reply_error(h2o_req_t *req, int status, const char *code, const char *message)
{
    struct buf b = {0};
    buf_printf(&b, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", code, message);
    http_reply_json(req, status, buf_slice(&b));
    buf_release(&b);
}

struct http_pending {
    h2o_req_t *req;
    struct http_pending **in_pool; /* cell in the request's pool that points back here */
};

static void on_request_gone(void *cell)
{
    struct http_pending *p = *(struct http_pending **)cell;
    if (p != NULL)
        p->req = NULL;
}

struct http_pending *http_pending_new(h2o_req_t *req)
{
    struct http_pending *p = xmalloc(sizeof(*p));
    p->req = req;
    p->in_pool = h2o_mem_alloc_shared(&req->pool, sizeof(*p->in_pool), on_request_gone);
    *p->in_pool = p;
    return p;
}

h2o_req_t *http_pending_take(struct http_pending *p)
{
    h2o_req_t *req = p->req;
    if (req != NULL)
        *p->in_pool = NULL;
    free(p);
    return req;
}

struct upgrade {
    void (*on_upgraded)(void *arg, h2o_socket_t *sock);
    void *arg;
};

/* The head is still in the buffer, and data still points at the freed HTTP connection. */
static void on_h2o_upgraded(void *data, h2o_socket_t *sock, size_t head_size)
{
    struct upgrade *u = data;
    if (sock != NULL) {
        h2o_buffer_consume(&sock->input, head_size);
        sock->data = NULL;
        http_conns_give_away(sock);
    }
    u->on_upgraded(u->arg, sock);
    free(u);
}

void http_upgrade(h2o_req_t *req, const char *protocol, void (*on_upgraded)(void *arg, h2o_socket_t *sock), void *arg)
{
    struct upgrade *u = xmalloc(sizeof(*u));
    *u = (struct upgrade){on_upgraded, arg};
    req->res.status = 101;
    req->res.reason = http_reason(101);
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_UPGRADE, NULL, protocol, strlen(protocol));
    h2o_http1_upgrade(req, NULL, 0, on_h2o_upgraded, u);
}

bool http_header_at(const h2o_req_t *req, size_t i, struct slice *name, struct slice *value)
{
    if (i >= req->headers.size)
        return false;
    const h2o_header_t *h = &req->headers.entries[i];
    *name = slice_make(h->name->base, h->name->len);
    *value = slice_make(h->value.base, h->value.len);
    return true;
}

struct slice http_upgrade_header(const h2o_req_t *req)
{
    return slice_make(req->upgrade.base, req->upgrade.len);
}

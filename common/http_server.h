/* An HTTP/1.1 server on the loop: h2o behind a guard of our own. The guard reads the first head of a connection itself
 * and refuses what h2o would let pass: a head too large (431), too slow (408), with two Content-Lengths or one beside
 * Transfer-Encoding (400), or the HTTP/2 preface (400). Later heads of a kept-alive connection are checked when their
 * request arrives. HTTP/2 is off in every form. Both programs serve their endpoints through it. */
#ifndef TIDEGATE_COMMON_HTTP_SERVER_H
#define TIDEGATE_COMMON_HTTP_SERVER_H

#include "common/buf.h"
#include "common/http_conn.h"

struct http_server;

/* One row of a program's table of endpoints. */
struct http_route {
    const char *method; /* "GET" also answers HEAD */
    const char *path;   /* exact; with a last '*' a prefix */
    /* Must answer now or later by one of the http_reply functions, exactly once. */
    void (*on_request)(struct http_server *s, h2o_req_t *req);
};

struct http_server_conf {
    const char *host; /* address to listen on */
    uint16_t port;    /* 0: the system chooses (see http_server.port) */
    bool reuse_port;
    const struct http_route *routes; /* *borrowed* for the server's life */
    size_t route_count;
    struct http_limits limits;
    size_t body_max;                                                  /* bytes; larger bodies get 413 */
    void *app;                                                        /* the program's own */
    void (*on_refused)(struct http_server *s, enum http_refusal why); /* may be NULL: for counters */
    /* Headers added to every reply of on_request (CORS); may be NULL. */
    void (*on_reply_headers)(struct http_server *s, h2o_req_t *req);
};

struct http_server {
    struct http_server_conf conf;
    struct loop *loop;
    h2o_globalconf_t global;
    h2o_context_t ctx;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener;
    uint16_t port;
    struct http_conns conns;
    bool releasing;
    bool starved; /* out of descriptors, which was logged: accepting again after a moment */
    struct timer resume_timer;
};

/* Listens. Returns 0, or -1 with *why (owned) a sentence that names address, port and reason. Like all of h2o's it
 * belongs to the thread that called it, until the release. */
int http_server_start(struct http_server *s, struct loop *l, const struct http_server_conf *conf, char **why);
/* Stops listening, once all who have connected already are accepted; connections live on, answers get "Connection:
 * close". */
void http_server_stop_listening(struct http_server *s);
/* Ends all connections that are still in HTTP, those whose answer is under way after a second, and frees; turns the
 * loop meanwhile. Upgraded sockets must be closed. Harmless after a start that failed. */
void http_server_release(struct http_server *s);

struct slice http_path(const h2o_req_t *req); /* normalised, without the query */
struct slice http_method(const h2o_req_t *req);
/* The value of a query parameter, percent-decoded ('+' stays '+') into req's pool; p NULL: absent. *Malformed* escapes
 * or a NUL make it absent with *bad set when bad is not NULL. */
struct slice http_query(h2o_req_t *req, const char *name, bool *bad);
/* Percent-decodes into req's pool; p NULL when an escape is malformed or hides a NUL. */
struct slice http_decode(h2o_req_t *req, struct slice text);
/* A header's value; p NULL: absent. name is lower case. */
struct slice http_header(const h2o_req_t *req, const char *name);
/* All headers of that name as one list, ", " between them (RFC 9110 section 5.2), in req's pool; p NULL: none. */
struct slice http_headers_joined(h2o_req_t *req, const char *name);
struct slice http_body(const h2o_req_t *req);
/* The other end's address; left as it is when the socket has none any more. */
void http_peer(const h2o_req_t *req, struct sockaddr_storage *out);
/* Every error of ours has the same body: {"error":{"code":…,"message":…}}. Both are literals of ours: ASCII that JSON
 * need not escape. */
void http_reply_error(h2o_req_t *req, int status, const char *code, const char *message);
void http_reply_json(h2o_req_t *req, int status, struct slice json);
/* type is a literal (it is not copied); the body is copied. */
void http_reply(h2o_req_t *req, int status, const char *type, struct slice body);
const char *http_reason(int status);
/* Adds a header to the answer; name and value are copied. name is lower case. */
void http_add_header(h2o_req_t *req, const char *name, struct slice value);

/* Answers 101 with the headers added so far and gives the socket away. on_upgraded gets it with what the client sent
 * behind its head as input and reading stopped; sock NULL: the client was gone before. req is freed before that. */
void http_upgrade(h2o_req_t *req, const char *protocol, void (*on_upgraded)(void *arg, h2o_socket_t *sock), void *arg);
/* The i-th header as it came; false behind the last. Upgrade is not among them: it is in http_upgrade_header. */
bool http_header_at(const h2o_req_t *req, size_t i, struct slice *name, struct slice *value);
struct slice http_upgrade_header(const h2o_req_t *req);

/* For answers that come later: a token that survives the request. http_pending_new is called in on_request;
 * http_pending_take returns the request, or NULL when the client has gone meanwhile, and releases the token. */
struct http_pending;
struct http_pending *http_pending_new(h2o_req_t *req);
h2o_req_t *http_pending_take(struct http_pending *p);

#endif

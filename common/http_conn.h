/* The connections of a server while they speak HTTP, beside what h2o knows of them: the guard that reads each first
 * head, and the time that a client may take to send a head or to take an answer, which h2o does not limit. For
 * http_server.h.
 */
#ifndef TIDEGATE_COMMON_HTTP_CONN_H
#define TIDEGATE_COMMON_HTTP_CONN_H

#include "common/loop.h"

enum http_refusal {
    HTTP_REFUSED_HEAD_SIZE,   /* 431 */
    HTTP_REFUSED_HEAD_SLOW,   /* 408 */
    HTTP_REFUSED_FRAMING,     /* 400: Content-Length twice or beside Transfer-Encoding */
    HTTP_REFUSED_HTTP2,       /* 400: the preface of HTTP/2 */
    HTTP_REFUSED_SOCKETS,     /* 503: too many sockets in this process */
    HTTP_REFUSED_PATH,        /* 404 */
    HTTP_REFUSED_METHOD,      /* 405 */
    HTTP_REFUSED_ANSWER_SLOW, /* cut: the client did not take its answer in time, or there was none */
    HTTP_REFUSED_COUNT
};
/* Each in snake_case, for metrics. */
extern const char *const http_refusal_words[HTTP_REFUSED_COUNT];

struct http_limits {
    size_t head_max;            /* bytes of a request head */
    uint64_t head_timeout_ms;   /* for the head, and for an idle kept-alive connection */
    uint64_t answer_timeout_ms; /* from a request's end to the end of its answer */
    size_t sockets_max;         /* connections at once in this server */
};

struct http_conns {
    struct loop *loop;
    struct http_limits limits;
    h2o_accept_ctx_t *accept; /* who gets a connection whose first head is good; *borrowed* */
    void *arg;
    void (*on_refused)(void *arg, enum http_refusal why);
    size_t sockets;                /* open now, upgraded ones too */
    struct list heads, busy, idle; /* struct http_conn by state: a head is awaited, an answer is due, neither */
    struct timer look;             /* at those whose time is over */
};

/* Set all but the last four members before. */
void http_conns_init(struct http_conns *cs);
/* A connection was accepted: *takes* the socket. */
void http_conns_add(struct http_conns *cs, h2o_socket_t *sock);
/* h2o has parsed a request of it: from now until the request is disposed of, the answer's time runs. */
void http_conns_on_request(struct http_conns *cs, h2o_req_t *req);
/* The socket is no longer HTTP's; it still counts among the sockets. */
void http_conns_give_away(h2o_socket_t *sock);
/* Ends those that wait for nothing: heads awaited, and kept-alive connections between two requests. */
void http_conns_cut_idle(struct http_conns *cs);
/* Ends those whose answer is under way. */
void http_conns_cut_busy(struct http_conns *cs);
/* Stops the timer; no connection in HTTP may be left. */
void http_conns_release(struct http_conns *cs);

#endif

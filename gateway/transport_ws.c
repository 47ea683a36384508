/* Bytes in: the reader's results become calls on the connection. Bytes out: the outbox's frames go as one writev, the
 * next when h2o says that it is done; h2o allows one outstanding write. */
#include "gateway/transport_ws.h"
#include "gateway/conn.h"
#include "gateway/ws_reader.h"

#include <stdlib.h>

#define FRAMES_PER_WRITE 64
#define SOCKET_BYTES     256 /* of h2o's socket, what a write touches lies within */
#define CACHE_LINE       64

struct transport_ws {
    struct transport base;
    h2o_socket_t *sock; /* NULL once closed */
    bool goodbye_sent, goodbye_heard, broken;
    bool lingering; /* all is said; what the peer still sends is read until it closes, lest a reset eat our goodbye */
    struct ws_reader reader;
};

static struct transport_ws *of(struct transport *t)
{
    return (struct transport_ws *)t;
}

static void close_socket(struct transport_ws *ws)
{
    if (ws->sock != NULL)
        h2o_socket_close(ws->sock);
    ws->sock = NULL;
}

static void lost(struct transport_ws *ws, enum close_reason why)
{
    close_socket(ws);
    conn_gone(ws->base.conn, why);
}

/* Our goodbye is written. If the peer's was heard, the server closes first (RFC 6455 section 7.1.1); a peer that broke
 * the protocol may still be sending: our half is closed, and its own is awaited until the connection's deadline. */
static void finish_if_done(struct transport_ws *ws)
{
    if (ws->sock == NULL || !ws->goodbye_sent || outbox_bytes(&ws->base.conn->outbox) != 0)
        return;
    if (ws->goodbye_heard) {
        lost(ws, (enum close_reason)ws->base.conn->reason);
    } else if (ws->broken && !ws->lingering) {
        ws->lingering = true;
        shutdown(h2o_socket_get_fd(ws->sock), SHUT_WR);
    }
}

static void on_written(h2o_socket_t *sock, const char *err)
{
    struct transport_ws *ws = sock->data;
    if (err != NULL) {
        lost(ws, CLOSE_GONE);
        return;
    }
    outbox_written(&ws->base.conn->outbox);
    if (outbox_waiting(&ws->base.conn->outbox)) {
        conn_mark_dirty(ws->base.conn);
        return;
    }
    conn_on_drained(ws->base.conn);
    finish_if_done(ws);
}

/* h2o's socket is larger than what its header shows of it. */
static void fetch(struct transport *t)
{
    const char *sock = (const char *)of(t)->sock;
    for (size_t at = 0; at < SOCKET_BYTES; at += CACHE_LINE)
        __builtin_prefetch(sock + at);
}

static void flush(struct transport *t)
{
    struct transport_ws *ws = of(t);
    struct slice frames[FRAMES_PER_WRITE];
    h2o_iovec_t iov[FRAMES_PER_WRITE];
    if (ws->sock == NULL || h2o_socket_is_writing(ws->sock) || !outbox_waiting(&t->conn->outbox))
        return;
    size_t n = outbox_take(&t->conn->outbox, frames, FRAMES_PER_WRITE);
    for (size_t i = 0; i < n; i++)
        iov[i] = h2o_iovec_init(frames[i].p, frames[i].n);
    h2o_socket_write(ws->sock, iov, n, on_written);
}

static void on_bad(struct transport_ws *ws, uint16_t code)
{
    static const struct {
        uint16_t code;
        enum close_reason why;
    } reasons[] = {{WS_CODE_INVALID_PAYLOAD, CLOSE_UTF8}, {WS_CODE_TOO_BIG, CLOSE_TOO_BIG}};
    enum close_reason why = CLOSE_PROTOCOL;
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].code == code)
            why = reasons[i].why;
    ws->broken = true; /* nothing that the peer sends from here on means anything, its goodbye neither */
    conn_close(ws->base.conn, why);
    finish_if_done(ws);
}

static void on_result(struct transport_ws *ws, enum ws_result result, const struct ws_message *m)
{
    struct conn *c = ws->base.conn;
    switch (result) {
    case WS_MESSAGE:
        conn_on_message(c, m->payload, m->opcode == WS_OP_BINARY);
        break;
    case WS_PING:
        conn_on_alive(c);
        conn_send_owned(c, frame_new(WS_OP_PONG, m->payload));
        break;
    case WS_PONG:
        conn_on_pong(c, m->payload);
        break;
    case WS_CLOSE:
        ws->goodbye_heard = true;
        conn_on_goodbye(c, m->code);
        finish_if_done(ws);
        break;
    case WS_BAD:
        on_bad(ws, m->code);
        break;
    case WS_MORE:
        break;
    }
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct transport_ws *ws = sock->data;
    if (err != NULL) {
        lost(ws, CLOSE_GONE);
        return;
    }
    char *bytes = sock->input->bytes;
    size_t n = sock->input->size, used;
    struct ws_message m;
    enum ws_result result;
    do {
        result = ws_reader_feed(&ws->reader, bytes, n, &used, &m);
        bytes += used;
        n -= used;
        on_result(ws, result, &m);
        if (ws->sock == NULL)
            return;
    } while (result != WS_MORE);
    h2o_buffer_consume(&sock->input, sock->input->size - n);
}

/* What came in the packet of the head lies in the buffer already: no event will tell of it. */
static void start(struct transport *t)
{
    struct transport_ws *ws = of(t);
    if (ws->sock == NULL || h2o_socket_is_reading(ws->sock))
        return;
    h2o_socket_read_start(ws->sock, on_readable);
    if (ws->sock->input->size > 0)
        on_readable(ws->sock, NULL);
}

static void ping(struct transport *t, struct slice payload)
{
    conn_send_owned(t->conn, frame_new(WS_OP_PING, payload));
}

static void send_goodbye(struct transport *t, uint16_t code, struct slice reason)
{
    struct transport_ws *ws = of(t);
    struct frame *f = frame_new_close(code, reason);
    ws->goodbye_sent = true;
    outbox_push(&t->conn->outbox, f, SIZE_MAX);
    frame_unref(f);
    conn_mark_dirty(t->conn);
}

static void abort_now(struct transport *t)
{
    close_socket(of(t));
}

static void release(struct transport *t)
{
    struct transport_ws *ws = of(t);
    close_socket(ws);
    ws_reader_release(&ws->reader);
    free(ws);
}

static const struct transport_ops ops = {.start = start,
                                         .fetch = fetch,
                                         .flush = flush,
                                         .ping = ping,
                                         .close = send_goodbye,
                                         .abort = abort_now,
                                         .free = release};

struct transport *transport_ws_new(h2o_socket_t *sock, uint32_t limit)
{
    struct transport_ws *ws = xcalloc(1, sizeof(*ws));
    ws->base.ops = &ops;
    ws->sock = sock;
    sock->data = ws;
    ws_reader_init(&ws->reader, limit);
    return &ws->base;
}

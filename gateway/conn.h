/* A connection: who it is, how it speaks (dialect), what waits for it (outbox), and what carries it (transport). It
 * belongs to one worker's thread. Every exit goes through conn_close or conn_gone; the worker frees it after the turn,
 * so a pointer stays good until then. */
#ifndef TIDEGATE_GATEWAY_CONN_H
#define TIDEGATE_GATEWAY_CONN_H

#include "gateway/context.h"
#include "gateway/cursor.h"
#include "gateway/dialect.h"
#include "gateway/hub.h"
#include "gateway/outbox.h"
#include "gateway/recent.h"
#include "gateway/roster.h"
#include "gateway/transport.h"

struct conn;
struct replay;

/* Who brings a connection what it missed; set by the worker. */
struct conn_rescuer {
    void *arg;
    /* All is subscribed, and it named a position or a device: conn_welcome follows, or conn_close. */
    void (*on_ready)(void *arg, struct conn *c);
    /* It asks for what came after this position, and is not being told already. */
    void (*on_resume)(void *arg, struct conn *c, uint64_t position);
    /* What it was told of that so far is written. */
    void (*on_drained)(void *arg, struct conn *c);
    /* It ends: c->more->replay is to be released. */
    void (*on_left)(void *arg, struct conn *c);
};

/* What every connection of a worker uses. */
struct conn_home {
    struct context *ctx;
    struct hub *hub;
    struct roster *roster;
    struct cursors *cursors;
    struct conn_rescuer rescuer;
    struct frame *heartbeats[DIALECT_ID_COUNT]; /* each dialect's own ping, once it was asked for */
    uint32_t retry; /* the moment that the last client who was sent away was told, of 2^32; random in the beginning */
};
void conn_home_release(struct conn_home *home);

enum conn_state {
    CONN_JOINING,  /* its channels are being subscribed; nothing was said yet */
    CONN_RESUMING, /* what it missed is being looked up, to be said in the hello */
    CONN_OPEN,
    CONN_CLOSING, /* our goodbye is on its way, or the client's was answered */
    CONN_DEAD,    /* waits for the worker to free it */
};

/* What a connection has before its hello, and only some have later. */
struct conn_more {
    char *user_json;       /* owned; the id as the token wrote it, for the hello; NULL: no user, or said */
    struct device *device; /* owned; of a client that named one */
    struct replay *replay; /* the rescuer's, while it is at work */
    bool behind;           /* it is being told what it missed: later events with an id must wait */
    struct recent *recent; /* owned; of a connection that is in several targets of one event */
    bool resumes;          /* it named last_id when it connected */
    uint64_t last_id;
};

/* What each delivery touches stands first: one or two cache lines, and not three. */
struct conn {
    struct conn_home *home;
    const struct dialect *dialect;
    struct transport *transport; /* owned; NULL once dead */
    struct outbox outbox;
    struct conn_more *more;    /* owned; NULL for most that are open */
    uint32_t heard_ms;         /* when the client last said anything: the loop's clock, its low bits */
    uint8_t state : 7;         /* enum conn_state */
    bool resumes : 1;          /* it comes back to where it stood: it named a position or a device, and is open */
    uint8_t reason;            /* enum close_reason, once closing or dead */
    uint16_t active_s;         /* when an event was last sent to it: the loop's clock in seconds, its low bits */
    struct roster_place place; /* due: next heartbeat; joining, closing: the deadline */
    struct member *members;    /* its targets, by hub.h */
    uint64_t expires_s;        /* the token's exp, seconds since 1970; 0: never */
    struct limit_entry *ip;    /* its place in the count of its address; NULL: not counted */
};

/* What the handshake found out. */
struct conn_identity {
    struct slice user_json; /* the id as the token wrote it; empty: no user */
    struct slice user;      /* its text */
    uint64_t expires_s;
    struct limit_entry *ip; /* taken */
    bool resumes;           /* the client names last_id as where it stood */
    uint64_t last_id;
    struct slice device; /* the id that the client gives its device; empty: none */
};

/* *Takes* transport, which must be ready to write, and a seat (limit.h). Then call conn_join_user, or conn_ready for a
 * connection without a user, or conn_close to refuse it where the client can see it. */
struct conn *conn_new(struct conn_home *home, const struct dialect *d, const struct conn_identity *who,
                      struct transport *transport);
/* Makes it a member of the user's target and of everybody's. It is ready once all its targets are live. */
void conn_join_user(struct conn *c, struct slice user);
/* All is subscribed: says hello, and only then listens to the client. A user with too many connections is refused. */
void conn_ready(struct conn *c);
/* The hello of one that named a position or a device, and then it is open. */
void conn_welcome(struct conn *c, const struct recovery *recovery);
/* A target has gone live: conn_ready for all its connections that are still joining and wait for no other target. */
void conn_ready_all(struct target *t);
/* Queues a frame (*keeps a ref*), to be written after this turn: true. False, and nothing queued, unless joining or
 * open; or when it does not read, and then it is closed. */
bool conn_send(struct conn *c, struct frame *f);
/* The same for a frame made for this one connection: *takes* it. NULL is ignored. */
void conn_send_owned(struct conn *c, struct frame *f);
/* conn_send for what it missed, whose sender keeps to bounds of his own: OUTBOX_BYTES does not count. */
bool conn_send_missed(struct conn *c, struct frame *f);
/* Whether an event for several targets has come by another of them already; else it is remembered. */
bool conn_repeats(struct conn *c, const struct envelope *e);
static inline struct replay *conn_replay(const struct conn *c)
{
    return c->more != NULL ? c->more->replay : NULL;
}
static inline bool conn_is_behind(const struct conn *c)
{
    return c->more != NULL && c->more->behind;
}
static inline uint16_t conn_now_s(const struct conn *c)
{
    return (uint16_t)(c->home->ctx->loop->now_ms / 1000);
}
/* How long no event was sent to it; beyond 18 hours it begins anew. */
static inline uint16_t conn_idle_s(const struct conn *c)
{
    return (uint16_t)(conn_now_s(c) - c->active_s);
}
/* A message with this position was queued. */
static inline void conn_sent(struct conn *c, uint64_t position)
{
    c->active_s = conn_now_s(c);
    if (c->more != NULL && c->more->device != NULL)
        device_sent(c->more->device, position);
}
/* Queues a protocol ping that carries this. */
void conn_ping(struct conn *c, struct slice payload);
/* c->more, made now if need be; and given up if it holds nothing any more. */
struct conn_more *conn_more(struct conn *c);
void conn_shed_more(struct conn *c);
/* It reads more slowly than it is written to: half of what it may leave unread waits. */
bool conn_is_slow(const struct conn *c);
/* Says goodbye with the reason's code and ends when the client answered or CLOSE_GRACE_MS are over. Idempotent. */
void conn_close(struct conn *c, enum close_reason why);

static inline struct conn *conn_of(struct roster_place *p)
{
    return CONTAINER_OF(p, struct conn, place);
}

/* From the transport. */
void conn_on_message(struct conn *c, struct slice bytes, bool binary);
void conn_on_alive(struct conn *c);
void conn_on_pong(struct conn *c, struct slice payload);
/* Nothing is left in the outbox. */
void conn_on_drained(struct conn *c);
/* The client said goodbye; its close frame's code, or 1005 without one. */
void conn_on_goodbye(struct conn *c, uint16_t code);
/* Something waits in the outbox: to be flushed after this turn. */
void conn_mark_dirty(struct conn *c);
/* The transport is no more (or its goodbye is done): to be freed after this turn. */
void conn_gone(struct conn *c, enum close_reason why);

/* From the worker: will write soon; writes what waits; the heartbeat's moment has come; frees. */
static inline void conn_fetch(const struct conn *c)
{
    c->transport->ops->fetch(c->transport);
}
void conn_flush(struct conn *c);
void conn_beat(struct conn *c);
/* Does the peer live? */
void conn_watch(struct conn *c);
/* The end of our patience. */
void conn_abort(struct conn *c);
void conn_free(struct conn *c);

#define CLOSE_GRACE_MS 2000

#endif

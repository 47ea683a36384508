/* Cursors: up to where each device of a user has taken its events, in Redis. They are gathered and written once every
 * CURSOR_INTERVAL, one call for all devices of a user: never one call per message, and never on close alone. What is
 * not written yet when a gateway dies costs repeats.
 *
 * A cursor moves by the client's acks. For a client that has never acked it moves by the pong to a ping that was queued
 * behind what was sent: a WebSocket's bytes are taken in order. A client that has acked once is believed only by its
 * acks, on later connections too. */
#ifndef TIDEGATE_GATEWAY_CURSOR_H
#define TIDEGATE_GATEWAY_CURSOR_H

#include "common/list.h"
#include "common/redis_commands.h"
#include "common/redis_fn.h"
#include "gateway/context.h"

struct conn;

/* Bytes of a device's id. */
#define DEVICE_ID_MAX 128
/* Whether a text may be one: UTF-8 without control characters. */
bool device_id_valid(struct slice id);

struct cursors {
    struct context *ctx;
    struct redis_commands *(*redis_of)(void *arg, unsigned bucket);
    void *redis_arg;
    void (*ping)(struct conn *c, struct slice payload);
    struct list dirty;    /* devices whose cursor is to be written */
    struct list unproven; /* that were sent more than they acknowledged, and no ping is out */
    struct list fresh;    /* all that are connected, by when they were written */
    size_t departed;      /* devices kept only until they are written */
    struct redis_fn_call call;
    struct timer timer;
    struct timer retry; /* of what Redis refused: sooner than an interval */
    unsigned refusals;  /* retries since a write went through */
};

struct device {
    struct list dirty, unproven, fresh;
    struct cursors *cursors;
    struct conn *conn; /* NULL: has departed */
    char *target;      /* owned; the user's */
    uint64_t sent;     /* the highest position written to the client, or from which it started */
    uint64_t acked;    /* up to which it has taken all */
    uint64_t pinged;   /* which a ping that is out will prove; 0: none is */
    uint64_t written_ms;
    bool acks;
    bool writing, again; /* a call is under way; something changed since */
    uint8_t id_n;
    char id[];
};

/* *Borrows* all for the cursors' life. ping sends a protocol ping behind all that is queued for the connection. */
void cursors_init(struct cursors *cs, struct context *ctx,
                  struct redis_commands *(*redis_of)(void *arg, unsigned bucket), void *redis_arg,
                  void (*ping)(struct conn *c, struct slice payload));
/* Every connection must be gone, and Redis's callbacks too. */
void cursors_release(struct cursors *cs);
/* Writes what is to be written, now. */
void cursors_flush(struct cursors *cs);

/* The device of a connection; nothing is known of it yet. Returns owned. */
struct device *device_new(struct cursors *cs, struct conn *c, struct slice id);
/* The connection is gone. Takes the device, which lives until its cursor is written. */
void device_depart(struct device *d);
/* It goes on behind this position, and its cursor is raised to there. target: the user's. acks: it has acked before. */
void device_start(struct device *d, struct slice target, uint64_t position, bool acks);
/* A message with this position was queued for it. */
void device_sent(struct device *d, uint64_t position);
enum device_ack { DEVICE_ACK_OK, DEVICE_ACK_AHEAD };
/* The client says that it has taken all up to this position. AHEAD: it was never sent that far; nothing has changed. */
enum device_ack device_on_ack(struct device *d, uint64_t position);
/* A pong came: if it answers the ping that is out, what was sent before that is taken. */
void device_on_pong(struct device *d, struct slice payload);
/* What a ping must carry now, in place of nothing, lest its pong stand for the one awaited. It lies in out. */
#define DEVICE_PING_SIZE 24
struct slice device_ping(const struct device *d, char out[DEVICE_PING_SIZE]);

static inline struct slice device_id(const struct device *d)
{
    return slice_make(d->id, d->id_n);
}

#endif

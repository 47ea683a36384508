/* One replay, for the files replay*.c alone: replay.c holds the lists and the account, replay_round.c asks Redis and
 * judges what it answers, replay_start.c finds out where a client stood, replay_stream.c sends. */
#ifndef TIDEGATE_GATEWAY_REPLAY_INTERNAL_H
#define TIDEGATE_GATEWAY_REPLAY_INTERNAL_H

#include "gateway/replay.h"
#include "gateway/replay_log.h"

enum replay_stage {
    REPLAY_LOOKING,   /* for the device's cursor */
    REPLAY_MEASURING, /* reads first pieces, counts */
    REPLAY_STREAMING,
    REPLAY_FINISHED, /* live again; only what was sent last is still to be written */
};

struct replay {
    struct replays *all;
    struct conn *conn;
    struct list link;  /* in one of the lists of all, or in none while a round is under way */
    struct list calls; /* that wait for Redis */
    enum replay_stage stage;
    bool writing;        /* what was sent is not taken yet */
    bool resumed;        /* asked for by a message, on an open connection */
    bool failed;         /* something in the round under way */
    bool incomplete;     /* whatever the logs say */
    bool unmarked;       /* one of the targets, whose marker is still waited for: it does not go live yet */
    bool known;          /* the device, by its cursor: start */
    bool acks;           /* and that it acknowledges by itself */
    uint64_t due_ms;     /* in sleeping, writing */
    uint64_t waiting_ms; /* since when for what routers refill; 0: not */
    uint64_t start;      /* where the client stood */
    uint64_t position;   /* written last */
    size_t held;         /* bytes accounted for */
    unsigned pending;    /* calls under way */
    size_t count;
    struct replay_target targets[];
};

/* One call to Redis; outlives the replay if need be. */
struct replay_call {
    struct list of_replay;
    struct replays *all;
    struct replay *r; /* NULL: it is over */
    struct replay_target *target;
    struct replay_log *log;
    /* 0, or -1 when the reply is not what was asked for. */
    int (*take)(struct replay *r, struct replay_target *rt, struct replay_log *log, const redisReply *reply);
    bool reads;
};

static inline struct target *replay_user(const struct replay *r)
{
    assert(r->conn->members != NULL);
    return r->conn->members->target;
}

/* ---- replay.c ---- */

/* What it holds has changed. */
void replay_account(struct replay *r);
/* Its next round starts when there is room; a moment later, because Redis or routers are not ready; when the client has
 * taken what it was sent. */
void replay_wait_for_room(struct replay *r);
void replay_try_again_later(struct replay *r);
void replay_await_client(struct replay *r);
void replay_free(struct replay *r);

/* ---- replay_round.c ---- */

void replay_start_round(struct replay *r);
/* Sends a command that is part of the round: all but target, log, take and reads of what is filled in. */
void replay_call_redis(struct replay *r, struct replay_call what, unsigned bucket, const struct slice *argv,
                       size_t argc);
void replay_send_marker(struct replay *r, struct replay_target *rt, unsigned bucket);
/* Who waits (on) for routers: for the target's marker that is missing, or for the end of a refill. */
enum replay_patience replay_patience(struct replay *r, struct replay_target *rt);

/* ---- replay_start.c ---- */

/* A round that asks for the device's cursor, and its end. */
void replay_look_for_cursor(struct replay *r);
void replay_finish_looking(struct replay *r);
/* It starts behind this position: to be measured. */
void replay_measure_from(struct replay *r, uint64_t position);

/* ---- replay_stream.c ---- */

/* Sends what may be sent in order; then the next round, or it is live. */
void replay_stream(struct replay *r);

#endif

/* A replay goes in rounds: each reads what its targets' logs want, all at once, and their markers; when the last answer
 * is there it is judged and delivered. First it is only measured, until the hello can say what follows. */
#include "gateway/replay.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/replay_log.h"

#include <stdlib.h>

#define PIECE_BYTES    65536
#define PIECE_EVENTS   1000
#define READS_MAX      16   /* more under way would only lie in buffers */
#define COUNT_EVENTS   1000 /* looked at in one call */
#define RETRY_MS       250
#define MARKER_WAIT_MS 5000 /* routers see within a second or two that a marker is missing */
#define TARGETS_LEAST  2    /* pieces that a round may read, for the account before they are there */
/* A position beyond our clock by more than this was never given by Redis. */
#define CLOCKS_APART_MS 60000

enum stage {
    LOOKING,   /* for the device's cursor */
    MEASURING, /* reads first pieces, counts */
    STREAMING,
    FINISHED, /* live again; only what was sent last is still to be written */
};

struct replay {
    struct replays *all;
    struct conn *conn;
    struct list link;  /* in one of the lists of all, or in none while a round is under way */
    struct list calls; /* that wait for Redis */
    enum stage stage;
    bool writing;        /* what was sent is not taken yet */
    bool resumed;        /* asked for by a message, on an open connection */
    bool failed;         /* something in the round under way */
    bool incomplete;     /* whatever the logs say */
    bool known;          /* the device, by its cursor: start */
    bool acks;           /* and that it acknowledges by itself */
    uint64_t due_ms;     /* in sleeping, writing */
    uint64_t waiting_ms; /* since when for routers; 0: not */
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

static void finish_round(struct replay *r);

static struct replay *replay_of(struct list *link)
{
    return CONTAINER_OF(link, struct replay, link);
}

static struct target *user_of(const struct replay *r)
{
    assert(r->conn->members != NULL);
    return r->conn->members->target;
}

/* ---- the account ---- */

static void account(struct replay *r)
{
    size_t held = r->stage >= STREAMING ? outbox_bytes(&r->conn->outbox) : 0;
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < REPLAY_LOGS; k++)
            held += r->targets[i].logs[k].piece.bytes.cap;
    r->all->used += held - r->held;
    r->held = held;
}

static bool has_room(const struct replays *rs)
{
    size_t coming = (rs->reading + TARGETS_LEAST) * rs->piece;
    return rs->reading < READS_MAX && (rs->used + coming <= rs->share || rs->used + rs->reading == 0);
}

/* ---- lists ---- */

static void wait_for_room(struct replay *r)
{
    r->writing = false;
    list_remove(&r->link);
    list_push_back(&r->all->waiting, &r->link);
    loop_again(r->all->ctx->loop);
}

static void wait_until(struct replay *r, struct list *list, uint64_t ms)
{
    list_remove(&r->link);
    list_push_back(list, &r->link);
    r->due_ms = r->all->ctx->loop->now_ms + ms;
}

static void try_again_later(struct replay *r)
{
    wait_until(r, &r->all->sleeping, RETRY_MS);
}

/* ---- calls ---- */

static void on_reply(void *arg, const redisReply *reply)
{
    struct replay_call *call = arg;
    struct replay *r = call->r;
    list_remove(&call->of_replay);
    call->all->reading -= call->reads;
    loop_again(call->all->ctx->loop);
    if (r != NULL) {
        if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
            log_warn("replay_refused", LOG_SL("target", hub_name(user_of(r))), LOG_S("reply", reply->str));
        if (reply == NULL || call->take(r, call->target, call->log, reply) != 0)
            r->failed = true;
        if (--r->pending == 0)
            finish_round(r);
    }
    free(call);
}

static void call_redis(struct replay *r, struct replay_call what, unsigned bucket, const struct slice *argv,
                       size_t argc)
{
    struct replay_call *call = xmalloc(sizeof(*call));
    *call = what;
    call->all = r->all;
    call->r = r;
    if (redis_commands_send(&bus_node_of(r->all->bus, bucket)->commands, argv, argc, on_reply, call) != 0) {
        r->failed = true;
        free(call);
        return;
    }
    list_init(&call->of_replay);
    list_push_back(&r->calls, &call->of_replay);
    r->all->reading += what.reads;
    r->pending++;
}

/* ---- rounds ---- */

static int take_read(struct replay *r, struct replay_target *rt, struct replay_log *log, const redisReply *reply)
{
    return replay_log_take(log, reply);
}

static int take_count(struct replay *r, struct replay_target *rt, struct replay_log *log, const redisReply *reply)
{
    return replay_log_take_count(log, reply);
}

static int take_marker(struct replay *r, struct replay_target *rt, struct replay_log *log, const redisReply *reply)
{
    return replay_marker_parse(reply, &rt->marker);
}

static void send_read(struct replay *r, struct replay_target *rt, struct replay_log *log)
{
    struct redis_fn_call *call = &r->all->call;
    const struct target *t = rt->member->target;
    replay_log_ask(log);
    redis_fn_read(call, log->which, t->bucket, hub_name(t), log->read, PIECE_EVENTS, r->all->piece);
    call_redis(r, (struct replay_call){.target = rt, .log = log, .take = take_read, .reads = true}, t->bucket,
               call->argv, call->argc);
}

/* Looking at nothing first: often the length of the log says it all. */
static void send_count(struct replay *r, struct replay_target *rt, struct replay_log *log)
{
    struct redis_fn_call *call = &r->all->call;
    const struct target *t = rt->member->target;
    redis_fn_count(call, log->which, t->bucket, hub_name(t), log->count_from, log->which == TARGET_LOG ? rt->floor : 0,
                   log->opened ? COUNT_EVENTS : 0);
    call_redis(r, (struct replay_call){.target = rt, .log = log, .take = take_count}, t->bucket, call->argv,
               call->argc);
}

static void send_marker(struct replay *r, struct replay_target *rt, unsigned bucket)
{
    char name[TARGET_NAME_SIZE];
    struct slice argv[2 + REPLAY_MARKER_FIELDS] = {SLICE("HMGET"), target_marker(bucket, name)};
    memcpy(argv + 2, replay_marker_fields, sizeof(replay_marker_fields));
    call_redis(r, (struct replay_call){.target = rt, .take = take_marker}, bucket, argv, ARRAY_LEN(argv));
}

static void ask_target(struct replay *r, struct replay_target *rt)
{
    rt->asked = !rt->known || rt->waiting;
    for (size_t k = 0; k < REPLAY_LOGS; k++) {
        struct replay_log *log = &rt->logs[k];
        replay_log_look(rt, log);
        if (replay_log_wants(rt, log)) {
            rt->asked = true;
            send_read(r, rt, log);
        }
        if (r->stage == MEASURING && log->on && !log->opened && !rt->waiting) {
            rt->asked = true;
            send_count(r, rt, log);
        }
    }
    if (rt->asked)
        send_marker(r, rt, rt->member->target->bucket); /* behind the reads: see replay_log.c */
}

static void look_for_cursor(struct replay *r);

static void start_round(struct replay *r)
{
    list_remove(&r->link);
    r->failed = false;
    if (r->stage == LOOKING)
        look_for_cursor(r);
    else
        for (size_t i = 0; i < r->count; i++)
            ask_target(r, &r->targets[i]);
    if (r->pending == 0)
        finish_round(r);
}

/* ---- where it stood ---- */

static uint64_t end_of_all(const struct replay *r)
{
    uint64_t end = bus_safe(r->all->bus);
    if (end == 0) /* nothing was heard yet, beats neither */
        for (const struct member *m = r->conn->members; m != NULL; m = m->next_of_conn)
            end = MAX(end, m->target->last_id);
    return end;
}

static uint64_t retention_of(const struct gateway_config *cfg, const struct target *t)
{
    switch (t->name[0]) {
    case 'u':
        return cfg->user_history_retention;
    case 'r':
        return cfg->room_history_retention;
    default:
        return cfg->global_history_retention;
    }
}

static uint64_t floor_of(const struct replay *r, const struct target *t)
{
    uint64_t now = clock_wall_ms(), kept = retention_of(r->all->ctx->cfg, t);
    return now > kept ? (now - kept) * 1000 : 0;
}

/* One that Redis never gave is believed for what came before, but not for what is to come. */
static uint64_t credible(const struct replay *r, uint64_t position)
{
    if (position <= (clock_wall_ms() + CLOCKS_APART_MS) * 1000)
        return position;
    return MIN(position, end_of_all(r));
}

static void measure_from(struct replay *r, uint64_t position)
{
    struct device *d = r->conn->more->device;
    uint64_t from = credible(r, position);
    size_t i = 0;
    r->incomplete |= from != position;
    r->start = r->position = from;
    r->stage = MEASURING;
    for (struct member *m = r->conn->members; m != NULL; m = m->next_of_conn, i++)
        replay_target_init(&r->targets[i], m, from, floor_of(r, m->target));
    if (d != NULL && !r->resumed)
        device_start(d, hub_name(user_of(r)), from, r->acks);
    wait_for_room(r);
}

/* ---- a device's cursor ---- */

/* Whether to wait (on) for routers: to make a marker that is missing, or to end a refill. */
static bool is_patient(struct replay *r, bool missing)
{
    uint64_t now = r->all->ctx->loop->now_ms, most = r->all->ctx->cfg->refill_wait;
    if (missing && r->stage < STREAMING)
        most = MIN(most, MARKER_WAIT_MS);
    if (r->waiting_ms == 0)
        r->waiting_ms = now;
    return now - r->waiting_ms < most;
}

static int take_cursor(struct replay *r, struct replay_target *rt, struct replay_log *log, const redisReply *reply)
{
    struct redis_fn_cursor c;
    if (reply->type != REDIS_REPLY_NIL && reply->type != REDIS_REPLY_STRING)
        return -1;
    if (reply->type == REDIS_REPLY_NIL || redis_fn_cursor_parse(slice_make(reply->str, reply->len), &c) != 0 ||
        c.seen_ms + r->all->ctx->cfg->device_ttl < clock_wall_ms())
        return 0;
    r->known = true;
    r->acks = c.acks;
    r->start = c.position;
    return 0;
}

static void look_for_cursor(struct replay *r)
{
    char name[TARGET_NAME_SIZE];
    struct target *t = user_of(r);
    struct slice argv[] = {SLICE("HGET"), target_name(TARGET_CURSORS, t->bucket, hub_name(t), name),
                           device_id(r->conn->more->device)};
    r->known = r->acks = false;
    call_redis(r, (struct replay_call){.take = take_cursor}, t->bucket, argv, ARRAY_LEN(argv));
    send_marker(r, &r->targets[0], t->bucket);
}

/* A device never seen starts at the end, unless its cursor may have been lost with the bucket; what it is behind by
 * then must outlive this gateway, so its cursor is written before anything is said. */
static void start_unknown(struct replay *r)
{
    const struct replay_marker *m = &r->targets[0].marker;
    bool lost = m->epoch == 0 || m->since > floor_of(r, user_of(r));
    r->incomplete = lost;
    measure_from(r, lost ? 0 : end_of_all(r));
    cursors_flush(r->all->cursors);
}

static void finish_looking(struct replay *r)
{
    const struct conn_more *more = r->conn->more;
    bool matters = !r->known && !more->resumes;
    if (r->failed || (matters && r->targets[0].marker.epoch == 0 && is_patient(r, true)))
        try_again_later(r);
    else if (more->resumes)
        measure_from(r, more->last_id);
    else if (r->known)
        measure_from(r, r->start);
    else
        start_unknown(r);
}

/* ---- saying what follows ---- */

/* Counts what is not counted yet; false when Redis must be asked. */
static bool all_counted(struct replay *r)
{
    bool all = true;
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < REPLAY_LOGS; k++) {
            struct replay_target *rt = &r->targets[i];
            struct replay_log *log = &rt->logs[k];
            if (!log->on || log->counted)
                continue;
            if (replay_log_at_end(rt, log) || log->ended) {
                log->count = log->piece.count;
                log->counted = true;
                continue;
            }
            all = false;
            rt->asked = false;
            send_count(r, rt, log);
        }
    return all;
}

static struct recovery recovery_of(const struct replay *r)
{
    struct recovery v = {.recovered = !r->incomplete, .position = r->start};
    for (size_t i = 0; i < r->count; i++) {
        const struct replay_target *rt = &r->targets[i];
        uint64_t oldest = rt->logs[REPLAY_LIVE].oldest;
        v.recovered &= replay_target_is_complete(rt);
        v.messages += rt->logs[REPLAY_REFILLED].count + rt->logs[REPLAY_LIVE].count;
        if (oldest != 0 && (v.oldest == 0 || oldest < v.oldest))
            v.oldest = oldest;
    }
    return v;
}

/* False when that was the end of the connection. */
static bool announce(struct replay *r)
{
    struct conn *c = r->conn;
    struct recovery v = recovery_of(r);
    counter_add(&r->all->ctx->metrics->replays, 1);
    counter_add(&r->all->ctx->metrics->replays_incomplete, !v.recovered);
    r->stage = STREAMING;
    if (!r->resumed) {
        conn_welcome(c, &v);
    } else {
        struct frame *f = c->dialect->encode_reply(&(struct reply){.kind = REPLY_RESUMED, .recovery = &v});
        if (f != NULL)
            conn_send_missed(c, f);
        frame_unref(f);
    }
    return c->more->replay == r && c->state == CONN_OPEN;
}

/* ---- sending it ---- */

static void replay_free(struct replay *r)
{
    struct replays *rs = r->all;
    LIST_EACH_SAFE (it, &r->calls) {
        CONTAINER_OF(it, struct replay_call, of_replay)->r = NULL;
        list_remove(it);
    }
    for (size_t i = 0; i < r->count; i++)
        replay_target_release(&r->targets[i]);
    rs->used -= r->held;
    list_remove(&r->link);
    gauge_add(&rs->ctx->metrics->replays_open, -1);
    r->conn->more->replay = NULL;
    r->conn->more->behind = false;
    loop_again(rs->ctx->loop);
    free(r);
}

static void go_live(struct replay *r)
{
    for (size_t i = 0; i < r->count; i++)
        r->targets[i].member->from = r->targets[i].logs[REPLAY_LIVE].read;
    r->conn->more->behind = false;
    r->stage = FINISHED;
    account(r);
    if (r->held == 0)
        replay_free(r);
    else
        wait_until(r, &r->all->writing, r->all->ctx->cfg->replay_stall);
}

/* Ids of a second log were given when it was refilled: no positions. A client that stops in the midst of it must start
 * it anew. */
static uint64_t position_of_event(struct replay *r, const struct replay_log *log, uint64_t id)
{
    if (log->which == TARGET_LOG)
        r->position = MAX(r->position, bus_position(r->all->bus, id));
    return r->position;
}

static void deliver(struct replay *r, const struct replay_log *log, struct slice bytes)
{
    struct conn *c = r->conn;
    struct envelope e;
    const char *why;
    if (envelope_decode(bytes, &e, &why) != 0) {
        log_error("envelope_malformed", LOG_SL("target", hub_name(user_of(r))), LOG_S("reason", why));
        counter_add(&r->all->ctx->metrics->events_undecodable, 1);
        return;
    }
    uint64_t position = position_of_event(r, log, e.id);
    struct frame *f = e.target_count > 1 && conn_repeats(c, &e) ? NULL : c->dialect->encode_event(&e, position);
    if (f == NULL)
        return;
    if (conn_send_missed(c, f)) {
        counter_add(&r->all->ctx->metrics->replayed, 1);
        counter_add(&r->all->ctx->metrics->messages_sent, 1);
        conn_sent(c, position);
    }
    frame_unref(f);
}

/* The log whose first event is next; NULL when none is to be had now. *more: because something must be read first. */
static struct replay_log *next_log(struct replay *r, enum replay_log_rank rank, bool *more)
{
    struct replay_log *next = NULL;
    uint64_t least = UINT64_MAX, id, prev;
    struct slice bytes;
    *more = false;
    for (size_t i = 0; i < r->count; i++) {
        struct replay_target *rt = &r->targets[i];
        struct replay_log *log = &rt->logs[rank];
        if (!log->on)
            continue;
        if (!piece_first(&log->piece, &bytes, &id, &prev)) {
            *more |= !replay_log_at_end(rt, log);
        } else if (id < least) {
            least = id;
            next = log;
        }
    }
    return *more ? NULL : next;
}

/* Sends what may be sent in order. True when all was read and sent. */
static bool deliver_merged(struct replay *r)
{
    for (enum replay_log_rank rank = REPLAY_REFILLED; rank < REPLAY_LOGS; rank++) {
        bool more;
        struct replay_log *log;
        while ((log = next_log(r, rank, &more)) != NULL) {
            struct slice bytes;
            uint64_t id, prev;
            piece_first(&log->piece, &bytes, &id, &prev);
            deliver(r, log, bytes);
            piece_drop_first(&log->piece);
        }
        if (more)
            return false;
    }
    return true;
}

static void stream(struct replay *r)
{
    if (deliver_merged(r)) {
        go_live(r);
        return;
    }
    account(r);
    r->writing = outbox_bytes(&r->conn->outbox) > 0;
    if (r->writing)
        wait_until(r, &r->all->writing, r->all->ctx->cfg->replay_stall);
    else
        wait_for_room(r);
}

/* ---- the end of a round ---- */

static enum replay_verdict judge(struct replay *r)
{
    enum replay_verdict worst = REPLAY_GOES_ON;
    for (size_t i = 0; i < r->count; i++) {
        struct replay_target *rt = &r->targets[i];
        enum replay_verdict v = REPLAY_GOES_ON;
        if (rt->asked)
            v = replay_target_judge(rt, is_patient(r, rt->marker.epoch == 0));
        rt->asked = false;
        worst = MAX(worst, v);
    }
    if (worst == REPLAY_GOES_ON)
        r->waiting_ms = 0;
    return worst;
}

/* The hello is said; false when it is not yet, or was in vain. */
static bool measured(struct replay *r)
{
    r->failed = false;
    if (all_counted(r))
        return announce(r);
    if (r->failed && r->pending == 0)
        try_again_later(r);
    return false;
}

static void finish_round(struct replay *r)
{
    if (r->stage == LOOKING) {
        finish_looking(r);
        return;
    }
    if (r->failed) {
        for (size_t i = 0; i < r->count; i++)
            replay_target_undo(&r->targets[i]);
        try_again_later(r);
        return;
    }
    enum replay_verdict v = judge(r);
    account(r);
    if (v == REPLAY_MUST_WAIT)
        try_again_later(r);
    else if (v == REPLAY_STARTS_ANEW)
        wait_for_room(r);
    else if (r->stage == STREAMING || measured(r))
        stream(r);
}

/* ---- what connections call ---- */

static struct replay *replay_new(struct replays *rs, struct conn *c)
{
    size_t count = 0;
    for (const struct member *m = c->members; m != NULL; m = m->next_of_conn)
        count++;
    struct replay *r = xcalloc(1, sizeof(*r) + count * sizeof(r->targets[0]));
    r->all = rs;
    r->conn = c;
    r->count = count;
    list_init(&r->link);
    list_init(&r->calls);
    conn_more(c)->replay = r;
    c->more->behind = true;
    free(c->more->recent); /* what it had by now may come again, and should */
    c->more->recent = NULL;
    gauge_add(&rs->ctx->metrics->replays_open, 1);
    return r;
}

static void on_ready(void *arg, struct conn *c)
{
    struct replays *rs = arg;
    struct replay *r = replay_new(rs, c);
    if (c->more->device != NULL)
        wait_for_room(r);
    else
        measure_from(r, c->more->last_id);
}

static void on_resume(void *arg, struct conn *c, uint64_t position)
{
    if (c->more != NULL && c->more->replay != NULL)
        replay_free(c->more->replay); /* which has FINISHED */
    struct replay *r = replay_new(arg, c);
    r->resumed = true;
    measure_from(r, position);
}

static void on_drained(void *arg, struct conn *c)
{
    struct replay *r = c->more->replay;
    bool awaited = r->writing;
    account(r);
    if (r->stage == FINISHED)
        replay_free(r);
    else if (awaited)
        wait_for_room(r);
}

static void on_left(void *arg, struct conn *c)
{
    replay_free(c->more->replay);
}

struct conn_rescuer replays_rescuer(struct replays *rs)
{
    return (struct conn_rescuer){
        .arg = rs, .on_ready = on_ready, .on_resume = on_resume, .on_drained = on_drained, .on_left = on_left};
}

/* ---- the worker's ---- */

static bool on_turn(struct turn_hook *hook)
{
    struct replays *rs = CONTAINER_OF(hook, struct replays, hook);
    while (!list_empty(&rs->waiting) && has_room(rs))
        start_round(replay_of(rs->waiting.next));
    gauge_set(&rs->ctx->metrics->replay_bytes, (int64_t)rs->used);
    return false;
}

/* Who took all of its replay and only leaves the last of it is like anybody who is live. */
static void end_stalled(struct replay *r)
{
    struct conn *c = r->conn;
    if (r->stage == FINISHED) {
        replay_free(r);
        return;
    }
    outbox_drop_waiting(&c->outbox);
    conn_close(c, CLOSE_SLOW);
}

void replays_tick(struct replays *rs)
{
    uint64_t now = rs->ctx->loop->now_ms;
    LIST_EACH_SAFE (it, &rs->sleeping)
        if (replay_of(it)->due_ms <= now)
            wait_for_room(replay_of(it));
        else
            break;
    LIST_EACH_SAFE (it, &rs->writing)
        if (replay_of(it)->due_ms <= now)
            end_stalled(replay_of(it));
        else
            break;
}

void replays_init(struct replays *rs, struct context *ctx, struct bus *bus, struct cursors *cursors, size_t share)
{
    *rs = (struct replays){.ctx = ctx, .bus = bus, .cursors = cursors, .share = share};
    rs->piece = MIN(PIECE_BYTES, ctx->cfg->outbox_bytes / 2); /* live events find room behind it */
    list_init(&rs->waiting);
    list_init(&rs->sleeping);
    list_init(&rs->writing);
    loop_add_hook(ctx->loop, &rs->hook, on_turn);
}

void replays_release(struct replays *rs)
{
    assert(rs->used == 0 && rs->reading == 0);
    list_remove(&rs->hook.link);
    redis_fn_call_release(&rs->call);
}

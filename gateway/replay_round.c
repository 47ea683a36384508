/* A replay goes in rounds: each reads what its targets' logs want, all at once, and their markers; when the last answer
 * is there it is judged, and delivered. First it is only measured, until the hello can say what follows. */
#include "common/log.h"
#include "gateway/replay_internal.h"

#include <stdlib.h>

#define PIECE_EVENTS   1000
#define COUNT_EVENTS   1000 /* looked at in one call */
#define MARKER_WAIT_MS 5000 /* routers see within a second or two that a marker is missing */

static void finish_round(struct replay *r);

/* ---- calls ---- */

static void complain(const struct replay *r, const struct replay_call *call, const redisReply *reply)
{
    const struct target *t = call->log != NULL ? call->target->member->target : replay_user(r);
    if (redis_fn_result(reply, NULL) == REDIS_FN_MISSING)
        redis_library_ensure(&bus_node_of(r->all->bus, t->bucket)->library);
    else
        log_warn("replay_refused", LOG_SL("target", hub_name(t)), LOG_S("reply", reply->str));
}

static void on_reply(void *arg, const redisReply *reply)
{
    struct replay_call *call = arg;
    struct replay *r = call->r;
    list_remove(&call->of_replay);
    call->all->reading -= call->reads;
    loop_again(call->all->ctx->loop);
    if (r != NULL) {
        if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
            complain(r, call, reply);
        if (reply == NULL || call->take(r, call->target, call->log, reply) != 0)
            r->failed = true;
        if (--r->pending == 0)
            finish_round(r);
    }
    free(call);
}

void replay_call_redis(struct replay *r, struct replay_call what, unsigned bucket, const struct slice *argv,
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
    replay_call_redis(r, (struct replay_call){.target = rt, .log = log, .take = take_read, .reads = true}, t->bucket,
                      call->argv, call->argc);
}

/* Looking at nothing first: often the length of the log says it all. */
static void send_count(struct replay *r, struct replay_target *rt, struct replay_log *log)
{
    struct redis_fn_call *call = &r->all->call;
    const struct target *t = rt->member->target;
    redis_fn_count(call, log->which, t->bucket, hub_name(t), log->count_from, log->which == TARGET_LOG ? rt->floor : 0,
                   log->opened ? COUNT_EVENTS : 0);
    replay_call_redis(r, (struct replay_call){.target = rt, .log = log, .take = take_count}, t->bucket, call->argv,
                      call->argc);
}

void replay_send_marker(struct replay *r, struct replay_target *rt, unsigned bucket)
{
    char name[TARGET_NAME_SIZE];
    struct slice argv[2 + REPLAY_MARKER_FIELDS] = {SLICE("HMGET"), target_marker(bucket, name)};
    memcpy(argv + 2, replay_marker_fields, sizeof(replay_marker_fields));
    replay_call_redis(r, (struct replay_call){.target = rt, .take = take_marker}, bucket, argv, ARRAY_LEN(argv));
}

static void ask_target(struct replay *r, struct replay_target *rt)
{
    rt->asked = !rt->known || rt->waiting || rt->unmarked;
    for (size_t k = 0; k < REPLAY_LOGS && !rt->unmarked; k++) {
        struct replay_log *log = &rt->logs[k];
        replay_log_look(rt, log);
        if (replay_log_wants(rt, log)) {
            rt->asked = true;
            send_read(r, rt, log);
        }
        if (r->stage == REPLAY_MEASURING && log->on && !log->opened && !rt->waiting) {
            rt->asked = true;
            send_count(r, rt, log);
        }
    }
    if (rt->asked)
        replay_send_marker(r, rt, rt->member->target->bucket); /* behind the reads: see replay_log.c */
}

void replay_start_round(struct replay *r)
{
    list_remove(&r->link);
    r->failed = false;
    if (r->stage == REPLAY_LOOKING)
        replay_look_for_cursor(r);
    else
        for (size_t i = 0; i < r->count; i++)
            ask_target(r, &r->targets[i]);
    if (r->pending == 0)
        finish_round(r);
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
    r->stage = REPLAY_STREAMING;
    if (!r->resumed) {
        conn_welcome(c, &v);
    } else {
        struct frame *f = c->dialect->encode_reply(&(struct reply){.kind = REPLY_RESUMED, .recovery = &v});
        if (f != NULL)
            conn_send_missed(c, f);
        frame_unref(f);
    }
    return conn_replay(c) == r;
}

/* ---- the end of a round ---- */

/* For how long from now it has been so, by a clock that starts when it is asked first. */
static uint64_t lasting(const struct replay *r, uint64_t *since_ms)
{
    uint64_t now = r->all->ctx->loop->now_ms;
    if (*since_ms == 0)
        *since_ms = now;
    return now - *since_ms;
}

enum replay_patience replay_patience(struct replay *r, struct replay_target *rt)
{
    uint64_t most = r->all->ctx->cfg->refill_wait;
    if (rt->marker.epoch != 0) {
        rt->missing_ms = 0;
        return lasting(r, &r->waiting_ms) < most ? REPLAY_ALL_WAIT : REPLAY_NONE_WAITS;
    }
    uint64_t ms = lasting(r, &rt->missing_ms);
    if (ms < MIN(most, MARKER_WAIT_MS))
        return REPLAY_ALL_WAIT;
    return ms < most ? REPLAY_IT_WAITS : REPLAY_NONE_WAITS;
}

/* Another loss begins another refill, and patience anew. */
static enum replay_verdict judge_target(struct replay *r, struct replay_target *rt)
{
    uint64_t epoch = rt->epoch;
    enum replay_verdict v = replay_target_judge(rt, replay_patience(r, rt));
    if (rt->epoch != epoch)
        r->waiting_ms = 0;
    return v;
}

static enum replay_verdict judge(struct replay *r)
{
    enum replay_verdict worst = REPLAY_GOES_ON;
    bool waiting = false;
    r->unmarked = false;
    for (size_t i = 0; i < r->count; i++) {
        struct replay_target *rt = &r->targets[i];
        enum replay_verdict v = rt->asked ? judge_target(r, rt) : REPLAY_GOES_ON;
        worst = MAX(worst, v);
        rt->asked = false;
        waiting |= rt->waiting;
        r->unmarked |= rt->unmarked;
    }
    if (!waiting)
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
        replay_try_again_later(r);
    return false;
}

static void finish_round(struct replay *r)
{
    if (r->stage == REPLAY_LOOKING) {
        replay_finish_looking(r);
        return;
    }
    if (r->failed) {
        for (size_t i = 0; i < r->count; i++)
            replay_target_undo(&r->targets[i]);
        replay_try_again_later(r);
        return;
    }
    enum replay_verdict v = judge(r);
    replay_account(r);
    if (v == REPLAY_MUST_WAIT)
        replay_try_again_later(r);
    else if (v == REPLAY_STARTS_ANEW)
        replay_wait_for_room(r);
    else if (r->stage == REPLAY_STREAMING || measured(r))
        replay_stream(r);
}

/* All replays of a worker: who waits for what, and what they hold together. */
#include "gateway/replay_internal.h"

#include <stdlib.h>

#define PIECE_BYTES   65536
#define READS_MAX     16 /* more under way would only lie in buffers */
#define RETRY_MS      250
#define UNMARKED_MS   1000 /* so often routers look too */
#define TARGETS_LEAST 2    /* pieces that a round may read, for the account before they are there */

static struct replay *replay_of(struct list *link)
{
    return CONTAINER_OF(link, struct replay, link);
}

/* ---- the account ---- */

void replay_account(struct replay *r)
{
    size_t held = r->stage >= REPLAY_STREAMING ? outbox_bytes(&r->conn->outbox) : 0;
    for (size_t i = 0; i < r->count; i++)
        for (size_t k = 0; k < REPLAY_LOGS; k++)
            held += r->targets[i].logs[k].piece.bytes.cap;
    r->all->used += held - r->held;
    r->held = held;
}

static bool has_memory(const struct replays *rs)
{
    size_t coming = (rs->reading + TARGETS_LEAST) * rs->piece;
    return rs->used + coming <= rs->share || rs->used + rs->reading == 0;
}

static bool has_room(const struct replays *rs)
{
    return rs->reading < READS_MAX && has_memory(rs);
}

/* ---- lists ---- */

/* While memory is short, nobody waits for it with a piece in his hand: those who do would wait for each other. */
void replay_wait_for_room(struct replay *r)
{
    if (!has_memory(r->all)) {
        for (size_t i = 0; i < r->count; i++)
            replay_target_give_up(&r->targets[i]);
        replay_account(r);
    }
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

void replay_try_again_later(struct replay *r)
{
    struct list *sleeping = r->unmarked ? &r->all->unmarked : &r->all->sleeping;
    wait_until(r, sleeping, r->unmarked ? UNMARKED_MS : RETRY_MS);
}

void replay_await_client(struct replay *r)
{
    r->writing = true;
    wait_until(r, &r->all->writing, r->all->ctx->cfg->replay_stall);
}

/* ---- what connections call ---- */

void replay_free(struct replay *r)
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
    conn_shed_more(r->conn);
    loop_again(rs->ctx->loop);
    free(r);
}

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
        replay_wait_for_room(r);
    else
        replay_measure_from(r, c->more->last_id);
}

static void on_resume(void *arg, struct conn *c, uint64_t position)
{
    if (conn_replay(c) != NULL)
        replay_free(conn_replay(c)); /* which has REPLAY_FINISHED */
    struct replay *r = replay_new(arg, c);
    r->resumed = true;
    replay_measure_from(r, position);
}

static void on_drained(void *arg, struct conn *c)
{
    struct replay *r = c->more->replay;
    bool awaited = r->writing;
    replay_account(r);
    if (r->stage == REPLAY_FINISHED)
        replay_free(r);
    else if (awaited)
        replay_wait_for_room(r);
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
        replay_start_round(replay_of(rs->waiting.next));
    gauge_set(&rs->ctx->metrics->replay_bytes, (int64_t)rs->used);
    return false;
}

/* Who took all of its replay and only leaves the last of it is like anybody who is live. */
static void end_stalled(struct replay *r)
{
    struct conn *c = r->conn;
    if (r->stage == REPLAY_FINISHED) {
        replay_free(r);
        return;
    }
    outbox_drop_waiting(&c->outbox);
    conn_close(c, CLOSE_SLOW);
}

static void wake(struct list *sleeping, uint64_t now)
{
    LIST_EACH_SAFE (it, sleeping)
        if (replay_of(it)->due_ms <= now)
            replay_wait_for_room(replay_of(it));
        else
            break;
}

void replays_tick(struct replays *rs)
{
    uint64_t now = rs->ctx->loop->now_ms;
    wake(&rs->sleeping, now);
    wake(&rs->unmarked, now);
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
    list_init(&rs->unmarked);
    list_init(&rs->writing);
    loop_add_hook(ctx->loop, &rs->hook, on_turn);
}

void replays_release(struct replays *rs)
{
    assert(rs->used == 0 && rs->reading == 0);
    list_remove(&rs->hook.link);
    redis_fn_call_release(&rs->call);
}

/* Sending what was read: merged by id over all targets, and then live. */
#include "common/log.h"
#include "common/traceparent.h"
#include "gateway/replay_internal.h"

/* No more and no less than its channel. What Redis lost may still be on its way back. A position beyond the target's
 * last event is another target's: it proves nothing of what is lost of this one. And what was read ahead of the channel
 * is a repeat for this member alone, should Redis lose it now. */
static bool has_what_its_channel_has(const struct replay_target *rt)
{
    const struct target *t = rt->member->target;
    const struct replay_log *log = &rt->logs[REPLAY_LIVE];
    return !hub_has_lost(t) && log->sure >= log->read && log->read <= t->last_id;
}

static void go_live(struct replay *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct replay_target *rt = &r->targets[i];
        rt->member->from = rt->logs[REPLAY_LIVE].read;
        if (has_what_its_channel_has(rt))
            member_had_all(rt->member);
        else
            member_had(rt->member, &rt->had);
    }
    r->conn->more->behind = false;
    r->stage = REPLAY_FINISHED;
    replay_account(r);
    if (r->held == 0)
        replay_free(r);
    else
        replay_await_client(r);
}

/* Ids of a second log were given when it was refilled: no positions. A client that stops in the midst of it, or before
 * it is known whether there is one, must start it anew. */
static uint64_t position_of_event(struct replay *r, const struct replay_log *log, uint64_t id)
{
    if (log->which == TARGET_LOG && !r->unmarked)
        r->position = MAX(r->position, bus_position(r->all->bus, id));
    return r->position;
}

/* A log that is read a second time, because Redis lost the first one meanwhile, repeats what the client got. */
static bool is_repeat(struct replay_target *rt, const struct envelope *e)
{
    struct coordinate at;
    return envelope_coordinate(e, &at) == 0 && !seen_take(&rt->had, seen_part(at.part), at.offset, at.n);
}

static void deliver(struct replay *r, struct replay_target *rt, const struct replay_log *log, struct slice bytes)
{
    struct conn *c = r->conn;
    struct envelope e;
    const char *why;
    if (envelope_decode(bytes, &e, &why) != 0) {
        log_error("envelope_malformed", LOG_SL("target", hub_name(replay_user(r))), LOG_S("reason", why));
        counter_add(&r->all->ctx->metrics->events_undecodable, 1);
        return;
    }
    uint64_t position = position_of_event(r, log, e.id);
    if (is_repeat(rt, &e))
        return;
    struct frame *f = e.target_count > 1 && conn_repeats(c, &e) ? NULL : c->dialect->encode_event(&e, position);
    if (f == NULL)
        return;
    if (conn_send_missed(c, f)) {
        counter_add(&r->all->ctx->metrics->replayed, 1);
        counter_add(&r->all->ctx->metrics->messages_sent, 1);
        if (e.traceparent.p != NULL)
            log_debug("event_replayed", LOG_SL("trace_id", traceparent_trace_id(e.traceparent)), LOG_SL("key", e.key),
                      LOG_SL("target", hub_name(replay_user(r))));
        conn_sent(c, position);
    }
    frame_unref(f);
}

/* The target whose log has the next event; NULL when none is to be had now. *more: because something must be read
 * first.
 */
static struct replay_target *next_target(struct replay *r, enum replay_log_rank rank, bool *more)
{
    struct replay_target *next = NULL;
    uint64_t least = UINT64_MAX, id, prev;
    struct slice bytes;
    *more = false;
    for (size_t i = 0; i < r->count; i++) {
        struct replay_target *rt = &r->targets[i];
        struct replay_log *log = &rt->logs[rank];
        if (!log->on || rt->unmarked)
            continue;
        if (!piece_first(&log->piece, &bytes, &id, &prev)) {
            *more |= !replay_log_at_end(rt, log);
        } else if (id < least) {
            least = id;
            next = rt;
        }
    }
    return *more ? NULL : next;
}

/* Sends what may be sent in order. True when all was read and sent. */
static bool deliver_merged(struct replay *r)
{
    for (enum replay_log_rank rank = REPLAY_REFILLED; rank < REPLAY_LOGS; rank++) {
        bool more;
        struct replay_target *rt;
        while ((rt = next_target(r, rank, &more)) != NULL) {
            struct replay_log *log = &rt->logs[rank];
            struct slice bytes;
            uint64_t id, prev;
            piece_first(&log->piece, &bytes, &id, &prev);
            deliver(r, rt, log, bytes);
            piece_drop_first(&log->piece);
        }
        if (more)
            return false;
    }
    return true;
}

void replay_stream(struct replay *r)
{
    bool all = deliver_merged(r);
    if (all && !r->unmarked) {
        go_live(r);
        return;
    }
    replay_account(r);
    if (outbox_bytes(&r->conn->outbox) > 0)
        replay_await_client(r);
    else if (all)
        replay_try_again_later(r);
    else
        replay_wait_for_room(r);
}

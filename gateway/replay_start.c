/* Where a client stood: by its own word, or by its device's cursor. */
#include "common/clock.h"
#include "common/event_id.h"
#include "gateway/replay_internal.h"

/* A position beyond our clock by more than this was never given by Redis. */
#define CLOCKS_APART_MS 60000

static uint64_t end_of_all(const struct replay *r)
{
    uint64_t end = bus_safe(r->all->bus);
    if (end > EVENT_ID_MAX) /* there is no node */
        end = 0;
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

/* A position passes over what a link lost unseen, for as long as nothing betrays it: hence what came shortly before it
 * is sent again, if so configured. */
static uint64_t read_from(const struct replay *r, uint64_t position)
{
    uint64_t overlap = r->all->ctx->cfg->resume_overlap * 1000;
    return position > overlap ? position - overlap : 0;
}

/* latest: not even what its targets heard by now, which the safe id may not have reached yet. */
static void measure_from(struct replay *r, uint64_t position, bool latest)
{
    struct device *d = r->conn->more->device;
    uint64_t from = credible(r, position);
    size_t i = 0;
    r->incomplete |= from != position;
    r->start = r->position = from;
    r->stage = REPLAY_MEASURING;
    for (struct member *m = r->conn->members; m != NULL; m = m->next_of_conn, i++)
        replay_target_init(&r->targets[i], m, latest ? MAX(from, m->target->last_id) : read_from(r, from),
                           floor_of(r, m->target));
    if (d != NULL && !r->resumed)
        device_start(d, hub_name(replay_user(r)), from, r->acks);
    replay_wait_for_room(r);
}

void replay_measure_from(struct replay *r, uint64_t position)
{
    measure_from(r, position, false);
}

/* ---- a device's cursor ---- */

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

void replay_look_for_cursor(struct replay *r)
{
    char name[TARGET_NAME_SIZE];
    struct target *t = replay_user(r);
    struct slice argv[] = {SLICE("HGET"), target_name(TARGET_CURSORS, t->bucket, hub_name(t), name),
                           device_id(r->conn->more->device)};
    r->known = r->acks = false;
    replay_call_redis(r, (struct replay_call){.take = take_cursor}, t->bucket, argv, ARRAY_LEN(argv));
    replay_send_marker(r, &r->targets[0], t->bucket);
}

/* A device never seen starts at the end, unless its cursor may have been lost with the bucket; what it is behind by
 * then must outlive this gateway, so its cursor is written before anything is said. */
static void start_unknown(struct replay *r)
{
    const struct replay_marker *m = &r->targets[0].marker;
    bool lost = m->epoch == 0 || m->since > floor_of(r, replay_user(r));
    r->incomplete = lost;
    measure_from(r, lost ? 0 : end_of_all(r), !lost);
    cursors_flush(r->all->cursors);
}

void replay_finish_looking(struct replay *r)
{
    const struct conn_more *more = r->conn->more;
    uint64_t missing_ms = r->targets[0].missing_ms;
    bool matters = !r->known && !more->resumes;
    if (r->failed ||
        (matters && r->targets[0].marker.epoch == 0 && replay_patience(r, &r->targets[0]) == REPLAY_ALL_WAIT))
        replay_try_again_later(r);
    else if (more->resumes)
        replay_measure_from(r, more->last_id);
    else if (r->known)
        replay_measure_from(r, r->start);
    else
        start_unknown(r);
    if (r->stage == REPLAY_MEASURING)
        r->targets[0].missing_ms = missing_ms;
}

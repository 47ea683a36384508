/* Why the marker is read behind the log, and each time: if its epoch is the same before and after, nothing was lost in
 * between, and the end of the log is the end of what there is. */
#include "gateway/replay_log.h"
#include "common/event_id.h"

#include <string.h>

const struct slice replay_marker_fields[REPLAY_MARKER_FIELDS] = {
    {"epoch", 5}, {"since", 5}, {"from", 4}, {REDIS_FN_REFILLING, sizeof(REDIS_FN_REFILLING) - 1}};

/* ---- markers ---- */

static struct slice text_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? slice_make(reply->str, reply->len) : slice_make(NULL, 0);
}

int replay_marker_parse(const redisReply *reply, struct replay_marker *out)
{
    uint64_t refilling;
    *out = (struct replay_marker){0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != REPLAY_MARKER_FIELDS)
        return -1;
    if (reply->element[0]->type == REDIS_REPLY_NIL)
        return 0;
    if (slice_to_u64(text_of(reply->element[0]), &out->epoch) != 0 ||
        event_id_parse(text_of(reply->element[1]), &out->since) != 0)
        return -1;
    if (slice_to_u64(text_of(reply->element[2]), &out->from_ms) != 0)
        out->from_ms = 0;
    out->refilling = slice_to_u64(text_of(reply->element[3]), &refilling) == 0 && refilling > 0;
    return 0;
}

/* ---- logs ---- */

static void start_log(struct replay_log *log, uint64_t from)
{
    piece_release(&log->piece);
    *log = (struct replay_log){.which = log->which, .on = true, .read = from, .sure = from, .count_from = from};
}

void replay_target_init(struct replay_target *rt, struct member *m, uint64_t start, uint64_t floor)
{
    *rt = (struct replay_target){.member = m, .start = start, .floor = floor};
    rt->logs[REPLAY_REFILLED].which = TARGET_REFILLED;
    rt->logs[REPLAY_LIVE].which = TARGET_LOG;
    start_log(&rt->logs[REPLAY_LIVE], MAX(start, floor));
}

void replay_target_release(struct replay_target *rt)
{
    for (size_t i = 0; i < REPLAY_LOGS; i++)
        piece_release(&rt->logs[i].piece);
    seen_release(&rt->had);
}

bool replay_log_at_end(const struct replay_target *rt, const struct replay_log *log)
{
    return log->which == TARGET_LOG ? log->read >= rt->member->target->last_id : log->ended;
}

bool replay_log_wants(const struct replay_target *rt, const struct replay_log *log)
{
    return log->on && !(log->which == TARGET_REFILLED && rt->waiting) && piece_is_empty(&log->piece) &&
           !replay_log_at_end(rt, log);
}

void replay_log_look(const struct replay_target *rt, struct replay_log *log)
{
    log->head = rt->member->target->last_id;
    log->asked = false;
}

void replay_log_ask(struct replay_log *log)
{
    log->asked = true;
    log->had_first = log->has_first;
    log->before = log->read;
    log->sure_before = log->sure;
}

static void note_first(struct replay_log *log)
{
    struct slice envelope;
    uint64_t id;
    if (!log->has_first)
        log->has_first = piece_first(&log->piece, &envelope, &id, &log->first_prev);
}

/* A log that goes on behind the head without it has lost its tail, which routers append again. */
static void note_sure(struct replay_log *log)
{
    if (log->piece.last_id <= log->head || log->sure >= log->head)
        log->sure = log->piece.last_id;
}

/* What is no envelope, or not above the one before, is none of ours and passed over. An event at or below the head
 * stands in the log, or never will: at the end all up to there was read. */
int replay_log_take(struct replay_log *log, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || reply->element[0]->type != REDIS_REPLY_INTEGER)
        return -1;
    for (size_t i = 1; i < reply->elements; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING)
            return -1;
        if (piece_add(&log->piece, text_of(reply->element[i])) == 0)
            note_sure(log);
    }
    note_first(log);
    log->read = MAX(log->read, log->piece.last_id);
    log->ended = reply->element[0]->integer != 0 || log->read == log->before; /* it would only come again */
    if (log->ended && log->which == TARGET_LOG)
        log->read = MAX(log->read, log->head);
    return 0;
}

int replay_log_take_count(struct replay_log *log, const redisReply *reply)
{
    struct redis_fn_count counted;
    if (redis_fn_count_parse(reply, &counted) != 0)
        return -1;
    if (!log->opened)
        log->oldest = counted.oldest;
    log->opened = true;
    log->count += counted.count;
    log->count_from = counted.next;
    log->counted = counted.next == 0;
    return 0;
}

void replay_target_undo(struct replay_target *rt)
{
    for (size_t i = 0; i < REPLAY_LOGS; i++) {
        struct replay_log *log = &rt->logs[i];
        if (!log->asked)
            continue;
        piece_release(&log->piece);
        log->read = log->before;
        log->sure = log->sure_before;
        log->has_first = log->had_first;
        log->asked = log->ended = false;
    }
}

void replay_target_give_up(struct replay_target *rt)
{
    for (size_t i = 0; i < REPLAY_LOGS; i++) {
        struct replay_log *log = &rt->logs[i];
        struct slice envelope;
        uint64_t id, prev;
        if (!piece_first(&log->piece, &envelope, &id, &prev))
            continue;
        piece_release(&log->piece);
        log->read = id - 1;
        log->sure = MIN(log->sure, log->read);
        log->ended = false;
    }
}

/* ---- verdicts ---- */

/* What it got already of logs that were whole comes in the same order again, and is left out. */
static void read_all(struct replay_target *rt)
{
    if (rt->lost && !rt->refilled)
        seen_release(&rt->had);
    rt->lost = rt->waiting = true;
    start_log(&rt->logs[REPLAY_REFILLED], 0);
    start_log(&rt->logs[REPLAY_LIVE], rt->floor);
}

static bool is_news(const struct replay_target *rt, const struct replay_marker *m)
{
    return rt->known ? m->epoch != rt->epoch : m->since != 0 && rt->start < m->since;
}

static enum replay_verdict judge_refill(struct replay_target *rt, const struct replay_marker *m, bool patient)
{
    if (!rt->waiting)
        return REPLAY_GOES_ON;
    if (m->refilling && patient)
        return REPLAY_MUST_WAIT;
    rt->waiting = false;
    rt->refilled = m->epoch != 0 && !m->refilling;
    rt->incomplete |= m->from_ms * 1000 > rt->start;
    return REPLAY_STARTS_ANEW;
}

/* Nothing is delivered that was read without a marker: what of it comes first is known when the marker is there. */
static enum replay_verdict judge_missing(struct replay_target *rt, enum replay_patience patience)
{
    replay_target_undo(rt);
    rt->unmarked = patience == REPLAY_IT_WAITS;
    rt->incomplete |= rt->unmarked;
    return rt->unmarked ? REPLAY_GOES_ON : REPLAY_MUST_WAIT;
}

enum replay_verdict replay_target_judge(struct replay_target *rt, enum replay_patience patience)
{
    const struct replay_marker *m = &rt->marker;
    bool given_up = rt->known && rt->epoch == 0;
    if (m->epoch == 0 && !given_up && patience != REPLAY_NONE_WAITS)
        return judge_missing(rt, patience);
    rt->unmarked = false;
    rt->incomplete |= m->epoch == 0 || (m->since != 0 && rt->start < m->since && m->since <= rt->floor);
    bool news = is_news(rt, m);
    rt->known = true;
    rt->epoch = m->epoch;
    if (news)
        read_all(rt);
    return judge_refill(rt, m, patience != REPLAY_NONE_WAITS);
}

/* Of a bucket that was lost, both logs are new: the first event of each has none before it, unless it was trimmed. */
bool replay_target_is_complete(const struct replay_target *rt)
{
    const struct replay_log *refilled = &rt->logs[REPLAY_REFILLED], *live = &rt->logs[REPLAY_LIVE];
    if (rt->incomplete)
        return false;
    if (rt->lost)
        return rt->refilled && refilled->first_prev == 0 && live->first_prev == 0;
    return live->has_first ? live->first_prev <= rt->start : live->head <= rt->start;
}

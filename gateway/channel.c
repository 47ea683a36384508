/* Live targets take events as they come. All others find them in their logs: what arrives for them is only noted, so
 * that they know how far to read. */
#include "gateway/channel.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/redis_reply.h"
#include "gateway/conn.h"

#include <stdlib.h>

#define SUSPECT_MS 1000 /* an event that its log shows has so long to arrive */

static struct channels *of_fill(struct fill *f)
{
    return f->owner;
}

/* ---- what is owed ---- */

static void hold(struct channels *ch, struct target *t)
{
    if (!t->held)
        position_hold(&ch->position);
    t->held = true;
}

static void let_go(struct channels *ch, struct target *t)
{
    if (t->held)
        position_let_go(&ch->position);
    t->held = false;
}

static void go_live(struct channels *ch, struct target *t)
{
    t->state = TARGET_LIVE;
    if (t->member_count > 0)
        list_remove(&t->queued); /* else it lingers */
    let_go(ch, t);
    conn_ready_all(t);
}

static void start_filling(struct channels *ch, struct target *t)
{
    t->state = TARGET_FILLING;
    hold(ch, t);
    fill_start(&ch->fill, t);
}

static void found_gap(struct channels *ch, struct target *t, size_t how)
{
    counter_add(&ch->ctx->metrics->gaps[how], 1);
    start_filling(ch, t);
}

/* What lies between is kept nowhere: the members are told, and it goes on behind. */
static void pass_over(struct channels *ch, struct target *t, uint64_t to)
{
    const struct reply gap = {.kind = REPLY_GAP, .gap_from = t->last_id, .gap_to = to};
    counter_add(&ch->ctx->metrics->gaps_lost, 1);
    log_warn("gap_beyond_retention", LOG_SL("target", hub_name(t)), LOG_I("from", t->last_id), LOG_I("to", to));
    fanout_tell(ch->fanout, t, &gap, to);
}

/* ---- reading a target's meta ---- */

struct meta_read {
    struct channels *channels;
    unsigned era;
    size_t name_n;
    char name[]; /* not a pointer: the target may be let go meanwhile */
};

static void learn(struct target *t, struct slice meta)
{
    struct redis_fn_meta m;
    struct coordinate seen;
    if (redis_fn_meta_parse(meta, &m) != 0) {
        log_error("meta_malformed", LOG_SL("target", hub_name(t)));
        return;
    }
    t->last_id = MAX(t->last_id, m.id);
    /* the newest comes first, and the hub keeps the last that it was told */
    for (int n = 0; n < SEEN_MAX && redis_fn_meta_next(&m, &seen) == 1; n++) {
        hub_saw(t, seen.part, seen.offset, seen.n);
        hub_came_again(t, seen.part, seen.offset, seen.n);
    }
}

static void refuse_read(struct channels *ch, struct slice error)
{
    if (redis_is_passing(error))
        ch->on_passing(ch, error);
    else
        redis_link_drop(&ch->commands->link, "a meta or a log could not be read");
}

static void on_meta(void *arg, const redisReply *reply)
{
    struct meta_read *read = arg;
    struct channels *ch = read->channels;
    struct target *t = hub_find(ch->hub, slice_make(read->name, read->name_n));
    bool wanted = reply != NULL && t != NULL && t->state == TARGET_SUBSCRIBED && read->era == ch->era;
    free(read);
    if (!wanted)
        return; /* a link broke: all is read anew when it is back */
    if (reply->type == REDIS_REPLY_ERROR)
        log_warn("meta_refused", LOG_SL("target", hub_name(t)), LOG_S("reply", reply->str));
    /* another kind of key under that name is this target's trouble; anything else is the server's */
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", strlen("WRONGTYPE")) != 0) {
        refuse_read(ch, slice_of(reply->str));
        return;
    }
    if (reply->type == REDIS_REPLY_STRING)
        learn(t, slice_make(reply->str, reply->len));
    go_live(ch, t);
}

static void read_meta(struct channels *ch, struct target *t)
{
    char name[TARGET_NAME_SIZE];
    struct meta_read *read = xmalloc(sizeof(*read) + t->name_n);
    *read = (struct meta_read){.channels = ch, .era = ch->era, .name_n = t->name_n};
    memcpy(read->name, t->name, t->name_n);
    struct slice argv[] = {SLICE("GET"), target_name(TARGET_META, t->bucket, hub_name(t), name)};
    census_ask(ch->census, t); /* answered first: known when the target goes live */
    if (redis_commands_send(ch->commands, argv, 2, on_meta, read) != 0)
        free(read);
}

/* ---- the way to live ---- */

void channel_on_subscribed(struct channels *ch, struct target *t)
{
    t->state = t->held ? TARGET_DOUBTED : TARGET_SUBSCRIBED;
    channel_ask_again(ch, t);
}

void channel_ask_again(struct channels *ch, struct target *t)
{
    if (t->state == TARGET_SUBSCRIBED)
        read_meta(ch, t);
    else if (t->state == TARGET_DOUBTED && t->member_count > 0)
        heads_ask(&ch->heads, t);
    else if (t->state == TARGET_FILLING && t->member_count > 0)
        fill_start(&ch->fill, t);
}

void channels_go_on(struct channels *ch)
{
    fill_go_on(&ch->fill);
}

/* What was missed before somebody came is nothing to him. */
void channel_entered(struct channels *ch, struct target *t)
{
    if (t->state != TARGET_DOUBTED && t->state != TARGET_FILLING)
        return;
    t->state = TARGET_SUBSCRIBED;
    read_meta(ch, t);
}

void channel_left(struct channels *ch, struct target *t)
{
    let_go(ch, t);
}

void channel_lost(struct channels *ch, struct target *t)
{
    if (t->state == TARGET_LIVE && t->member_count > 0)
        hold(ch, t);
    t->upto = 0;
}

void channel_moved(struct channels *from, struct channels *to, struct target *t)
{
    bool owed = t->held || (t->state == TARGET_LIVE && t->member_count > 0);
    let_go(from, t);
    if (owed)
        hold(to, t);
}

void channels_reset(struct channels *ch)
{
    ch->era++;
    fill_reset(&ch->fill);
    heads_reset(&ch->heads);
}

/* ---- comparing heads ---- */

static void suspect(struct channels *ch, struct target *t, uint64_t head)
{
    if (!list_empty(&t->queued))
        return; /* already */
    t->upto = head;
    t->due_ms = ch->ctx->loop->now_ms + SUSPECT_MS;
    list_push_back(&ch->suspects, &t->queued);
    if (!timer_is_armed(&ch->suspects_timer))
        timer_start(ch->ctx->loop, &ch->suspects_timer, SUSPECT_MS);
}

static void on_suspects(struct timer *timer)
{
    struct channels *ch = CONTAINER_OF(timer, struct channels, suspects_timer);
    uint64_t now = ch->ctx->loop->now_ms;
    while (!list_empty(&ch->suspects)) {
        struct target *t = CONTAINER_OF(ch->suspects.next, struct target, queued);
        if (t->due_ms > now) {
            timer_start(ch->ctx->loop, timer, t->due_ms - now);
            return;
        }
        list_remove(&t->queued);
        if (t->last_id < t->upto)
            found_gap(ch, t, GAP_SWEEP);
    }
}

/* Unknown: the log itself is read then. A head below last_id is of a node that lost something: nothing to fill. */
static void on_head(struct heads *h, struct target *t, const uint64_t *id)
{
    struct channels *ch = h->owner;
    if (t->member_count == 0)
        return; /* who comes next begins anew */
    if (t->state == TARGET_LIVE && id != NULL && *id > t->last_id)
        suspect(ch, t, *id);
    if (t->state != TARGET_DOUBTED)
        return;
    if (id == NULL)
        start_filling(ch, t);
    else if (MAX(*id, t->upto) > t->last_id)
        found_gap(ch, t, GAP_RECONNECT);
    else
        go_live(ch, t);
}

void channels_sweep(struct channels *ch, unsigned bucket)
{
    heads_sweep(&ch->heads, bucket);
}

/* ---- events ---- */

/* False: undecodable. Its ids count all the same, if they can be read: else it would be missed for ever. */
static bool decode(struct channels *ch, struct target *t, struct slice bytes, struct envelope *e)
{
    const char *why;
    e->id = e->prev = 0;
    if (envelope_decode(bytes, e, &why) == 0)
        return true;
    log_error("envelope_malformed", LOG_SL("target", hub_name(t)), LOG_S("reason", why));
    counter_add(&ch->ctx->metrics->events_undecodable, 1);
    return false;
}

static void deliver(struct channels *ch, struct target *t, const struct envelope *e, bool known)
{
    if (!known)
        fanout_deliver(ch->fanout, t, e, position_of(ch->positions, e->id));
    else if (hub_has_lost(t))
        fanout_deliver_again(ch->fanout, t, e, position_of(ch->positions, e->id));
}

/* Delivers an event that has an id, unless it is a repeat: by its id, or by where in Kafka it comes from. What Redis
 * lost and routers append again is a repeat, but not to members that came in between. */
static bool take(struct channels *ch, struct target *t, const struct envelope *e)
{
    struct coordinate at;
    bool is_new = e->id > t->last_id;
    if (is_new && e->prev < t->last_id)
        hub_lost(t, e->id);
    bool placed = envelope_coordinate(e, &at) == 0;
    bool known = placed && !hub_saw(t, at.part, at.offset, at.n);
    t->last_id = MAX(t->last_id, e->id);
    if (is_new)
        deliver(ch, t, e, known);
    if (is_new && placed)
        hub_came_again(t, at.part, at.offset, at.n);
    hub_lost_long_ago(t, e->id);
    counter_add(&ch->ctx->metrics->repeats, !is_new || known);
    return is_new && !known;
}

static bool is_gap(const struct target *t, const struct envelope *e)
{
    return t->state == TARGET_LIVE && t->member_count > 0 && e->id > t->last_id && e->prev != t->last_id &&
           !FAULT(drop_on_gap);
}

void channel_on_message(struct channels *ch, struct target *t, struct slice bytes)
{
    struct envelope e;
    if (!decode(ch, t, bytes, &e))
        return;
    counter_add(&ch->ctx->metrics->events, 1);
    if (e.id == 0) {
        fanout_deliver(ch->fanout, t, &e, 0);
        return;
    }
    bool gap = is_gap(t, &e);
    if (gap || t->held)
        t->upto = MAX(t->upto, e.id);
    if (gap)
        found_gap(ch, t, GAP_EVENT); /* holds the safe id back, so before it rises */
    position_heard(&ch->position, e.id);
    if (!t->held)
        take(ch, t, &e);
}

static void on_log_event(struct fill *f, struct target *t, struct slice bytes)
{
    struct channels *ch = of_fill(f);
    struct envelope e;
    bool whole = decode(ch, t, bytes, &e);
    if (e.prev > t->last_id)
        pass_over(ch, t, e.id);
    if (!whole)
        t->last_id = MAX(t->last_id, e.id);
    else if (take(ch, t, &e))
        counter_add(&ch->ctx->metrics->repaired, 1);
}

/* The end is the end if nothing came meanwhile that lies behind it. What had come before the read, and was not in the
 * log, Redis has lost: routers append it again, above that id, and it is new then. */
static bool on_log_chunk(struct fill *f, struct target *t, bool ended, uint64_t upto)
{
    struct channels *ch = of_fill(f);
    if (!ended)
        return true;
    if (upto > t->last_id) {
        log_warn("log_lost_its_end", LOG_SL("target", hub_name(t)), LOG_I("from", t->last_id), LOG_I("to", upto));
        t->last_id = upto;
    }
    if (t->upto > t->last_id)
        return true;
    go_live(ch, t);
    return false;
}

/* There is no log to read, and may never be one. */
static void on_log_unreadable(struct fill *f, struct target *t, uint64_t upto)
{
    struct channels *ch = of_fill(f);
    if (upto > t->last_id) {
        pass_over(ch, t, upto);
        t->last_id = upto;
    }
    go_live(ch, t);
}

static void on_log_refused(struct fill *f, struct slice error)
{
    refuse_read(of_fill(f), error);
}

static const struct fill_ops fill_ops = {.on_event = on_log_event,
                                         .on_chunk = on_log_chunk,
                                         .on_unreadable = on_log_unreadable,
                                         .on_refused = on_log_refused};

void channels_init(struct channels *ch, struct context *ctx, struct hub *hub, struct fanout *fanout,
                   struct census *census, struct redis_commands *commands, struct redis_library *library,
                   struct positions *positions)
{
    *ch = (struct channels){
        .ctx = ctx, .hub = hub, .fanout = fanout, .census = census, .commands = commands, .positions = positions};
    position_add(positions, &ch->position);
    list_init(&ch->suspects);
    timer_init(&ch->suspects_timer, on_suspects);
    fill_init(&ch->fill, ctx, hub, commands, library, &fill_ops, ch);
    heads_init(&ch->heads, ctx, hub, commands, library, on_head, ch);
}

void channels_release(struct channels *ch)
{
    timer_stop(&ch->suspects_timer);
    fill_release(&ch->fill);
    heads_release(&ch->heads);
    position_remove(&ch->position);
}

/* Reading a target's meta when its channel is confirmed; and passing what arrives to the hub, without what was seen
 * before. */
#include "gateway/channel.h"
#include "common/log.h"
#include "common/redis_fn.h"
#include "common/target.h"
#include "gateway/conn.h"

#include <stdlib.h>

void channels_init(struct channels *ch, struct context *ctx, struct hub *hub, struct fanout *fanout,
                   struct census *census, struct redis_commands *commands, struct positions *positions)
{
    *ch = (struct channels){
        .ctx = ctx, .hub = hub, .fanout = fanout, .census = census, .commands = commands, .positions = positions};
    position_add(positions, &ch->position);
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

void channel_lost(struct channels *ch, struct target *t)
{
    if (t->state == TARGET_LIVE && t->member_count > 0)
        hold(ch, t);
}

void channel_moved(struct channels *from, struct channels *to, struct target *t)
{
    bool owed = t->held || (t->state == TARGET_LIVE && t->member_count > 0);
    let_go(from, t);
    if (owed)
        hold(to, t);
}

void channel_left(struct channels *ch, struct target *t)
{
    let_go(ch, t);
}

/* ---- reading a target's meta ---- */

struct meta_read {
    struct channels *channels;
    size_t name_n;
    char name[]; /* not a pointer: the target may be let go meanwhile */
};

static void go_live(struct channels *ch, struct target *t)
{
    t->state = TARGET_LIVE;
    let_go(ch, t);
    conn_ready_all(t);
}

static void learn(struct channels *ch, struct target *t, struct slice meta)
{
    struct redis_fn_meta m;
    struct coordinate seen;
    if (redis_fn_meta_parse(meta, &m) != 0) {
        log_error("meta_malformed", LOG_SL("target", hub_name(t)));
        return;
    }
    if (t->last_id != 0 && m.id > t->last_id)
        counter_add(&ch->ctx->metrics->gaps, 1);
    t->last_id = MAX(t->last_id, m.id);
    /* the newest comes first, and the hub keeps the last that it was told */
    for (int n = 0; n < SEEN_MAX && redis_fn_meta_next(&m, &seen) == 1; n++)
        hub_saw(t, seen.part, seen.offset, seen.n);
}

static void on_meta(void *arg, const redisReply *reply)
{
    struct meta_read *read = arg;
    struct channels *ch = read->channels;
    struct target *t = hub_find(ch->hub, slice_make(read->name, read->name_n));
    free(read);
    if (reply == NULL || t == NULL || t->state != TARGET_SUBSCRIBED)
        return; /* the link broke: all is read anew when it is back */
    if (reply->type == REDIS_REPLY_ERROR)
        log_error("meta_refused", LOG_SL("target", hub_name(t)), LOG_S("reply", reply->str));
    /* another kind of key under that name is this target's trouble; anything else is the server's */
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", strlen("WRONGTYPE")) != 0) {
        redis_link_drop(&ch->commands->link, "a meta could not be read");
        return;
    }
    if (reply->type == REDIS_REPLY_STRING)
        learn(ch, t, slice_make(reply->str, reply->len));
    go_live(ch, t);
}

static void read_meta(struct channels *ch, struct target *t)
{
    char name[TARGET_NAME_SIZE];
    struct meta_read *read = xmalloc(sizeof(*read) + t->name_n);
    read->channels = ch;
    read->name_n = t->name_n;
    memcpy(read->name, t->name, t->name_n);
    struct slice argv[] = {SLICE("GET"), target_name(TARGET_META, t->bucket, hub_name(t), name)};
    census_ask(ch->census, t); /* answered first: known when the target goes live */
    if (redis_commands_send(ch->commands, argv, 2, on_meta, read) != 0)
        free(read);
}

void channel_on_subscribed(struct channels *ch, struct target *t)
{
    t->state = TARGET_SUBSCRIBED;
    read_meta(ch, t);
}

void channel_ask_again(struct channels *ch, struct target *t)
{
    if (t->state == TARGET_SUBSCRIBED)
        read_meta(ch, t);
}

/* ---- what arrives ---- */

void channel_on_message(struct channels *ch, struct target *t, struct slice bytes)
{
    struct gateway_metrics *metrics = ch->ctx->metrics;
    struct envelope e;
    const char *why;
    if (envelope_decode(bytes, &e, &why) != 0) {
        log_error("envelope_malformed", LOG_SL("target", hub_name(t)), LOG_S("reason", why));
        counter_add(&metrics->events_undecodable, 1);
        return;
    }
    counter_add(&metrics->events, 1);
    if (e.id != 0) {
        struct coordinate at;
        bool repeat = e.id <= t->last_id;
        if (envelope_coordinate(&e, &at) == 0 && !hub_saw(t, at.part, at.offset, at.n))
            repeat = true;
        if (t->state == TARGET_LIVE && e.id > t->last_id && e.prev != t->last_id)
            counter_add(&metrics->gaps, 1);
        t->last_id = MAX(t->last_id, e.id);
        position_heard(&ch->position, e.id);
        if (repeat) {
            counter_add(&metrics->repeats, 1);
            return;
        }
    }
    fanout_deliver(ch->fanout, t, &e, position_of(ch->positions, e.id));
}

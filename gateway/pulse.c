/* A look at the key each second once beats are late. A value that it was given while the link was up, and that was not
 * heard a second later, is the proof; but a link that still brings old events is late, not deaf. */
#include "gateway/pulse.h"
#include "common/event_id.h"
#include "common/log.h"

#include <stdlib.h>

#define LOOK_MS      1000
#define LOOKS_BEFORE 2 /* that it takes to know, when BEAT_TIMEOUT is over, what to think of it */

struct look {
    struct pulse *pulse;
    unsigned era;
};

static uint64_t quiet_ms(const struct pulse *p)
{
    return p->ctx->loop->now_ms - p->beat_ms;
}

static void set_silent(struct pulse *p, bool silent)
{
    if (silent && !p->silent)
        log_warn("routers_silent", LOG_S("address", p->commands->link.label));
    if (!silent && p->silent)
        log_info("routers_heard", LOG_S("address", p->commands->link.label));
    p->silent = silent;
}

static void go_deaf(struct pulse *p)
{
    p->deaf = true;
    set_silent(p, false);
    counter_add(&p->ctx->metrics->deaf, 1);
    log_error("redis_deaf", LOG_S("address", p->commands->link.label), LOG_I("quiet_ms", quiet_ms(p)));
    p->ops->on_deaf(p);
}

/* What the key held when the link came up says nothing: it may be old. */
static void judge(struct pulse *p, uint64_t key)
{
    bool late = p->position->heard != p->heard; /* it brings something, if not what is new */
    bool unheard = p->risen > p->position->heard;
    bool stands = key == p->looked || key <= p->position->heard;
    if (!unheard)
        p->risen = stands || p->looked == 0 ? 0 : key;
    p->looked = key;
    p->heard = p->position->heard;
    if (quiet_ms(p) < p->ctx->cfg->beat_timeout)
        return;
    if (unheard && !late) {
        go_deaf(p);
    } else if (stands && !unheard) {
        p->deaf = false;
        set_silent(p, true);
        p->ops->on_doubt(p);
    }
}

static void on_look(void *arg, const redisReply *reply)
{
    struct look *look = arg;
    struct pulse *p = look->pulse;
    uint64_t key = 0;
    bool wanted = reply != NULL && p->up && look->era == p->era;
    free(look);
    if (!wanted)
        return;
    if (reply->type == REDIS_REPLY_NIL || slice_to_u64(slice_make(reply->str, reply->len), &key) == 0)
        judge(p, key);
    else if (quiet_ms(p) >= p->ctx->cfg->beat_timeout)
        p->ops->on_doubt(p); /* an isolated master refuses reads, too */
}

static void take_look(struct pulse *p)
{
    const struct slice argv[] = {SLICE("GET"), pulse_channel(p)};
    struct look *look = xmalloc(sizeof(*look));
    *look = (struct look){.pulse = p, .era = p->era};
    if (redis_commands_send(p->commands, argv, ARRAY_LEN(argv), on_look, look) != 0)
        free(look);
}

static void on_timer(struct timer *timer)
{
    struct pulse *p = CONTAINER_OF(timer, struct pulse, timer);
    timer_start(p->ctx->loop, timer, LOOK_MS);
    if (quiet_ms(p) + LOOKS_BEFORE * LOOK_MS >= p->ctx->cfg->beat_timeout)
        take_look(p);
}

void pulse_init(struct pulse *p, struct context *ctx, struct redis_commands *commands, struct node_position *position,
                const struct pulse_ops *ops, void *owner)
{
    *p = (struct pulse){
        .ctx = ctx, .commands = commands, .position = position, .ops = ops, .owner = owner, .bucket = TARGET_BUCKETS};
    timer_init(&p->timer, on_timer);
}

static void begin(struct pulse *p)
{
    p->era++;
    p->beat_ms = p->ctx->loop->now_ms;
    p->looked = p->risen = 0;
    if (p->up && p->bucket < TARGET_BUCKETS)
        timer_start(p->ctx->loop, &p->timer, LOOK_MS);
    else
        timer_stop(&p->timer);
}

bool pulse_move(struct pulse *p, unsigned bucket)
{
    if (bucket == p->bucket)
        return false;
    p->bucket = bucket;
    p->name_n = bucket < TARGET_BUCKETS ? target_beat(bucket, p->name).n : 0;
    p->deaf = p->silent = false;
    begin(p);
    return bucket < TARGET_BUCKETS;
}

void pulse_release(struct pulse *p)
{
    timer_stop(&p->timer);
}

void pulse_on_up(struct pulse *p)
{
    p->up = true;
    begin(p);
}

void pulse_on_down(struct pulse *p)
{
    p->up = false;
    begin(p);
}

void pulse_on_beat(struct pulse *p, struct slice text)
{
    uint64_t id;
    if (event_id_parse(text, &id) != 0)
        return;
    position_heard(p->position, id);
    if (p->deaf)
        log_info("redis_hears_again", LOG_S("address", p->commands->link.label));
    p->deaf = false;
    set_silent(p, false);
    p->beat_ms = p->ctx->loop->now_ms;
    p->looked = id;
    p->risen = 0;
}

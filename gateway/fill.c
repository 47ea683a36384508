/* A queue of targets and a few reads under way. A target whose members leave much unread waits a little, but not for
 * long: a slow reader must not hold up the others of its channel, and goes by the common rule. */
#include "gateway/fill.h"
#include "common/log.h"
#include "gateway/conn.h"

#include <stdlib.h>

#define READS_MAX     16
#define CHUNK_EVENTS  256
#define CHUNK_BYTES   (256u << 10)
#define SLOW_LOOK_MS  20
#define SLOW_DELAY_MS 2000

/* One read; by name, because the target may be let go meanwhile. */
struct fill_read {
    struct fill *fill;
    unsigned era;
    uint64_t upto;
    size_t name_n;
    char name[];
};

static void on_reply(void *arg, const redisReply *reply);

static void enqueue(struct fill *f, struct target *t)
{
    list_remove(&t->queued);
    list_push_back(&f->queue, &t->queued);
}

static void ask(struct fill *f, struct target *t)
{
    struct fill_read *read = xmalloc(sizeof(*read) + t->name_n);
    *read = (struct fill_read){.fill = f, .era = f->era, .upto = t->upto, .name_n = t->name_n};
    memcpy(read->name, t->name, t->name_n);
    redis_fn_read(&f->scratch, TARGET_LOG, t->bucket, hub_name(t), t->last_id, CHUNK_EVENTS, CHUNK_BYTES);
    if (redis_commands_send(f->commands, f->scratch.argv, f->scratch.argc, on_reply, read) == 0)
        f->reading++;
    else
        free(read);
}

static bool has_slow_member(const struct target *t)
{
    LIST_EACH (it, &t->members) {
        const struct conn *c = CONTAINER_OF(it, struct member, of_target)->conn;
        if (c->state == CONN_OPEN && conn_is_slow(c))
            return true;
    }
    return false;
}

/* True when it was put off. */
static bool put_off(struct fill *f, struct target *t)
{
    uint64_t now = f->ctx->loop->now_ms;
    if (!has_slow_member(t))
        return false;
    if (t->due_ms == 0)
        t->due_ms = now + SLOW_DELAY_MS;
    if (now >= t->due_ms)
        return false;
    list_push_back(&f->slow, &t->queued);
    if (!timer_is_armed(&f->again))
        timer_start(f->ctx->loop, &f->again, SLOW_LOOK_MS);
    return true;
}

void fill_go_on(struct fill *f)
{
    while (f->reading < READS_MAX && !list_empty(&f->queue) && redis_library_is_usable(f->library)) {
        struct target *t = CONTAINER_OF(f->queue.next, struct target, queued);
        list_remove(&t->queued);
        if (put_off(f, t))
            continue;
        t->due_ms = 0;
        ask(f, t);
    }
}

static void on_again(struct timer *timer)
{
    struct fill *f = CONTAINER_OF(timer, struct fill, again);
    while (!list_empty(&f->slow)) {
        struct target *t = CONTAINER_OF(f->slow.next, struct target, queued);
        enqueue(f, t);
    }
    fill_go_on(f);
}

void fill_start(struct fill *f, struct target *t)
{
    assert(t->state == TARGET_FILLING);
    t->due_ms = 0;
    enqueue(f, t);
    fill_go_on(f);
}

void fill_reset(struct fill *f)
{
    f->era++;
}

static void take_chunk(struct fill *f, struct target *t, const redisReply *reply, uint64_t upto)
{
    uint64_t before = t->last_id;
    for (size_t i = 1; i < reply->elements; i++)
        if (reply->element[i]->type == REDIS_REPLY_STRING)
            f->ops->on_event(f, t, slice_make(reply->element[i]->str, reply->element[i]->len));
    bool ended = reply->element[0]->integer != 0 || t->last_id == before; /* what moves nothing on would come again */
    if (f->ops->on_chunk(f, t, ended, upto) && t->member_count > 0)
        enqueue(f, t);
}

static bool is_chunk(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 && reply->element[0]->type == REDIS_REPLY_INTEGER;
}

static void on_trouble(struct fill *f, struct target *t, const redisReply *reply, uint64_t upto)
{
    const char *text = reply->type == REDIS_REPLY_ERROR ? reply->str : "odd reply";
    if (redis_fn_result(reply, NULL) == REDIS_FN_MISSING) {
        redis_library_ensure(f->library);
        enqueue(f, t);
        return;
    }
    log_warn("log_unreadable", LOG_SL("target", hub_name(t)), LOG_S("reply", text));
    /* another kind of key under that name is this target's trouble; anything else is the server's */
    if (strstr(text, "WRONGTYPE") != NULL)
        f->ops->on_unreadable(f, t, MAX(upto, t->upto));
    else
        f->ops->on_refused(f, slice_of(text));
}

static void on_reply(void *arg, const redisReply *reply)
{
    struct fill_read *read = arg;
    struct fill *f = read->fill;
    struct target *t = hub_find(f->hub, slice_make(read->name, read->name_n));
    bool wanted = reply != NULL && t != NULL && t->state == TARGET_FILLING && read->era == f->era;
    uint64_t upto = read->upto;
    free(read);
    f->reading--;
    if (wanted && is_chunk(reply))
        take_chunk(f, t, reply, upto);
    else if (wanted)
        on_trouble(f, t, reply, upto);
    fill_go_on(f);
}

void fill_init(struct fill *f, struct context *ctx, struct hub *hub, struct redis_commands *commands,
               struct redis_library *library, const struct fill_ops *ops, void *owner)
{
    *f = (struct fill){.ctx = ctx, .hub = hub, .commands = commands, .library = library, .ops = ops, .owner = owner};
    list_init(&f->queue);
    list_init(&f->slow);
    timer_init(&f->again, on_again);
}

void fill_release(struct fill *f)
{
    timer_stop(&f->again);
    redis_fn_call_release(&f->scratch);
}

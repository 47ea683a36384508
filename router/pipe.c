/* A ring of calls: those that were sent and await their reply, then those that wait to be sent. Replies come in order,
 * so a confirmation always concerns the head. After a refusal the head stays where it is, the replies behind it are
 * counted off, and the ring is sent again from the head. */
#include "router/pipe.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/ring.h"
#include "common/redis_reply.h"

#include <openssl/rand.h>

#define RING_FIRST   256
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 1000

static struct pipe_call *at(const struct pipe *p, size_t i)
{
    return &p->ring[(p->head + i) & (p->cap - 1)];
}

static bool counts(const struct pipe_call *call)
{
    return call->kind != PIPE_MARK && call->kind != PIPE_BEAT;
}

static void push(struct pipe *p, const struct pipe_call *call)
{
    if (p->count == p->cap)
        p->ring = ring_grow(p->ring, sizeof(*p->ring), &p->head, &p->cap, RING_FIRST);
    *at(p, p->count++) = *call;
    if (counts(call)) {
        p->appends++;
        p->bytes += call->envelope.n;
    }
}

static struct pipe_call pop(struct pipe *p)
{
    struct pipe_call call = *at(p, 0);
    p->head = (p->head + 1) & (p->cap - 1);
    p->count--;
    if (counts(&call)) {
        p->appends--;
        p->bytes -= call.envelope.n;
    }
    return call;
}

static void drop(struct pipe_call *call)
{
    if (call->body != NULL)
        body_unref(call->body);
    if (call->step.partition != NULL)
        partition_unref(call->step.partition);
}

static void on_reply(void *arg, const redisReply *reply);

static struct redis_fn_pipe place(struct pipe *p)
{
    return (struct redis_fn_pipe){.name = slice_of(p->name), .seq = ++p->seq};
}

static void send_scratch(struct pipe *p)
{
    /* It fails when the link broke within this turn: pipe_close follows. */
    (void)redis_commands_send(p->rc, p->scratch.argv, p->scratch.argc, on_reply, p);
}

static void send_append(struct pipe *p, const struct pipe_call *call)
{
    const struct redis_fn_append a = {.pipe = place(p),
                                      .turn = p->loop->now_ms,
                                      .target = call->target,
                                      .bucket = call->bucket,
                                      .epoch = p->epochs[call->bucket],
                                      .part = slice_of(call->step.partition->part),
                                      .offset = call->offset,
                                      .maxlen = call->maxlen,
                                      .ttl_ms = call->ttl_ms,
                                      .key = call->dedupe_key,
                                      .window_ms = call->window_ms,
                                      .kafka_ms = call->kafka_ms,
                                      .body = call->envelope};
    if (call->kind == PIPE_REFILL)
        redis_fn_refill(&p->scratch, &a);
    else
        redis_fn_append(&p->scratch, &a);
    send_scratch(p);
}

static void send_waiting(struct pipe *p)
{
    for (; p->sent < p->count && !p->held && !p->calm; p->sent++) {
        const struct pipe_call *call = at(p, p->sent);
        if (call->kind != PIPE_PUBLISH)
            send_append(p, call);
        else {
            redis_fn_publish(&p->scratch, place(p), call->bucket, call->target, call->envelope);
            send_scratch(p);
        }
    }
}

static void new_name(struct pipe *p)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        BUG("no random bytes");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(p->name + 2 * i, 3, "%02x", bytes[i]);
    p->seq = 0;
}

/* Marks and beats are not sent again: by then they say too much, or nothing. */
static void drop_passing(struct pipe *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++)
        if (counts(at(p, i)))
            *at(p, kept++) = *at(p, i);
    p->count = kept;
    p->sent = 0;
}

static void send_beat(struct pipe *p)
{
    const struct pipe_call beat = {.kind = PIPE_BEAT};
    redis_fn_beat(&p->scratch, place(p), p->beat_bucket, p->floor);
    send_scratch(p);
    push(p, &beat);
    p->sent++;
}

/* The beat of a new name stands in front of what waits, but in the ring it would stand behind: it is counted apart. */
void pipe_open(struct pipe *p)
{
    assert(p->state == PIPE_CLOSED || p->state == PIPE_WAITING);
    timer_stop(&p->retry);
    drop_passing(p);
    new_name(p);
    p->state = PIPE_PROBING;
    redis_fn_beat(&p->scratch, place(p), p->beat_bucket, p->floor);
    send_scratch(p);
}

static void on_retry(struct timer *t)
{
    struct pipe *p = CONTAINER_OF(t, struct pipe, retry);
    pipe_open(p);
}

static void wait_and_retry(struct pipe *p)
{
    uint64_t ms = RETRY_MIN_MS;
    for (unsigned i = 0; i < p->attempts && !redis_is_passing(slice_of(p->refusal)) && ms < RETRY_MAX_MS; i++)
        ms *= 2;
    p->attempts++;
    p->state = PIPE_WAITING;
    timer_start(p->loop, &p->retry, MIN(ms, RETRY_MAX_MS));
}

static void say_still(struct pipe *p)
{
    if (p->calm && pipe_is_still(p))
        p->ops->on_still(p);
}

/* All replies of the broken pipe are in. */
static void recover(struct pipe *p)
{
    switch (p->failure) {
    case REDIS_FN_MISSING:
    case REDIS_FN_EPOCH:
    case REDIS_FN_MARKER:
        p->state = PIPE_CLOSED;
        p->ops->on_closed(p, p->failure);
        break;
    default:
        wait_and_retry(p);
    }
    say_still(p);
}

static void say_refused(struct pipe *p, const redisReply *reply)
{
    struct slice text = reply->type == REDIS_REPLY_ERROR ? slice_make(reply->str, reply->len) : SLICE("odd reply");
    snprintf(p->refusal, sizeof(p->refusal), "%.*s", SLICE_ARG(text));
    if (p->refused)
        return;
    p->refused = true;
    p->refused_ms = p->loop->now_ms;
    log_warn("redis_refuses", LOG_S("address", p->rc->link.label), LOG_S("class", redis_fn_result_word(p->failure)),
             LOG_S("reply", p->refusal), LOG_I("waiting", p->count));
}

static void say_accepted(struct pipe *p)
{
    p->attempts = 0;
    if (!p->refused)
        return;
    p->refused = false;
    log_info("redis_accepts", LOG_S("address", p->rc->link.label), LOG_I("after_ms", p->loop->now_ms - p->refused_ms),
             LOG_I("waiting", p->count));
}

static void break_off(struct pipe *p, enum redis_fn_result failure, const redisReply *reply, size_t stale)
{
    p->failure = failure;
    p->stale = stale;
    p->state = PIPE_BROKEN;
    say_refused(p, reply);
    p->ops->on_refused(p, failure);
    if (p->stale == 0)
        recover(p);
}

static void confirm(struct pipe *p, uint64_t id, bool duplicate)
{
    struct pipe_call call = pop(p);
    p->sent--;
    if (!duplicate && call.kind != PIPE_PUBLISH && call.kind != PIPE_MARK)
        p->floor = MAX(p->floor, id);
    if (counts(&call)) {
        p->ops->on_confirmed(p, &call, duplicate, clock_mono_us() - call.queued_us);
    }
    if (call.body != NULL)
        body_unref(call.body);
    if (call.step.partition != NULL)
        partition_finish(&call.step);
    say_still(p);
}

static bool went_through(enum redis_fn_result result)
{
    return result == REDIS_FN_OK || result == REDIS_FN_DUPLICATE;
}

static void on_probed(struct pipe *p, enum redis_fn_result result, uint64_t id, const redisReply *reply)
{
    if (!went_through(result)) {
        break_off(p, result, reply, 0);
        return;
    }
    p->floor = MAX(p->floor, id);
    p->state = PIPE_OPEN;
    say_accepted(p);
    send_waiting(p);
    p->ops->on_open(p);
}

static void on_reply(void *arg, const redisReply *reply)
{
    struct pipe *p = arg;
    if (reply == NULL)
        return; /* the link broke: pipe_close follows */
    uint64_t value;
    enum redis_fn_result result = redis_fn_result(reply, &value);
    if (p->state == PIPE_BROKEN) {
        if (--p->stale == 0)
            recover(p);
    } else if (p->state == PIPE_PROBING)
        on_probed(p, result, value, reply);
    else if (went_through(result))
        confirm(p, value, result == REDIS_FN_DUPLICATE);
    else
        break_off(p, result, reply, p->sent - 1);
}

void pipe_init(struct pipe *p, struct loop *l, struct redis_commands *rc, const struct pipe_ops *ops, void *owner,
               const uint64_t *epochs)
{
    *p = (struct pipe){.loop = l, .rc = rc, .ops = ops, .owner = owner, .epochs = epochs};
    timer_init(&p->retry, on_retry);
}

void pipe_close(struct pipe *p)
{
    timer_stop(&p->retry);
    while (p->count > 0) {
        struct pipe_call call = pop(p);
        drop(&call);
    }
    p->sent = 0;
    p->state = PIPE_CLOSED;
}

static size_t replies_to_come(const struct pipe *p)
{
    switch (p->state) {
    case PIPE_PROBING:
        return 1;
    case PIPE_OPEN:
        return p->sent;
    case PIPE_BROKEN:
        return p->stale;
    default:
        return 0;
    }
}

void pipe_abandon(struct pipe *p)
{
    size_t stale = replies_to_come(p);
    pipe_close(p);
    if (stale == 0)
        return;
    p->state = PIPE_BROKEN;
    p->stale = stale;
    p->failure = REDIS_FN_MARKER;
}

void pipe_hold(struct pipe *p, bool held)
{
    p->held = held;
    if (p->state == PIPE_OPEN)
        send_waiting(p);
}

void pipe_calm(struct pipe *p, bool calm)
{
    p->calm = calm;
    if (p->state == PIPE_OPEN)
        send_waiting(p);
}

bool pipe_is_still(const struct pipe *p)
{
    return p->state == PIPE_OPEN ? p->sent == 0 : p->state != PIPE_BROKEN;
}

void pipe_give_away(struct pipe *p, const uint16_t *home, uint16_t self,
                    void (*give)(void *arg, const struct pipe_call *call), void *arg)
{
    assert(pipe_is_still(p));
    drop_passing(p);
    for (size_t left = p->count; left > 0; left--) {
        struct pipe_call call = pop(p);
        if (home[call.bucket] == self)
            push(p, &call);
        else
            give(arg, &call);
    }
}

void pipe_release(struct pipe *p)
{
    pipe_close(p);
    free(p->ring);
    redis_fn_call_release(&p->scratch);
}

void pipe_push(struct pipe *p, const struct pipe_call *call)
{
    push(p, call);
    if (p->state == PIPE_OPEN)
        send_waiting(p);
}

bool pipe_mark(struct pipe *p, unsigned bucket, const struct redis_fn_watermark *watermarks, size_t count)
{
    if (p->state != PIPE_OPEN || p->held || p->calm)
        return false;
    const struct pipe_call mark = {.kind = PIPE_MARK, .bucket = bucket};
    redis_fn_mark(&p->scratch, place(p), bucket, p->epochs[bucket], REDIS_FN_MUST_EXIST, watermarks, count);
    send_scratch(p);
    push(p, &mark);
    p->sent++;
    return true;
}

void pipe_beat(struct pipe *p)
{
    if (p->state == PIPE_OPEN && !p->held && !p->calm)
        send_beat(p);
}

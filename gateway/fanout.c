/* Queueing is 0.1 µs a connection and is done for all at once; writing is sliced by the worker. */
#include "gateway/fanout.h"
#include "common/clock.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/traceparent.h"
#include "gateway/conn.h"

#include <stdlib.h>

#define PENDING_FIRST 64

void fanout_init(struct fanout *f, struct context *ctx)
{
    *f = (struct fanout){.ctx = ctx};
}

void fanout_release(struct fanout *f)
{
    free(f->pending);
}

/* What is queued: an event, or a reply; encoded once for each dialect that has members. */
struct parcel {
    const struct envelope *event;
    uint64_t position;
    bool again;  /* it was delivered once, before Redis lost it */
    bool placed; /* at and part are set, if it has a coordinate */
    struct coordinate at;
    uint64_t part;             /* 0: it has none */
    const struct reply *reply; /* event NULL */
    struct frame *frames[DIALECT_ID_COUNT];
    bool encoded[DIALECT_ID_COUNT];
};

static struct frame *frame_for(struct parcel *p, const struct dialect *d)
{
    if (!p->encoded[d->id]) {
        p->frames[d->id] = p->event != NULL ? d->encode_event(p->event, p->position) : d->encode_reply(p->reply);
        p->encoded[d->id] = true;
    }
    return p->frames[d->id];
}

/* Whether the event is new to a member whose own account differs from the channel's; it has it from now on. */
static bool is_new_to(struct parcel *p, struct seen *had)
{
    if (!p->placed && p->event != NULL && envelope_coordinate(p->event, &p->at) == 0)
        p->part = seen_part(p->at.part);
    p->placed = true;
    return p->part != 0 ? seen_take(had, p->part, p->at.offset, p->at.n) : !p->again;
}

static bool is_for(struct parcel *p, struct member *m, uint64_t id)
{
    if (m->conn->state != CONN_OPEN)
        return false;
    if (id == 0)
        return true;
    if (conn_is_behind(m->conn))
        return false;
    if (id <= m->from) {
        if (id == m->from)
            member_catch_up(m);
        return false;
    }
    if (m->had == NULL)
        return !p->again;
    bool is_new = is_new_to(p, m->had);
    member_catch_up(m);
    return is_new;
}

/* Not to members that have all up to this id; 0: to all. */
static size_t queue_to_members(struct target *t, struct parcel *p, uint64_t id)
{
    size_t count = 0;
    LIST_EACH_SAFE (it, &t->members) {
        struct member *m = CONTAINER_OF(it, struct member, of_target);
        struct conn *c = m->conn;
        __builtin_prefetch(CONTAINER_OF(it_next, struct member, of_target)->conn); /* behind the last: of no use */
        if (!is_for(p, m, id))
            continue;
        struct frame *f = frame_for(p, c->dialect);
        if (f == NULL)
            continue;
        if (p->event != NULL && p->event->target_count > 1 && conn_repeats(c, p->event))
            continue;
        count += conn_send(c, f);
        if (FAULT(deliver_twice))
            count += conn_send(c, f);
        if (id != 0 && p->event != NULL)
            conn_sent(c, p->position);
    }
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        frame_unref(p->frames[i]);
    return count;
}

void fanout_tell(struct fanout *f, struct target *t, const struct reply *r, uint64_t id)
{
    struct parcel p = {.reply = r};
    (void)queue_to_members(t, &p, id);
}

static struct fanout_pending *add_pending(struct fanout *f)
{
    if (f->pending_count == FANOUT_PENDING_MAX)
        fanout_written(f); /* a little early, rather than not at all */
    if (f->pending_count == f->pending_cap) {
        f->pending_cap = MAX(2 * f->pending_cap, PENDING_FIRST);
        f->pending = xrealloc(f->pending, f->pending_cap * sizeof(*f->pending));
    }
    return &f->pending[f->pending_count++];
}

static void observe_later(struct fanout *f, const struct envelope *e, size_t count)
{
    struct slice trace_id = traceparent_sampled_id(e->traceparent);
    struct fanout_pending *p = add_pending(f);
    p->kafka_us = MIN(e->kafka_ms, UINT64_MAX / 1000) * 1000;
    p->redis_us = e->id;
    p->read_us = f->read_us;
    p->count = count;
    p->traced = trace_id.p != NULL;
    if (p->traced)
        memcpy(p->trace_id, trace_id.p, sizeof(p->trace_id));
}

void fanout_turn(struct fanout *f)
{
    f->read_us = 0;
}

static void deliver(struct fanout *f, struct target *t, struct parcel *p)
{
    const struct envelope *e = p->event;
    if (f->read_us == 0)
        f->read_us = clock_wall_us(); /* once a turn: what arrives together was read together */
    size_t count = queue_to_members(t, p, e->id);
    counter_add(&f->ctx->metrics->messages_sent, count);
    if (e->traceparent.p != NULL)
        log_debug("event_queued", LOG_SL("trace_id", traceparent_trace_id(e->traceparent)), LOG_SL("key", e->key),
                  LOG_SL("target", hub_name(t)), LOG_I("connections", count));
    if (count > 0 && !p->again)
        observe_later(f, e, count);
}

void fanout_deliver(struct fanout *f, struct target *t, const struct envelope *e, uint64_t position)
{
    deliver(f, t, &(struct parcel){.event = e, .position = position});
}

void fanout_deliver_again(struct fanout *f, struct target *t, const struct envelope *e, uint64_t position)
{
    deliver(f, t, &(struct parcel){.event = e, .position = position, .again = true});
}

/* From a time on another machine's clock, which may be ahead of ours. */
static uint64_t since(uint64_t then_us, uint64_t now_us)
{
    return now_us > then_us ? now_us - then_us : 0;
}

static void observe_hop(struct metric_histogram *h, const struct fanout_pending *p, uint64_t us, uint64_t now_us)
{
    histogram_observe_many(h, us, p->count);
    if (p->traced)
        histogram_exemplify(h, us, slice_make(p->trace_id, sizeof(p->trace_id)), now_us / 1000);
}

static void observe(struct gateway_metrics *m, const struct fanout_pending *p, uint64_t now_us)
{
    if (p->redis_us != 0)
        observe_hop(&m->redis_seconds, p, since(p->redis_us, p->read_us), now_us);
    observe_hop(&m->write_seconds, p, since(p->read_us, now_us), now_us);
    if (p->kafka_us != 0)
        observe_hop(&m->delivery_seconds, p, since(p->kafka_us, now_us), now_us);
}

void fanout_written(struct fanout *f)
{
    if (f->pending_count == 0)
        return;
    uint64_t now_us = clock_wall_us();
    for (size_t i = 0; i < f->pending_count; i++)
        observe(f->ctx->metrics, &f->pending[i], now_us);
    f->pending_count = 0;
}

/* Queueing is 0.1 µs a connection and is done for all at once; writing is sliced by the worker. */
#include "gateway/fanout.h"
#include "common/clock.h"
#include "common/fault.h"
#include "gateway/conn.h"

void fanout_init(struct fanout *f, struct context *ctx)
{
    *f = (struct fanout){.ctx = ctx};
}

static size_t queue_to_members(struct target *t, const struct envelope *e, uint64_t position)
{
    struct frame *frames[DIALECT_ID_COUNT] = {NULL};
    bool encoded[DIALECT_ID_COUNT] = {false};
    size_t count = 0;
    LIST_EACH_SAFE (it, &t->members) {
        const struct member *m = CONTAINER_OF(it, struct member, of_target);
        struct conn *c = m->conn;
        const struct dialect *d = c->dialect;
        if (c->state != CONN_OPEN || (e->id != 0 && (e->id <= m->from || conn_is_behind(c))))
            continue;
        if (!encoded[d->id]) {
            frames[d->id] = d->encode_event(e, position);
            encoded[d->id] = true;
        }
        if (frames[d->id] == NULL)
            continue;
        if (e->target_count > 1 && conn_repeats(c, e))
            continue;
        count += conn_send(c, frames[d->id]);
        if (FAULT(deliver_twice))
            count += conn_send(c, frames[d->id]);
        if (e->id != 0)
            conn_sent(c, position);
    }
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        frame_unref(frames[i]);
    return count;
}

void fanout_deliver(struct fanout *f, struct target *t, const struct envelope *e, uint64_t position)
{
    size_t count = queue_to_members(t, e, position);
    counter_add(&f->ctx->metrics->messages_sent, count);
    if (count == 0)
        return;
    if (f->pending_count == FANOUT_PENDING_MAX)
        fanout_written(f); /* a little early, rather than not at all */
    f->pending[f->pending_count].kafka_ms = e->kafka_ms;
    f->pending[f->pending_count++].count = count;
}

/* Kafka's clock is another machine's: an event from the future counts as no delay. */
void fanout_written(struct fanout *f)
{
    if (f->pending_count == 0)
        return;
    uint64_t now = clock_wall_ms();
    for (size_t i = 0; i < f->pending_count; i++) {
        uint64_t delay_ms = f->pending[i].kafka_ms < now ? now - f->pending[i].kafka_ms : 0;
        histogram_observe_many(&f->ctx->metrics->delivery_seconds, delay_ms * 1000, f->pending[i].count);
    }
    f->pending_count = 0;
}

/* One event to all members of a target: encoded once a dialect, queued to each, and observed when it is written. */
#ifndef TIDEGATE_GATEWAY_FANOUT_H
#define TIDEGATE_GATEWAY_FANOUT_H

#include "gateway/context.h"
#include "gateway/dialect.h"
#include "gateway/hub.h"

/* Events whose delivery time is still to be observed: beyond that some are, before they are written. */
#define FANOUT_PENDING_MAX 8192

/* An event that was queued to so many connections. Wall time, each by its machine's clock. */
struct fanout_pending {
    uint64_t kafka_us, redis_us, read_us; /* kafka_us 0: its record has no time; redis_us 0: it was only published */
    size_t count;
    char trace_id[METRIC_TRACE_ID_SIZE]; /* good if traced */
    bool traced;                         /* and that trace is recorded */
};

struct fanout {
    struct context *ctx;
    uint64_t read_us; /* when this turn's events were read; 0: there were none yet */
    struct fanout_pending *pending;
    size_t pending_count, pending_cap;
};

void fanout_init(struct fanout *f, struct context *ctx);
void fanout_release(struct fanout *f);
/* Queues the event to every open member that does not have it yet. position: what is written as its id (position.h). */
void fanout_deliver(struct fanout *f, struct target *t, const struct envelope *e, uint64_t position);
/* The same of one that was delivered once, before Redis lost it: to members that came when it was lost. */
void fanout_deliver_again(struct fanout *f, struct target *t, const struct envelope *e, uint64_t position);
/* Queues a reply, which answers nobody, to every open member that does not have what comes up to this id. */
void fanout_tell(struct fanout *f, struct target *t, const struct reply *r, uint64_t id);
/* What was read in this turn is queued. */
void fanout_turn(struct fanout *f);
/* All that was queued is written: observes how long each part of its way took. */
void fanout_written(struct fanout *f);

#endif

/* What one connection has still to write: frames by reference, oldest first. At most one write is outstanding at a
 * time; the frames it carries stay here, in flight, until it is done. An empty outbox is one pointer and no memory.
 * Zero-initialised is empty and ready. */
#ifndef TIDEGATE_GATEWAY_OUTBOX_H
#define TIDEGATE_GATEWAY_OUTBOX_H

#include "gateway/frame.h"

struct outbox_queue {
    size_t bytes; /* of all frames, in flight or waiting */
    uint32_t head, count, in_flight, cap;
    struct frame *frames[];
};

struct outbox {
    struct outbox_queue *q; /* NULL while empty */
};

enum outbox_result { OUTBOX_OK, OUTBOX_FULL };

/* *Keeps a ref* to f. FULL, and nothing changed, when the outbox would hold more than limit bytes, those in flight
 * included. */
enum outbox_result outbox_push(struct outbox *o, struct frame *f, size_t limit);

/* Puts the bytes of up to max waiting frames into iov for one write, and these frames in flight; their count. Nothing
 * may be in flight yet. The bytes are good until outbox_written or outbox_release. */
size_t outbox_take(struct outbox *o, struct slice *iov, size_t max);
/* The write is done: drops the references to what was in flight. */
void outbox_written(struct outbox *o);

/* Drops what waits; what is in flight stays. The stream is still whole: frames are dropped entire or not at all. */
void outbox_drop_waiting(struct outbox *o);
/* Drops everything; for a connection whose socket is gone. */
void outbox_release(struct outbox *o);

static inline size_t outbox_bytes(const struct outbox *o)
{
    return o->q != NULL ? o->q->bytes : 0;
}

static inline bool outbox_in_flight(const struct outbox *o)
{
    return o->q != NULL && o->q->in_flight > 0;
}

/* Something to take, once nothing is in flight. */
static inline bool outbox_waiting(const struct outbox *o)
{
    return o->q != NULL && o->q->count > o->q->in_flight;
}

#endif

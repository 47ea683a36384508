/* What one connection has still to write: frames by reference, oldest first. At most one write is outstanding at a
 * time; the frames it carries stay here, in flight, until it is done. One frame, which is all that most ever hold,
 * needs no memory of its own. Zero-initialised is empty and ready. */
#ifndef TIDEGATE_GATEWAY_OUTBOX_H
#define TIDEGATE_GATEWAY_OUTBOX_H

#include "gateway/frame.h"

struct outbox_queue {
    size_t bytes; /* of all frames, in flight or waiting */
    uint32_t head, count, in_flight, cap;
    struct frame *frames[];
};

struct outbox {
    union {
        struct frame *one;
        struct outbox_queue *q; /* owned, and not empty */
    };
    enum { OUTBOX_EMPTY, OUTBOX_ONE_WAITS, OUTBOX_ONE_IN_FLIGHT, OUTBOX_QUEUE } holds;
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
    if (o->holds == OUTBOX_QUEUE)
        return o->q->bytes;
    return o->holds != OUTBOX_EMPTY ? o->one->size : 0;
}

static inline bool outbox_in_flight(const struct outbox *o)
{
    return o->holds == OUTBOX_ONE_IN_FLIGHT || (o->holds == OUTBOX_QUEUE && o->q->in_flight > 0);
}

/* Something to take, once nothing is in flight. */
static inline bool outbox_waiting(const struct outbox *o)
{
    return o->holds == OUTBOX_ONE_WAITS || (o->holds == OUTBOX_QUEUE && o->q->count > o->q->in_flight);
}

#endif

/* The outbox: a single frame, or a run of frames in an array that exists only while there are more. Frames leave at its
 * head and are moved down when the tail meets the end, so pushing costs the same however long the queue. */
#include "gateway/outbox.h"
#include "common/fault.h"

#include <stdlib.h>

/* With its head, one 64 byte chunk of malloc's. */
#define FIRST_CAP 4

static struct outbox_queue *queue_resize(struct outbox_queue *q, uint32_t cap)
{
    q = xrealloc(q, sizeof(*q) + cap * sizeof(q->frames[0]));
    q->cap = cap;
    return q;
}

/* Of the one frame that there is. */
static void make_queue(struct outbox *o)
{
    struct outbox_queue *q = xmalloc(sizeof(*q) + FIRST_CAP * sizeof(q->frames[0]));
    *q = (struct outbox_queue){
        .bytes = o->one->size, .count = 1, .in_flight = o->holds == OUTBOX_ONE_IN_FLIGHT, .cap = FIRST_CAP};
    q->frames[0] = o->one;
    o->q = q;
    o->holds = OUTBOX_QUEUE;
}

/* The queue with a free place at its tail. */
static struct outbox_queue *queue_with_room(struct outbox_queue *q)
{
    if (q->head + q->count < q->cap)
        return q;
    if (q->count > q->cap / 2)
        return queue_resize(q, q->cap * 2);
    memmove(q->frames, q->frames + q->head, q->count * sizeof(q->frames[0]));
    q->head = 0;
    return q;
}

static void swap_last_two(struct outbox_queue *q)
{
    struct frame **last = &q->frames[q->head + q->count - 1], *f = *last;
    *last = last[-1];
    last[-1] = f;
}

enum outbox_result outbox_push(struct outbox *o, struct frame *f, size_t limit)
{
    size_t bytes = outbox_bytes(o);
    if (f->size > limit || bytes > limit - f->size)
        return OUTBOX_FULL;
    if (o->holds == OUTBOX_EMPTY) {
        o->one = frame_ref(f);
        o->holds = OUTBOX_ONE_WAITS;
        return OUTBOX_OK;
    }
    if (o->holds != OUTBOX_QUEUE)
        make_queue(o);
    struct outbox_queue *q = o->q = queue_with_room(o->q);
    q->frames[q->head + q->count++] = frame_ref(f);
    q->bytes += f->size;
    if (q->count >= q->in_flight + 2 && FAULT(reorder_two_frames))
        swap_last_two(q);
    return OUTBOX_OK;
}

size_t outbox_take(struct outbox *o, struct slice *iov, size_t max)
{
    assert(!outbox_in_flight(o));
    if (o->holds == OUTBOX_EMPTY || max == 0)
        return 0;
    if (o->holds == OUTBOX_ONE_WAITS) {
        iov[0] = frame_bytes(o->one);
        o->holds = OUTBOX_ONE_IN_FLIGHT;
        return 1;
    }
    struct outbox_queue *q = o->q;
    size_t n = MIN(q->count, max);
    for (size_t i = 0; i < n; i++)
        iov[i] = frame_bytes(q->frames[q->head + i]);
    q->in_flight = (uint32_t)n;
    return n;
}

static void drop_one(struct outbox *o)
{
    frame_unref(o->one);
    o->one = NULL;
    o->holds = OUTBOX_EMPTY;
}

static void drop(struct outbox_queue *q, uint32_t at)
{
    q->bytes -= q->frames[at]->size;
    q->count--;
    frame_unref(q->frames[at]);
}

static void free_if_empty(struct outbox *o)
{
    if (o->q->count > 0)
        return;
    free(o->q);
    o->q = NULL;
    o->holds = OUTBOX_EMPTY;
}

void outbox_written(struct outbox *o)
{
    if (o->holds == OUTBOX_ONE_IN_FLIGHT)
        drop_one(o);
    if (o->holds != OUTBOX_QUEUE)
        return;
    struct outbox_queue *q = o->q;
    for (; q->in_flight > 0; q->in_flight--)
        drop(q, q->head++);
    free_if_empty(o);
}

void outbox_drop_waiting(struct outbox *o)
{
    if (o->holds == OUTBOX_ONE_WAITS)
        drop_one(o);
    if (o->holds != OUTBOX_QUEUE)
        return;
    struct outbox_queue *q = o->q;
    while (q->count > q->in_flight)
        drop(q, q->head + q->count - 1);
    free_if_empty(o);
}

void outbox_release(struct outbox *o)
{
    outbox_written(o);
    outbox_drop_waiting(o);
}

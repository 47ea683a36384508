/* The markers of a node's buckets: which epoch is in force in each, how far the watermarks stand, and making those that
 * are missing. */
#ifndef TIDEGATE_ROUTER_MARKERS_H
#define TIDEGATE_ROUTER_MARKERS_H

#include "common/redis_commands.h"
#include "common/redis_fn.h"

#define MARKERS_NO_WATERMARK (-1)

struct markers;

struct markers_ops {
    /* A reading ended. ok: every bucket of the node has a marker now, epochs and lowest are set. Else the link or a
     * reply failed (logged): read again later. */
    void (*on_read)(struct markers *m, bool ok);
    /* A marker is gone or another one: read again. Said once until then. */
    void (*on_lost)(struct markers *m);
};

struct markers {
    struct redis_commands *rc; /* borrowed */
    const uint16_t *home;      /* by bucket: the node that has it, which is this one if it is self; borrowed */
    uint16_t self;
    const struct markers_ops *ops;
    void *owner;
    uint64_t epochs[TARGET_BUCKETS]; /* 0: not known */
    /* The reading under way, or the last one: */
    bool reading, failed;
    size_t waiting;     /* replies still to come */
    struct slice *argv; /* HMGET key epoch part… */
    size_t part_count;  /* the parts asked about */
    int64_t *lowest;    /* by part, over all markers that know it, or MARKERS_NO_WATERMARK */
    enum redis_fn_create create;
    unsigned missing[TARGET_BUCKETS]; /* buckets to be made */
    size_t missing_count;
    size_t created; /* by the last reading */
    /* The comparison that goes on all the time: */
    unsigned check_bucket; /* next to ask about */
    bool lost;
    uint16_t cells[TARGET_BUCKETS]; /* what commands carry to tell which bucket they are about */
    struct redis_fn_call scratch;
};

void markers_init(struct markers *m, struct redis_commands *rc, const uint16_t *home, uint16_t self,
                  const struct markers_ops *ops, void *owner);
void markers_release(struct markers *m);

/* Reads the markers of the node's buckets (it has one at least) while the link is up; those that are missing are made
 * as create says. The texts of parts are borrowed until on_read. Not while a reading is under way. */
void markers_read(struct markers *m, const char *const *parts, size_t count, enum redis_fn_create create);
/* Compares the epochs of the next `count` buckets with what is known; not while a reading is under way. */
void markers_check(struct markers *m, unsigned count);

#endif

/* The markers of a node's buckets: which epoch is in force in each, how far the watermarks stand, and making those that
 * are missing. */
#ifndef TIDEGATE_ROUTER_MARKERS_H
#define TIDEGATE_ROUTER_MARKERS_H

#include "common/redis_commands.h"
#include "common/redis_fn.h"

#define MARKERS_NO_WATERMARK (-1)

struct markers;

struct markers_ops {
    /* A reading ended: what stands below is set. Not ok: the link or a reply failed (logged), read again later. */
    void (*on_read)(struct markers *m, bool ok);
    /* Before on_read: markers that were known are gone, or others. What was appended to those buckets is lost, and what
     * is queued for them was meant for another epoch. */
    void (*on_changed)(struct markers *m);
    /* The missing ones were made, by us or by somebody who was faster: read again. Not ok: the same, later. */
    void (*on_created)(struct markers *m, bool ok);
    /* A marker is gone or another one: read again. Said once until then. */
    void (*on_lost)(struct markers *m);
};

/* What the markers of a node say together about a part. */
struct markers_part {
    int64_t lowest; /* watermark over all that know it, or MARKERS_NO_WATERMARK */
    bool unbound;   /* one of them misses what came before, and does not know where live events start */
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
    struct slice *argv; /* HMGET key epoch … */
    struct buf names;   /* the fields of bounds */
    size_t part_count;  /* the parts asked about */
    struct markers_part *parts;
    uint64_t fresh[TARGET_BUCKETS];  /* epochs read; 0: there is no marker */
    size_t missing;                  /* markers that are not there */
    size_t refilling;                /* those whose history is not whole, or may not be */
    bool incomplete[TARGET_BUCKETS]; /* the same by bucket */
    /* The comparison that goes on all the time: */
    unsigned check_bucket; /* next to ask about */
    bool lost;
    uint16_t cells[TARGET_BUCKETS]; /* what commands carry to tell which bucket they are about */
    struct redis_fn_call scratch;
};

void markers_init(struct markers *m, struct redis_commands *rc, const uint16_t *home, uint16_t self,
                  const struct markers_ops *ops, void *owner);
void markers_release(struct markers *m);

/* Reads the markers of the node's buckets (it has one at least) while the link is up. The texts of parts are borrowed
 * until on_read. Not while a reading is under way. */
void markers_read(struct markers *m, const char *const *parts, size_t count);
/* After a reading that missed some: makes them, under a new epoch and with these fields. */
void markers_create(struct markers *m, enum redis_fn_create create, const struct redis_fn_watermark *fields,
                    size_t count);
/* Compares the epochs of the next `count` buckets with what is known; not while a reading is under way. */
void markers_check(struct markers *m, unsigned count);

#endif

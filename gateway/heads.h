/* The heads of one node's targets, read from their metas: one call a bucket. Who compares them is the owner. */
#ifndef TIDEGATE_GATEWAY_HEADS_H
#define TIDEGATE_GATEWAY_HEADS_H

#include "common/redis_library.h"
#include "gateway/context.h"
#include "gateway/hub.h"

struct heads {
    struct hub *hub;
    struct redis_commands *commands;
    struct redis_library *library;
    void *owner;
    /* The id of the last event in a target's log, 0: it has none. NULL: it could not be read. */
    void (*on_head)(struct heads *h, struct target *t, const uint64_t *id);
    unsigned era;        /* replies to what was asked in an earlier one are of no use */
    struct list doubted; /* targets to ask for after this turn, by struct target.queued */
    struct turn_hook ask;
    struct buf scratch;
};

/* *Borrows* all for its life. Init before the links, whose hooks write. */
void heads_init(struct heads *h, struct context *ctx, struct hub *hub, struct redis_commands *commands,
                struct redis_library *library, void (*on_head)(struct heads *, struct target *, const uint64_t *),
                void *owner);
/* After the links' release. */
void heads_release(struct heads *h);
/* Reads the head of a target whose state is TARGET_DOUBTED. When the commands link breaks, call it again once it is up.
 */
void heads_ask(struct heads *h, struct target *t);
/* Reads the heads of all live targets of a bucket that have members. */
void heads_sweep(struct heads *h, unsigned bucket);
/* The subscriptions are gone: nothing that is under way counts. */
void heads_reset(struct heads *h);

#endif

/* Reads the logs of one node's targets behind their last_id: in chunks of bounded size, so many at a time, and no
 * faster than the members take them. What an event in a log means is the owner's business. */
#ifndef TIDEGATE_GATEWAY_FILL_H
#define TIDEGATE_GATEWAY_FILL_H

#include "common/redis_library.h"
#include "gateway/context.h"
#include "gateway/hub.h"

struct fill;

struct fill_ops {
    /* An envelope of the log, oldest first. It moves last_id on. */
    void (*on_event)(struct fill *f, struct target *t, struct slice envelope);
    /* A chunk was given; ended: the log had no more. upto: the target's when the chunk was asked for. True to go on. */
    bool (*on_chunk)(struct fill *f, struct target *t, bool ended, uint64_t upto);
    /* There is no log, but a key of another kind. upto: the highest id that was heard. The target is not read any more.
     */
    void (*on_unreadable)(struct fill *f, struct target *t, uint64_t upto);
    /* The server answered with an error that is not the target's. The target is not read any more: fill_start it again.
     */
    void (*on_refused)(struct fill *f, struct slice error);
};

struct fill {
    struct context *ctx;
    struct hub *hub;
    struct redis_commands *commands;
    struct redis_library *library;
    const struct fill_ops *ops;
    void *owner;
    unsigned era;       /* replies to what was asked in an earlier one are of no use */
    size_t reading;     /* reads under way */
    struct list queue;  /* targets to read, by struct target.queued */
    struct list slow;   /* those whose members do not keep up */
    struct timer again; /* looks at the slow ones */
    struct redis_fn_call scratch;
};

/* *Borrows* all for the fill's life. */
void fill_init(struct fill *f, struct context *ctx, struct hub *hub, struct redis_commands *commands,
               struct redis_library *library, const struct fill_ops *ops, void *owner);
/* After the links' release. */
void fill_release(struct fill *f);
/* Reads the target's log, whose state is TARGET_FILLING, until on_chunk says that it is enough or the last member has
 * gone. When the commands link breaks, call it again once it is up. */
void fill_start(struct fill *f, struct target *t);
/* The library is there: what waited for it is asked. */
void fill_go_on(struct fill *f);
/* The subscriptions are gone: nothing that is under way counts. */
void fill_reset(struct fill *f);

#endif

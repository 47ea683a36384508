/* Whether a node's subscription link brings what is published. Routers write a beat a second on each node, which is a
 * key and a message in one step: a key that rises while no message comes means that the link is deaf, whatever it
 * answers to a PING (a canary of one's own would be fooled by an isolated master, which still delivers but takes no
 * writes). A key that does not rise means that no router writes: an alert, but no reason to distrust Redis. */
#ifndef TIDEGATE_GATEWAY_PULSE_H
#define TIDEGATE_GATEWAY_PULSE_H

#include "common/redis_commands.h"
#include "common/target.h"
#include "gateway/context.h"
#include "gateway/position.h"

struct pulse;

struct pulse_ops {
    /* The subscription link is to be dropped. */
    void (*on_deaf)(struct pulse *p);
    /* Every second while no router writes, or the node does not answer: perhaps it is the wrong one. */
    void (*on_doubt)(struct pulse *p);
};

struct pulse {
    struct context *ctx;
    struct redis_commands *commands; /* of the node */
    struct node_position *position;  /* of the node */
    void *owner;
    const struct pulse_ops *ops;
    unsigned bucket;             /* the first that the node has; TARGET_BUCKETS: it has none, and no pulse */
    char name[TARGET_NAME_SIZE]; /* of the beat: key and channel */
    size_t name_n;
    unsigned era; /* of the subscription link's connections */
    bool up;
    struct timer timer;
    uint64_t beat_ms; /* when a beat was heard last, or the link came up */
    uint64_t looked;  /* what the key held when that beat was heard, or at the last look since; 0: not known */
    uint64_t risen;   /* a value that it was given since the link is up, and that should be heard by now; 0: none */
    uint64_t heard;   /* the highest id heard on the link, at that look */
    bool deaf;        /* until a beat is heard, or no router writes any more */
    bool silent;      /* no router writes */
};

/* *Borrows* all for its life. Of no bucket, until it is told. */
void pulse_init(struct pulse *p, struct context *ctx, struct redis_commands *commands, struct node_position *position,
                const struct pulse_ops *ops, void *owner);
void pulse_release(struct pulse *p);
/* The node's first bucket: true when it is another one, and pulse_channel to be subscribed. */
bool pulse_move(struct pulse *p, unsigned bucket);
/* Empty while the node has no bucket. */
static inline struct slice pulse_channel(const struct pulse *p)
{
    return slice_make(p->name, p->name_n);
}
/* The subscription link is up, or down. */
void pulse_on_up(struct pulse *p);
void pulse_on_down(struct pulse *p);
/* A message on the beat's channel. */
void pulse_on_beat(struct pulse *p, struct slice text);

#endif

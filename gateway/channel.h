/* What happens on the targets of one node whose channels are subscribed (bus.h subscribes). A target goes live once its
 * meta was read, and what arrives is passed to its members without what was seen before.
 *
 * A target with members loses nothing. When an event names another predecessor than last_id, or the link was down and
 * its log's head is another, what lies behind last_id is read from its log (fill.h) and delivered, in order, before
 * what is new; the members stay connected, other targets do not wait, and the node's safe id does (position.h). The
 * last event of a quiet channel has no successor to betray its loss: the heads are compared every HEADS_INTERVAL. */
#ifndef TIDEGATE_GATEWAY_CHANNEL_H
#define TIDEGATE_GATEWAY_CHANNEL_H

#include "gateway/census.h"
#include "gateway/fanout.h"
#include "gateway/fill.h"
#include "gateway/heads.h"
#include "gateway/position.h"

struct channels {
    struct context *ctx;
    struct hub *hub;
    struct fanout *fanout;
    struct census *census;
    struct redis_commands *commands; /* of the node */
    struct positions *positions;     /* of the worker */
    struct node_position position;
    /* Set by the owner: a cluster in motion refused a read, channel_ask_again is due in a moment. */
    void (*on_passing)(struct channels *ch, struct slice error);
    struct fill fill;
    struct heads heads;
    unsigned era; /* metas that were asked for in an earlier one are of no use */
    /* Live, but their head was above last_id: perhaps its event is on its way. By struct target.queued. */
    struct list suspects;
    struct timer suspects_timer;
};

/* *Borrows* all for the channels' life. Init before the node's links, whose hooks write. */
void channels_init(struct channels *ch, struct context *ctx, struct hub *hub, struct fanout *fanout,
                   struct census *census, struct redis_commands *commands, struct redis_library *library,
                   struct positions *positions);
/* After the links' release. */
void channels_release(struct channels *ch);

/* The subscription link is down: what is under way does not count. Then channel_lost for each target. */
void channels_reset(struct channels *ch);
/* The channel's subscription is gone: what comes meanwhile is owed to the members. */
void channel_lost(struct channels *ch, struct target *t);
/* The target's bucket is on another node now: what is owed, is owed there. Then channels_reset, and channel_ask_again
 * for those that stay. */
void channel_moved(struct channels *from, struct channels *to, struct target *t);
/* The target's channel was confirmed: what came before is learned, or what was missed is filled, and then it is live.
 */
void channel_on_subscribed(struct channels *ch, struct target *t);
/* An envelope came on the target's channel. */
void channel_on_message(struct channels *ch, struct target *t, struct slice bytes);
/* The commands link is up again: what the target waits for is asked again. */
void channel_ask_again(struct channels *ch, struct target *t);
/* The library is there. */
void channels_go_on(struct channels *ch);
/* The last member has left: nothing is owed. Or the first one has come to a target that is still subscribed. */
void channel_left(struct channels *ch, struct target *t);
void channel_entered(struct channels *ch, struct target *t);
/* Compares the heads of a bucket's live targets with what was seen of them. */
void channels_sweep(struct channels *ch, unsigned bucket);

#endif

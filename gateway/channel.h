/* What happens on the targets of one node whose channels are subscribed: the way from subscribed to live (their metas
 * are read), and what arrives there, passed to the members without what was seen before. bus.h subscribes. */
#ifndef TIDEGATE_GATEWAY_CHANNEL_H
#define TIDEGATE_GATEWAY_CHANNEL_H

#include "common/redis_commands.h"
#include "gateway/census.h"
#include "gateway/fanout.h"
#include "gateway/hub.h"
#include "gateway/position.h"

struct channels {
    struct context *ctx;
    struct hub *hub;
    struct fanout *fanout;
    struct census *census;
    struct redis_commands *commands; /* of the node */
    struct positions *positions;     /* of the worker */
    struct node_position position;
};

/* *Borrows* all for the channels' life. */
void channels_init(struct channels *ch, struct context *ctx, struct hub *hub, struct fanout *fanout,
                   struct census *census, struct redis_commands *commands, struct positions *positions);
/* The channel's subscription is gone: what comes meanwhile is owed to the members. */
void channel_lost(struct channels *ch, struct target *t);
/* The target's bucket is on another node now: what is owed, is owed there. */
void channel_moved(struct channels *from, struct channels *to, struct target *t);
/* The last member has left: nothing is owed. */
void channel_left(struct channels *ch, struct target *t);
/* The target's channel was confirmed: what came before is learned, then it is live. */
void channel_on_subscribed(struct channels *ch, struct target *t);
/* An envelope came on the target's channel. */
void channel_on_message(struct channels *ch, struct target *t, struct slice bytes);
/* The commands link is up again: what was asked for the target on the one that broke is asked again. */
void channel_ask_again(struct channels *ch, struct target *t);

#endif

/* A link that only subscribes: sharded pub/sub channels, thousands a command, messages cut in place. Plain servers
 * take SSUBSCRIBE too (Redis 7), so one form serves every topology. */
#ifndef TIDEGATE_COMMON_REDIS_SUBSCRIBER_H
#define TIDEGATE_COMMON_REDIS_SUBSCRIBER_H

#include "common/redis_link.h"
#include "common/resp_push.h"

struct redis_subscriber {
    struct redis_link link;
    void *owner;
    /* Up: nothing is subscribed; subscribe anew. */
    void (*on_up)(struct redis_subscriber *rs);
    void (*on_down)(struct redis_subscriber *rs, const char *reason);
    /* A message or a confirmation; slices live until return. */
    void (*on_push)(struct redis_subscriber *rs, const struct resp_push *push);
    /* A command was refused. True: that is dealt with; else, or if it is NULL, the link is dropped. */
    bool (*on_refused)(struct redis_subscriber *rs, struct slice error);
};

/* Set owner and the callbacks first; on_down and on_refused may be NULL. */
void redis_subscriber_init(struct redis_subscriber *rs, struct loop *l, const struct endpoint *endpoint);
void redis_subscriber_release(struct redis_subscriber *rs);
static inline bool redis_subscriber_is_up(const struct redis_subscriber *rs)
{
    return redis_link_is_up(&rs->link);
}
/* SSUBSCRIBE or SUNSUBSCRIBE of up to REDIS_SUBSCRIBER_BATCH channels of one hash slot on a cluster, of any slots
 * elsewhere. While down they do nothing and return -1. */
#define REDIS_SUBSCRIBER_BATCH 1000
int redis_subscriber_subscribe(struct redis_subscriber *rs, const struct slice *channels, size_t count);
int redis_subscriber_unsubscribe(struct redis_subscriber *rs, const struct slice *channels, size_t count);

#endif

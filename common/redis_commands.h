/* A link for commands: each gets its reply, in order. */
#ifndef TIDEGATE_COMMON_REDIS_COMMANDS_H
#define TIDEGATE_COMMON_REDIS_COMMANDS_H

#include "common/redis_link.h"

#include <hiredis/hiredis.h>

/* *Borrows* reply until return; NULL: the link broke before the reply came. */
typedef void (*redis_reply_cb)(void *arg, const redisReply *reply);

struct redis_commands {
    struct redis_link link;
    void *owner;
    void (*on_up)(struct redis_commands *rc);
    void (*on_down)(struct redis_commands *rc, const char *reason);
    redisReader *reader;
    struct redis_pending *queue; /* ring of callbacks that wait */
    size_t head, count, cap;
};

/* on_up and on_down may be NULL. on_down comes after every waiting callback got its NULL. */
void redis_commands_init(struct redis_commands *rc, struct loop *l, const struct endpoint *endpoint, void *owner,
                         void (*on_up)(struct redis_commands *),
                         void (*on_down)(struct redis_commands *, const char *));
/* Waiting callbacks get NULL. */
void redis_commands_release(struct redis_commands *rc);
/* Sends a command; cb (may be NULL) gets the reply. Returns 0, or -1 when the link is not up (cb is not called). */
int redis_commands_send(struct redis_commands *rc, const struct slice *argv, size_t argc, redis_reply_cb cb, void *arg);
/* The same of one command that is in RESP already. */
int redis_commands_send_resp(struct redis_commands *rc, struct slice resp, redis_reply_cb cb, void *arg);
static inline bool redis_commands_is_up(const struct redis_commands *rc)
{
    return redis_link_is_up(&rc->link);
}
/* Commands that wait for their reply. */
static inline size_t redis_commands_waiting(const struct redis_commands *rc)
{
    return rc->count;
}

#endif

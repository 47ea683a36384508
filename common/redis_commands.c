/* Replies are matched to commands by order: a ring of callbacks beside hiredis' reader. The
 * watchdog's PING takes a place in it like any command. */
#include "common/redis_commands.h"
#include "common/ring.h"

#include <stdlib.h>

#define QUEUE_FIRST 64
#define QUEUE_KEPT  1024

struct redis_pending {
    redis_reply_cb cb;
    void *arg;
};

static struct redis_commands *of_link(struct redis_link *link)
{
    return CONTAINER_OF(link, struct redis_commands, link);
}

static void push(struct redis_commands *rc, redis_reply_cb cb, void *arg)
{
    if (rc->count == rc->cap)
        rc->queue = ring_grow(rc->queue, sizeof(*rc->queue), &rc->head, &rc->cap, QUEUE_FIRST);
    rc->queue[(rc->head + rc->count++) & (rc->cap - 1)] = (struct redis_pending){cb, arg};
}

static struct redis_pending pop(struct redis_commands *rc)
{
    struct redis_pending first = rc->queue[rc->head];
    rc->head = (rc->head + 1) & (rc->cap - 1);
    rc->count--;
    if (rc->count == 0 && rc->cap > QUEUE_KEPT) { /* what a burst needed is given back */
        free(rc->queue);
        rc->queue = NULL;
        rc->cap = rc->head = 0;
    }
    return first;
}

/* Callbacks may send anew only once the link is up again, so what they add cannot end up in this sweep. */
static void fail_all(struct redis_commands *rc)
{
    while (rc->count > 0) {
        struct redis_pending p = pop(rc);
        if (p.cb != NULL)
            p.cb(p.arg, NULL);
    }
    redisReaderFree(rc->reader);
    rc->reader = redisReaderCreate();
}

static void on_up(struct redis_link *link)
{
    struct redis_commands *rc = of_link(link);
    if (rc->on_up != NULL)
        rc->on_up(rc);
}

static void on_down(struct redis_link *link, const char *reason)
{
    struct redis_commands *rc = of_link(link);
    fail_all(rc);
    if (rc->on_down != NULL)
        rc->on_down(rc, reason);
}

static ssize_t on_bytes(struct redis_link *link, char *bytes, size_t n)
{
    struct redis_commands *rc = of_link(link);
    redisReader *reader = rc->reader;
    if (redisReaderFeed(reader, bytes, n) != REDIS_OK)
        return -1;
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(reader, &reply) != REDIS_OK)
            return -1;
        if (reply == NULL)
            return (ssize_t)n;
        if (rc->count == 0) {
            freeReplyObject(reply);
            return -1;
        }
        struct redis_pending p = pop(rc);
        if (p.cb != NULL)
            p.cb(p.arg, reply);
        freeReplyObject(reply);
        if (rc->reader != reader)
            return (ssize_t)n; /* the callback dropped the link */
    }
}

static void on_ping(struct redis_link *link)
{
    push(of_link(link), NULL, NULL);
}

static const struct redis_link_ops ops = {.on_up = on_up, .on_down = on_down, .on_bytes = on_bytes, .on_ping = on_ping};

void redis_commands_init(struct redis_commands *rc, struct loop *l, const struct endpoint *endpoint, void *owner,
                         void (*up)(struct redis_commands *), void (*down)(struct redis_commands *, const char *))
{
    *rc = (struct redis_commands){.owner = owner, .on_up = up, .on_down = down, .reader = redisReaderCreate()};
    redis_link_init(&rc->link, l, endpoint, &ops);
}

void redis_commands_release(struct redis_commands *rc)
{
    redis_link_release(&rc->link);
    fail_all(rc);
    redisReaderFree(rc->reader);
    free(rc->queue);
    rc->queue = NULL;
}

int redis_commands_send(struct redis_commands *rc, const struct slice *argv, size_t argc, redis_reply_cb cb, void *arg)
{
    if (!redis_link_is_up(&rc->link))
        return -1;
    redis_link_command(&rc->link, argv, argc);
    push(rc, cb, arg);
    return 0;
}

int redis_commands_send_resp(struct redis_commands *rc, struct slice resp, redis_reply_cb cb, void *arg)
{
    if (!redis_link_is_up(&rc->link))
        return -1;
    redis_link_append(&rc->link, resp);
    push(rc, cb, arg);
    return 0;
}

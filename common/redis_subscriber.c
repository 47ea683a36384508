/* Walks the pushes that stand whole in the input; a push that is not whole waits for more bytes. */
#include "common/redis_subscriber.h"
#include "common/log.h"

static struct redis_subscriber *of_link(struct redis_link *link)
{
    return CONTAINER_OF(link, struct redis_subscriber, link);
}

static void on_up(struct redis_link *link)
{
    struct redis_subscriber *rs = of_link(link);
    rs->on_up(rs);
}

static void on_down(struct redis_link *link, const char *reason)
{
    struct redis_subscriber *rs = of_link(link);
    if (rs->on_down != NULL)
        rs->on_down(rs, reason);
}

static void on_ping(struct redis_link *link)
{
    /* its answer comes as RESP_PUSH_PONG; that bytes came is all the watchdog wants */
}

static bool is_dealt_with(struct redis_subscriber *rs, struct slice error)
{
    if (rs->on_refused != NULL && rs->on_refused(rs, error))
        return true;
    log_error("redis_subscribe_refused", LOG_S("address", rs->link.label), LOG_SL("reply", error));
    return false;
}

static ssize_t on_bytes(struct redis_link *link, char *bytes, size_t n)
{
    struct redis_subscriber *rs = of_link(link);
    struct slice rest = slice_make(bytes, n);
    struct resp_push push;
    while (rest.n > 0) {
        enum resp_result r = resp_push_read(rest, &push);
        if (r == RESP_BAD)
            return -1;
        if (r == RESP_MORE)
            break;
        if (push.kind == RESP_PUSH_ERROR && !is_dealt_with(rs, push.payload))
            return -1;
        if (push.kind != RESP_PUSH_ERROR && push.kind != RESP_PUSH_PONG && push.kind != RESP_PUSH_OTHER)
            rs->on_push(rs, &push);
        rest = slice_from(rest, push.size);
        if (!redis_link_is_up(link))
            break;
    }
    return (ssize_t)(n - rest.n);
}

static const struct redis_link_ops ops = {.on_up = on_up, .on_down = on_down, .on_bytes = on_bytes, .on_ping = on_ping};

void redis_subscriber_init(struct redis_subscriber *rs, struct loop *l, const struct endpoint *endpoint)
{
    redis_link_init(&rs->link, l, endpoint, &ops);
}

void redis_subscriber_release(struct redis_subscriber *rs)
{
    redis_link_release(&rs->link);
}

static int send_channels(struct redis_subscriber *rs, struct slice verb, const struct slice *channels, size_t count)
{
    struct slice argv[REDIS_SUBSCRIBER_BATCH + 1];
    assert(count > 0 && count <= REDIS_SUBSCRIBER_BATCH);
    if (!redis_link_is_up(&rs->link))
        return -1;
    argv[0] = verb;
    memcpy(argv + 1, channels, count * sizeof(*channels));
    redis_link_command(&rs->link, argv, count + 1);
    return 0;
}

int redis_subscriber_subscribe(struct redis_subscriber *rs, const struct slice *channels, size_t count)
{
    return send_channels(rs, SLICE("SSUBSCRIBE"), channels, count);
}

int redis_subscriber_unsubscribe(struct redis_subscriber *rs, const struct slice *channels, size_t count)
{
    return send_channels(rs, SLICE("SUNSUBSCRIBE"), channels, count);
}

/* Greeting a node: our library, then whether it may evict what it is given. */
#include "router/node.h"
#include "common/log.h"

#define POLICY_INTERVAL_MS 10000
#define POLICY_BAD_MS      1000 /* while it is refused: sooner, so that mending it is noticed */

static void ask_policy(struct node *n);

static void on_library_ready(struct redis_library *lib)
{
    struct node *n = lib->owner;
    if (!n->reloading) {
        ask_policy(n);
        return;
    }
    n->reloading = false;
    node_open(n);
}

/* The value of "name:value\r\n" in the text of INFO; empty when it is not there. */
static struct slice info_value(struct slice info, struct slice name)
{
    while (info.p != NULL) {
        struct slice line = slice_trim(slice_cut(&info, '\n'));
        if (slice_starts(line, name))
            return slice_from(line, name.n);
    }
    return SLICE("");
}

static void judge_policy(struct node *n, struct slice policy)
{
    bool bad = policy.n > 0 && !slice_eq(policy, SLICE("noeviction"));
    if (bad && n->policy[0] == '\0')
        log_error("redis_evicts", LOG_S("address", n->rc.link.label), LOG_SL("maxmemory_policy", policy),
                  LOG_S("needed", "noeviction"));
    if (!bad && n->policy[0] != '\0')
        log_info("redis_evicts_no_more", LOG_S("address", n->rc.link.label));
    snprintf(n->policy, sizeof(n->policy), "%.*s", bad ? (int)policy.n : 0, policy.p);
    pipe_hold(&n->pipe, bad);
    pipe_hold(&n->refill, bad);
}

/* A user who may not ask for INFO is believed to know what he does. */
static void on_policy(void *arg, const redisReply *reply)
{
    struct node *n = arg;
    if (reply == NULL)
        return;
    if (reply->type == REDIS_REPLY_STRING)
        judge_policy(n, info_value(slice_make(reply->str, reply->len), SLICE("maxmemory_policy:")));
    else
        log_warn("redis_policy_unknown", LOG_S("address", n->rc.link.label),
                 LOG_S("reply", reply->type == REDIS_REPLY_ERROR ? reply->str : "odd reply"));
    if (n->state != NODE_GREETING)
        return;
    n->state = NODE_READY;
    n->ops->on_ready(n);
}

static void ask_policy(struct node *n)
{
    const struct slice argv[] = {SLICE("INFO"), SLICE("memory")};
    n->asked_ms = n->loop->now_ms;
    (void)redis_commands_send(&n->rc, argv, ARRAY_LEN(argv), on_policy, n);
}

static void on_up(struct redis_commands *rc)
{
    struct node *n = rc->owner;
    n->state = NODE_GREETING;
    n->reloading = false;
    redis_library_ensure(&n->library);
}

static void on_down(struct redis_commands *rc, const char *reason)
{
    struct node *n = rc->owner;
    if (n->state == NODE_READY)
        n->down_ms = n->loop->now_ms;
    n->state = NODE_DOWN;
    redis_library_stop(&n->library);
    pipe_close(&n->pipe);
    pipe_close(&n->refill);
    n->ops->on_down(n);
}

static void on_closed(struct pipe *p, enum redis_fn_result why)
{
    struct node *n = p->owner;
    if (why != REDIS_FN_MISSING) {
        n->ops->on_markers_lost(n);
        return;
    }
    n->reloading = true;
    redis_library_ensure(&n->library);
}

static void on_open(struct pipe *p)
{
    struct node *n = p->owner;
    n->ops->on_flowing(n);
}

static void on_refused(struct pipe *p, enum redis_fn_result why)
{
    struct node *n = p->owner;
    n->ops->on_refused(n, p, why);
}

static void on_still(struct pipe *p)
{
    struct node *n = p->owner;
    n->ops->on_still(n);
}

static void on_confirmed(struct pipe *p, const struct pipe_call *call, bool duplicate, uint64_t latency_us)
{
    struct node *n = p->owner;
    n->ops->on_confirmed(n, call, duplicate, latency_us);
}

static void on_nothing(struct pipe *p)
{
}

static void on_refilled(struct pipe *p, const struct pipe_call *call, bool duplicate, uint64_t latency_us)
{
    struct node *n = p->owner;
    n->ops->on_refilled(n, call, duplicate);
}

static void on_read(struct markers *m, bool ok)
{
    struct node *n = m->owner;
    n->ops->on_markers_read(n, ok);
}

static void on_created(struct markers *m, bool ok)
{
    struct node *n = m->owner;
    n->ops->on_markers_created(n, ok);
}

static void on_changed(struct markers *m)
{
    struct node *n = m->owner;
    pipe_abandon(&n->pipe);
    pipe_abandon(&n->refill);
    n->ops->on_data_lost(n);
}

static void on_lost(struct markers *m)
{
    struct node *n = m->owner;
    n->ops->on_markers_lost(n);
}

static const struct pipe_ops pipe_ops = {.on_confirmed = on_confirmed,
                                         .on_open = on_open,
                                         .on_refused = on_refused,
                                         .on_closed = on_closed,
                                         .on_still = on_still};
static const struct pipe_ops refill_ops = {.on_confirmed = on_refilled,
                                           .on_open = on_nothing,
                                           .on_refused = on_refused,
                                           .on_closed = on_closed,
                                           .on_still = on_nothing};
static const struct markers_ops markers_ops = {
    .on_read = on_read, .on_changed = on_changed, .on_created = on_created, .on_lost = on_lost};

void node_init(struct node *n, struct loop *l, const uint16_t *home, uint16_t self, const struct node_ops *ops,
               void *owner)
{
    *n = (struct node){.loop = l, .ops = ops, .owner = owner, .down_ms = l->now_ms};
    redis_library_init(&n->library, l, &n->rc, n, on_library_ready);
    markers_init(&n->markers, &n->rc, home, self, &markers_ops, n);
    pipe_init(&n->pipe, l, &n->rc, &pipe_ops, n, n->markers.epochs);
    pipe_init(&n->refill, l, &n->rc, &refill_ops, n, n->markers.epochs);
    redis_commands_init(&n->rc, l, NULL, n, on_up, on_down);
}

void node_redirect(struct node *n, const struct endpoint *endpoint)
{
    redis_link_redirect(&n->rc.link, endpoint);
}

void node_release(struct node *n)
{
    n->state = NODE_DOWN;
    redis_commands_release(&n->rc);
    pipe_release(&n->pipe);
    pipe_release(&n->refill);
    markers_release(&n->markers);
    redis_library_release(&n->library);
}

void node_open(struct node *n)
{
    if (n->state == NODE_READY && n->pipe.state == PIPE_CLOSED && !n->reloading && !n->markers.reading)
        pipe_open(&n->pipe);
}

struct pipe *node_refill_pipe(struct node *n)
{
    struct pipe *p = &n->refill;
    if (p->state != PIPE_CLOSED || n->pipe.state != PIPE_OPEN || n->reloading || n->markers.reading)
        return p;
    p->beat_bucket = n->pipe.beat_bucket;
    p->floor = MAX(p->floor, n->pipe.floor);
    pipe_open(p);
    return p;
}

void node_second(struct node *n)
{
    if (n->state != NODE_READY)
        return;
    pipe_beat(&n->pipe);
    uint64_t interval = n->policy[0] != '\0' ? POLICY_BAD_MS : POLICY_INTERVAL_MS;
    if (n->loop->now_ms - n->asked_ms >= interval)
        ask_policy(n);
}

bool node_is_fine(const struct node *n)
{
    return n->state == NODE_READY && n->policy[0] == '\0' && n->pipe.state == PIPE_OPEN && !n->pipe.refused;
}

/* Targets are gathered by bucket, because a call may touch the keys of one only. */
#include "gateway/heads.h"
#include "common/log.h"

#include <stdlib.h>

/* One call: its targets by name, a line each, in the order of the reply; they may be let go meanwhile. */
struct heads_read {
    struct heads *heads;
    unsigned era;
    size_t names_n;
    char names[];
};

struct gathered {
    struct slice names[REDIS_FN_HEADS_MAX];
    size_t n, bytes;
};

static void gather(struct gathered *g, const struct target *t)
{
    g->names[g->n++] = hub_name(t);
    g->bytes += t->name_n + 1;
}

static void ask_later(struct heads *h, struct target *t)
{
    if (t->state == TARGET_DOUBTED && t->member_count > 0)
        heads_ask(h, t);
}

static void tell(struct heads *h, struct target *t, const redisReply *reply)
{
    bool known = reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0;
    uint64_t id = known ? (uint64_t)reply->integer : 0;
    h->on_head(h, t, known ? &id : NULL);
}

static void on_reply(void *arg, const redisReply *reply)
{
    struct heads_read *read = arg;
    struct heads *h = read->heads;
    struct slice rest = slice_make(read->names, read->names_n);
    if (reply == NULL || read->era != h->era) {
        free(read);
        return;
    }
    bool missing = redis_fn_result(reply, NULL) == REDIS_FN_MISSING;
    if (missing)
        redis_library_ensure(h->library);
    else if (reply->type != REDIS_REPLY_ARRAY)
        log_warn("heads_unreadable", LOG_S("address", h->commands->link.label),
                 LOG_S("reply", reply->type == REDIS_REPLY_ERROR ? reply->str : "odd reply"));
    for (size_t i = 0; rest.n > 0; i++) {
        struct target *t = hub_find(h->hub, slice_cut(&rest, '\n'));
        if (t != NULL && missing)
            ask_later(h, t);
        else if (t != NULL)
            tell(h, t, reply->type == REDIS_REPLY_ARRAY && i < reply->elements ? reply->element[i] : NULL);
    }
    free(read);
}

static void send_call(struct heads *h, unsigned bucket, const struct gathered *g)
{
    if (g->n == 0)
        return;
    struct heads_read *read = xmalloc(sizeof(*read) + g->bytes);
    *read = (struct heads_read){.heads = h, .era = h->era, .names_n = g->bytes};
    char *at = read->names;
    for (size_t i = 0; i < g->n; i++) {
        memcpy(at, g->names[i].p, g->names[i].n);
        at += g->names[i].n;
        *at++ = '\n';
    }
    buf_clear(&h->scratch);
    redis_fn_heads(&h->scratch, bucket, g->names, g->n);
    if (redis_commands_send_resp(h->commands, buf_slice(&h->scratch), on_reply, read) != 0)
        free(read);
}

/* All doubted targets of the bucket that the first of them is in. */
static void ask_first_bucket(struct heads *h)
{
    unsigned bucket = CONTAINER_OF(h->doubted.next, struct target, queued)->bucket;
    struct gathered g = {.n = 0};
    LIST_EACH (it, &h->hub->buckets[bucket]) {
        struct target *t = CONTAINER_OF(it, struct target, of_bucket);
        if (t->state != TARGET_DOUBTED || t->member_count == 0 || list_empty(&t->queued))
            continue;
        list_remove(&t->queued);
        gather(&g, t);
        if (g.n == ARRAY_LEN(g.names))
            break;
    }
    send_call(h, bucket, &g);
}

static bool on_turn(struct turn_hook *hook)
{
    struct heads *h = CONTAINER_OF(hook, struct heads, ask);
    while (!list_empty(&h->doubted) && redis_library_is_usable(h->library))
        ask_first_bucket(h);
    return false;
}

void heads_ask(struct heads *h, struct target *t)
{
    assert(t->state == TARGET_DOUBTED && t->member_count > 0);
    list_remove(&t->queued);
    list_push_back(&h->doubted, &t->queued);
}

void heads_sweep(struct heads *h, unsigned bucket)
{
    struct gathered g; /* not cleared whole: it is large, and most buckets are empty */
    g.n = g.bytes = 0;
    if (!redis_library_is_usable(h->library))
        return;
    LIST_EACH (it, &h->hub->buckets[bucket]) {
        const struct target *t = CONTAINER_OF(it, struct target, of_bucket);
        if (t->state != TARGET_LIVE || t->member_count == 0)
            continue;
        gather(&g, t);
        if (g.n == ARRAY_LEN(g.names)) {
            send_call(h, bucket, &g);
            g.n = g.bytes = 0;
        }
    }
    send_call(h, bucket, &g);
}

void heads_reset(struct heads *h)
{
    h->era++;
}

void heads_init(struct heads *h, struct context *ctx, struct hub *hub, struct redis_commands *commands,
                struct redis_library *library, void (*on_head)(struct heads *, struct target *, const uint64_t *),
                void *owner)
{
    *h = (struct heads){.hub = hub, .commands = commands, .library = library, .owner = owner, .on_head = on_head};
    list_init(&h->doubted);
    loop_add_hook(ctx->loop, &h->ask, on_turn);
}

void heads_release(struct heads *h)
{
    list_remove(&h->ask.link);
    buf_release(&h->scratch);
}

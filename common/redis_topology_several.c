/* Several nodes share the buckets by the list in the URL alone, so everybody must have the same list: the first to come
 * writes it on each node, and a node that bears another one is not used. */
#include "common/buf.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/redis_topology_finder.h"

#include <inttypes.h>
#include <stdlib.h>

#define STAMP_KEY "tg:nodes"

static size_t one_each(const struct redis_site *site)
{
    return site->count;
}

/* All homes are known at once; who is there is not said before the node's stamp was read. */
static void begin(struct redis_topology *t)
{
    t->count = t->site->count;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        redis_home_set(t, bucket, redis_site_node(t->site, bucket));
}

/* "<hash of the list> <place in it> <the list>". The place tells two names of one server apart. */
static struct buf stamp_of(const struct redis_asker *a)
{
    const char *list = a->topology->site->list;
    struct buf text = {0};
    buf_printf(&text, "%016" PRIx64 " %zu %s", hash_fnv1a(slice_of(list)), a->i, list);
    return text;
}

static void note_known(struct redis_topology *t)
{
    bool all = true;
    for (size_t i = 0; i < t->count; i++)
        all &= t->askers[i].answered;
    t->known |= all;
}

static void refuse(struct redis_asker *a, struct slice theirs)
{
    struct redis_topology *t = a->topology;
    if (!a->complained)
        log_error("redis_nodes_differ", LOG_S("address", a->rc.link.label), LOG_S("ours", t->site->list),
                  LOG_SL("theirs", theirs),
                  LOG_S("meaning",
                        "this process does not use the node: give all processes the same hosts in REDIS_URL, "
                        "in the same order; to change them for good, stop all and delete the key " STAMP_KEY
                        " on every node"));
    a->complained = true;
    a->answered = false;
    if (redis_place_set(t, a->i, NULL, 0))
        t->on_change(t);
}

static void accept_node(struct redis_asker *a)
{
    struct redis_topology *t = a->topology;
    a->answered = true;
    a->complained = false;
    note_known(t);
    if (redis_place_set(t, a->i, t->site->hosts[a->i].host, t->site->hosts[a->i].port))
        t->on_change(t);
}

/* Nil: there was none, and ours is there now. */
static void on_stamp(void *arg, const redisReply *reply)
{
    struct redis_asker *a = arg;
    if (reply == NULL)
        return;
    struct buf ours = stamp_of(a);
    struct slice theirs = reply->type == REDIS_REPLY_STRING ? slice_make(reply->str, reply->len) : buf_slice(&ours);
    if (reply->type == REDIS_REPLY_ERROR)
        log_warn("redis_stamp_unread", LOG_S("address", a->rc.link.label), LOG_S("reply", reply->str));
    else if (slice_eq(theirs, buf_slice(&ours)))
        accept_node(a);
    else
        refuse(a, theirs);
    buf_release(&ours);
}

static void ask(struct redis_topology *t)
{
    for (size_t i = 0; i < t->asker_count; i++) {
        struct redis_asker *a = &t->askers[i];
        if (!redis_commands_is_up(&a->rc))
            continue;
        struct buf stamp = stamp_of(a);
        const struct slice argv[] = {SLICE("SET"), SLICE(STAMP_KEY), buf_slice(&stamp), SLICE("NX"), SLICE("GET")};
        redis_commands_send(&a->rc, argv, ARRAY_LEN(argv), on_stamp, a);
        buf_release(&stamp);
    }
}

const struct redis_finder redis_find_several = {.askers = one_each, .begin = begin, .ask = ask, .calm_ms = 10000};

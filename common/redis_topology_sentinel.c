/* All Sentinels are asked, and the answer with the highest configuration epoch holds: one that was cut off from the
 * others still names the master of yesterday. So does the one that leads a failover, until its last replica follows,
 * though under the new epoch, when the others name the successor. */
#include "common/log.h"
#include "common/redis_topology_finder.h"

static size_t one_each(const struct redis_site *site)
{
    return site->count;
}

static void begin(struct redis_topology *t)
{
}

static bool is_newer(const struct redis_master *m, const struct redis_master *than)
{
    return m->epoch > than->epoch || (m->epoch == than->epoch && than->failing_over);
}

static void choose(struct redis_topology *t)
{
    const struct redis_master *best = NULL;
    for (size_t i = 0; i < t->asker_count; i++) {
        const struct redis_asker *a = &t->askers[i];
        if (a->answered && (best == NULL || is_newer(&a->master, best)))
            best = &a->master;
    }
    if (best == NULL || !redis_place_set(t, 0, best->host, best->port))
        return;
    t->known = true;
    log_info("redis_master", LOG_S("name", t->site->master), LOG_S("host", best->host), LOG_I("port", best->port),
             LOG_I("epoch", best->epoch));
    t->on_change(t);
}

static void complain(struct redis_asker *a, const redisReply *reply)
{
    a->answered = false;
    if (!a->complained)
        log_error("redis_master_unknown", LOG_S("sentinel", a->rc.link.label), LOG_S("name", a->topology->site->master),
                  LOG_S("reply", reply->type == REDIS_REPLY_ERROR ? reply->str : "odd reply"));
    a->complained = true;
}

static void on_master(void *arg, const redisReply *reply)
{
    struct redis_asker *a = arg;
    struct redis_master master;
    if (reply == NULL)
        return;
    if (redis_read_master(reply, &master) != 0) {
        complain(a, reply);
        return;
    }
    a->master = master;
    a->answered = true;
    a->complained = false;
    choose(a->topology);
}

static void ask(struct redis_topology *t)
{
    const struct slice argv[] = {SLICE("SENTINEL"), SLICE("MASTER"), slice_of(t->site->master)};
    for (size_t i = 0; i < t->asker_count; i++)
        if (redis_commands_is_up(&t->askers[i].rc))
            redis_commands_send(&t->askers[i].rc, argv, ARRAY_LEN(argv), on_master, &t->askers[i]);
}

/* Soon: a master that was cut off from its Sentinels, but not from us, takes what is written to it until we know of the
 * next one, and then loses it. A cluster's master in that place refuses by itself. */
const struct redis_finder redis_find_sentinel = {.askers = one_each, .begin = begin, .ask = ask, .calm_ms = 1000};

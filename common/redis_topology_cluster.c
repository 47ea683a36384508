/* One node is asked for the slots of all; when it is away, or does not see the cluster any more (it may be the one that
 * was cut off from the others, whose slots have new owners), the next one that is known. What MOVED names is asked
 * first: that node knows best what it has got. */
#include "common/log.h"
#include "common/redis_topology_finder.h"

#define AWAY_MS 1000 /* a node that is not connected to by then is passed over */

static size_t only_one(const struct redis_site *site)
{
    return 1;
}

static void begin(struct redis_topology *t)
{
}

/* ---- applying an answer ---- */

static bool is_named(const struct redis_slots *s, const struct endpoint *e)
{
    for (size_t i = 0; i < s->count; i++)
        if (endpoint_is_at(e, s->nodes[i].host, s->nodes[i].port))
            return true;
    return false;
}

static size_t place_of(const struct redis_topology *t, const char *host, uint16_t port)
{
    size_t i = 0;
    while (i < t->count && !endpoint_is_at(&t->places[i].endpoint, host, port))
        i++;
    return i;
}

/* Nodes keep their places; new ones take those of nodes that are no more, so that a replica that takes over stands
 * where its master stood. */
static bool place_nodes(struct redis_topology *t, const struct redis_slots *s, size_t place[REDIS_NODES_MAX])
{
    bool changed = false;
    size_t free = 0;
    for (size_t i = 0; i < s->count; i++) {
        place[i] = place_of(t, s->nodes[i].host, s->nodes[i].port);
        if (place[i] < t->count)
            continue;
        while (free < t->count && is_named(s, &t->places[free].endpoint))
            free++;
        place[i] = free;
        changed |= redis_place_set(t, free, s->nodes[i].host, s->nodes[i].port);
    }
    return changed;
}

static unsigned settle_homes(struct redis_topology *t, const struct redis_slots *s, const size_t *place)
{
    unsigned moved = 0;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (s->owner[bucket] != REDIS_NO_NODE)
            moved += redis_home_set(t, bucket, place[s->owner[bucket]]);
    return moved;
}

/* Nodes that have no bucket any more are left alone. */
static bool leave_empty(struct redis_topology *t)
{
    bool changed = false;
    for (size_t i = 0; i < t->count; i++) {
        unsigned bucket = 0;
        while (bucket < TARGET_BUCKETS && t->home[bucket] != i)
            bucket++;
        if (bucket == TARGET_BUCKETS)
            changed |= redis_place_set(t, i, NULL, 0);
    }
    return changed;
}

static bool is_whole(const struct redis_slots *s)
{
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (s->owner[bucket] == REDIS_NO_NODE)
            return false;
    return true;
}

static void apply(struct redis_topology *t, const struct redis_slots *s)
{
    size_t place[REDIS_NODES_MAX];
    if (!t->known && !is_whole(s))
        return; /* a cluster that is still being made */
    bool changed = place_nodes(t, s, place);
    unsigned moved = settle_homes(t, s, place);
    changed |= leave_empty(t) || moved > 0 || !t->known;
    t->known = true;
    if (!changed)
        return;
    log_info("redis_cluster", LOG_I("masters", s->count), LOG_I("buckets_moved", moved));
    t->on_change(t);
}

/* ---- asking ---- */

static void turn_to(struct redis_asker *a, const char *host, uint16_t port)
{
    struct endpoint e;
    endpoint_copy(&e, &a->topology->site->data);
    e.host = xstrdup(host);
    e.port = port;
    a->topology->asked_ms = a->topology->loop->now_ms;
    a->distrusted = false;
    redis_link_redirect(&a->rc.link, &e);
    endpoint_release(&e);
}

/* Round by round: the nodes that are known, then those of the URL. */
static void turn_to_next(struct redis_asker *a)
{
    struct redis_topology *t = a->topology;
    const struct endpoint *next = NULL;
    while (next == NULL) {
        size_t i = t->turn++ % (t->count + t->site->count);
        next = i < t->count ? redis_topology_endpoint(t, i) : &t->site->hosts[i - t->count];
    }
    turn_to(a, next->host, next->port);
}

static void on_info(void *arg, const redisReply *reply)
{
    struct redis_asker *a = arg;
    if (reply == NULL)
        return;
    a->distrusted = reply->type == REDIS_REPLY_STRING && !redis_read_cluster_ok(slice_make(reply->str, reply->len));
    if (a->distrusted)
        redis_topology_doubt(a->topology);
}

static void on_slots(void *arg, const redisReply *reply)
{
    struct redis_asker *a = arg;
    struct redis_slots slots;
    const char *why;
    if (reply == NULL || a->distrusted)
        return;
    if (reply->type != REDIS_REPLY_ERROR && redis_read_slots(reply, a->rc.link.endpoint.host, &slots, &why) == 0) {
        a->complained = false;
        apply(a->topology, &slots);
        return;
    }
    if (!a->complained)
        log_error("redis_cluster_unknown", LOG_S("address", a->rc.link.label),
                  LOG_S("reason", reply->type == REDIS_REPLY_ERROR ? reply->str : why));
    a->complained = true;
}

static void ask(struct redis_topology *t)
{
    struct redis_asker *a = &t->askers[0];
    const struct slice info[] = {SLICE("CLUSTER"), SLICE("INFO")}, slots[] = {SLICE("CLUSTER"), SLICE("SLOTS")};
    if (redis_commands_is_up(&a->rc) && !a->distrusted) {
        redis_commands_send(&a->rc, info, ARRAY_LEN(info), on_info, a);
        redis_commands_send(&a->rc, slots, ARRAY_LEN(slots), on_slots, a);
        a->away_ms = 0;
        return;
    }
    if (a->away_ms == 0)
        a->away_ms = t->loop->now_ms;
    if (!a->distrusted && t->loop->now_ms - a->away_ms < AWAY_MS)
        return;
    a->away_ms = t->loop->now_ms;
    turn_to_next(a);
}

static void on_away(struct redis_asker *a)
{
    a->away_ms = 0;
    redis_topology_doubt(a->topology);
}

void redis_topology_refused(struct redis_topology *t, struct slice error)
{
    struct redis_moved moved;
    if (t->site->kind == REDIS_CLUSTER && t->askers != NULL && redis_read_moved(error, &moved) == REDIS_MOVED &&
        moved.host[0] != '\0' && !endpoint_is_at(&t->askers[0].rc.link.endpoint, moved.host, moved.port)) {
        t->askers[0].away_ms = 0;
        turn_to(&t->askers[0], moved.host, moved.port);
    }
    redis_topology_doubt(t);
}

const struct redis_finder redis_find_cluster = {
    .askers = only_one, .begin = begin, .ask = ask, .calm_ms = 10000, .on_away = on_away};

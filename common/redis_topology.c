/* When to ask, and what becomes of the answers: the same for all topologies. How one asks is told by the finder. */
#include "common/redis_topology.h"
#include "common/hash.h"
#include "common/redis_topology_finder.h"

#include <stdlib.h>

#define DOUBT_MS     250   /* in doubt it asks so often, */
#define DOUBT_FOR_MS 10000 /* for so long after the last doubt */
#define ASK_GAP_MS   100

static const struct redis_finder *const finders[] = {[REDIS_ONE] = &redis_find_one,
                                                     [REDIS_SENTINEL] = &redis_find_sentinel,
                                                     [REDIS_CLUSTER] = &redis_find_cluster,
                                                     [REDIS_SEVERAL] = &redis_find_several};

bool redis_place_set(struct redis_topology *t, size_t place, const char *host, uint16_t port)
{
    struct redis_place *p = &t->places[place];
    assert(place < REDIS_NODES_MAX);
    t->count = MAX(t->count, place + 1);
    if (host == NULL ? p->endpoint.host == NULL : endpoint_is_at(&p->endpoint, host, port))
        return false;
    endpoint_release(&p->endpoint);
    if (host != NULL) {
        endpoint_copy(&p->endpoint, &t->site->data);
        p->endpoint.host = xstrdup(host);
        p->endpoint.port = port;
    }
    p->version++;
    return true;
}

bool redis_home_set(struct redis_topology *t, unsigned bucket, size_t place)
{
    bool moved = t->home[bucket] != place;
    t->home[bucket] = (uint16_t)place;
    return moved;
}

static void ask(struct redis_topology *t)
{
    t->asked_ms = t->loop->now_ms;
    t->finder->ask(t);
}

static void set_alarm(struct redis_topology *t)
{
    unsigned calm_ms = t->finder->calm_ms;
    bool doubt = !t->known || t->loop->now_ms < t->doubt_until_ms;
    timer_start(t->loop, &t->timer, doubt ? DOUBT_MS : calm_ms + hash_random() % calm_ms);
}

static void on_timer(struct timer *timer)
{
    struct redis_topology *t = CONTAINER_OF(timer, struct redis_topology, timer);
    ask(t);
    set_alarm(t);
}

void redis_topology_doubt(struct redis_topology *t)
{
    if (t->askers == NULL)
        return; /* released: links that end tell of their end */
    bool calm = t->loop->now_ms >= t->doubt_until_ms;
    t->doubt_until_ms = t->loop->now_ms + DOUBT_FOR_MS;
    if (calm || t->loop->now_ms - t->asked_ms >= ASK_GAP_MS)
        ask(t);
    if (calm)
        set_alarm(t);
}

static void on_asker_up(struct redis_commands *rc)
{
    struct redis_asker *a = rc->owner;
    ask(a->topology);
}

static void on_asker_down(struct redis_commands *rc, const char *reason)
{
    struct redis_asker *a = rc->owner;
    a->answered = false;
    if (a->topology->finder->on_away != NULL)
        a->topology->finder->on_away(a);
}

void redis_topology_init(struct redis_topology *t, struct loop *l, const struct redis_site *site, void *owner,
                         void (*on_change)(struct redis_topology *))
{
    *t = (struct redis_topology){
        .loop = l, .site = site, .owner = owner, .on_change = on_change, .count = 1, .finder = finders[site->kind]};
    timer_init(&t->timer, on_timer);
    t->asker_count = t->finder->askers(site);
    t->askers = xcalloc(t->asker_count + 1, sizeof(*t->askers));
    t->finder->begin(t);
    unsigned first = (unsigned)(hash_random() % site->count);
    for (size_t i = 0; i < t->asker_count; i++) {
        struct redis_asker *a = &t->askers[i];
        a->topology = t;
        a->i = t->asker_count == 1 ? first : i;
        redis_commands_init(&a->rc, l, &site->hosts[a->i], a, on_asker_up, on_asker_down);
    }
    if (t->asker_count > 0)
        set_alarm(t);
}

void redis_topology_release(struct redis_topology *t)
{
    timer_stop(&t->timer);
    for (size_t i = 0; i < t->asker_count; i++)
        redis_commands_release(&t->askers[i].rc);
    free(t->askers);
    t->askers = NULL;
    for (size_t i = 0; i < t->count; i++)
        endpoint_release(&t->places[i].endpoint);
}

unsigned redis_topology_first(const struct redis_topology *t, size_t place)
{
    unsigned bucket = 0;
    while (bucket < TARGET_BUCKETS && t->home[bucket] != place)
        bucket++;
    return bucket;
}

/* ---- one server: nothing to find ---- */

static size_t no_askers(const struct redis_site *site)
{
    return 0;
}

static void begin_one(struct redis_topology *t)
{
    redis_place_set(t, 0, t->site->hosts[0].host, t->site->hosts[0].port);
    t->known = true;
}

static void ask_nobody(struct redis_topology *t)
{
    timer_stop(&t->timer);
}

const struct redis_finder redis_find_one = {
    .askers = no_askers, .begin = begin_one, .ask = ask_nobody, .calm_ms = 10000};

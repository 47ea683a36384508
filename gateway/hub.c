/* Targets by name, members in two lists at once: leaving is O(1) for each target that a connection is in. */
#include "gateway/hub.h"
#include "common/hash.h"

#include <stdlib.h>

#define LOSS_LASTS_US 600000000 /* routers append again within seconds of Redis's taking it */

void hub_init(struct hub *h, struct context *ctx, const struct hub_watcher *watcher)
{
    *h = (struct hub){.ctx = ctx, .watcher = *watcher};
    map_init(&h->targets);
    for (size_t i = 0; i < TARGET_BUCKETS; i++)
        list_init(&h->buckets[i]);
}

void hub_release(struct hub *h)
{
    struct map_node *node;
    while ((node = map_first(&h->targets)) != NULL)
        hub_forget(h, CONTAINER_OF(node, struct target, node));
    map_release(&h->targets);
}

struct target *hub_find(struct hub *h, struct slice name)
{
    struct map_node *node = map_find(&h->targets, name);
    return node != NULL ? CONTAINER_OF(node, struct target, node) : NULL;
}

static struct target *target_new(struct hub *h, struct slice name)
{
    struct target *t = xcalloc(1, sizeof(*t) + name.n);
    memcpy(t->name, name.p, name.n);
    t->name_n = (uint16_t)name.n;
    t->bucket = (uint16_t)target_bucket(name);
    list_init(&t->members);
    list_push_back(&h->buckets[t->bucket], &t->of_bucket);
    list_init(&t->queued);
    list_init(&t->changed);
    map_insert(&h->targets, &t->node, hub_name(t));
    return t;
}

void hub_forget(struct hub *h, struct target *t)
{
    assert(t->member_count == 0);
    map_remove(&h->targets, &t->node);
    list_remove(&t->of_bucket);
    list_remove(&t->queued);
    list_remove(&t->changed);
    seen_release(&t->seen);
    seen_release(&t->lost);
    free(t);
}

/* Before and after: how many connections the user has here. */
static void count_members(struct hub *h, struct target *t, int change)
{
    uint32_t before = t->member_count;
    t->member_count += (uint32_t)change;
    if (!hub_is_user(t))
        return;
    h->users += (t->member_count > 0) - (before > 0);
    struct metric_histogram *distribution = &h->ctx->metrics->user_connections;
    if (before > 0)
        histogram_forget(distribution, before);
    if (t->member_count > 0)
        histogram_observe(distribution, t->member_count);
    h->watcher.on_count(h->watcher.arg, t);
}

/* One too many for this worker alone is refused at once, and makes no count older. */
static void note_joined(struct hub *h, struct target *t)
{
    if (t->member_count >= (uint64_t)h->ctx->cfg->max_connections_per_user)
        return;
    t->joined_ms = (uint32_t)h->ctx->loop->now_ms;
    t->counted = HUB_COUNTED_BEFORE;
}

struct target *hub_join(struct hub *h, struct conn *c, struct member **memberships, struct slice name)
{
    struct target *t = hub_find(h, name);
    bool fresh = t == NULL;
    if (fresh)
        t = target_new(h, name);
    struct member *m = xmalloc(sizeof(*m));
    *m = (struct member){.target = t, .conn = c, .next_of_conn = *memberships};
    *memberships = m;
    list_push_back(&t->members, &m->of_target);
    note_joined(h, t);
    count_members(h, t, +1);
    if (t->member_count == 1)
        h->watcher.on_occupied(h->watcher.arg, t, fresh);
    return t;
}

void member_had(struct member *m, struct seen *had)
{
    member_had_all(m);
    m->had = xmalloc(sizeof(*m->had));
    *m->had = *had;
    *had = (struct seen){0};
}

void member_had_all(struct member *m)
{
    if (m->had == NULL)
        return;
    seen_release(m->had);
    free(m->had);
    m->had = NULL;
}

void member_catch_up(struct member *m)
{
    const struct target *t = m->target;
    if (m->had != NULL && !hub_has_lost(t) && seen_covers(&t->seen, m->had))
        member_had_all(m);
}

void hub_leave_all(struct hub *h, struct member **memberships)
{
    while (*memberships != NULL) {
        struct member *m = *memberships;
        struct target *t = m->target;
        *memberships = m->next_of_conn;
        list_remove(&m->of_target);
        member_had_all(m);
        free(m);
        count_members(h, t, -1);
        if (t->member_count == 0)
            h->watcher.on_vacant(h->watcher.arg, t);
    }
}

/* Who leaves another worker may be here before that worker's word of it is in Redis: a count of that moment lets in,
 * but refuses nobody. */
enum hub_room hub_room_of(struct hub *h, struct target *t)
{
    uint64_t cap = (uint64_t)h->ctx->cfg->max_connections_per_user;
    if (cap == 0 || !hub_is_user(t) || (uint64_t)t->member_count + t->elsewhere <= cap)
        return HUB_ROOM;
    if (t->member_count > cap || t->counted == HUB_COUNTED_WELL)
        return HUB_OVER;
    h->watcher.on_doubt(h->watcher.arg, t);
    return HUB_DOUBTFUL;
}

bool hub_saw(struct target *t, struct slice part, uint64_t offset, uint64_t n)
{
    return seen_take(&t->seen, seen_part(part), offset, n);
}

void hub_lost(struct target *t, uint64_t id)
{
    seen_copy(&t->lost, &t->seen);
    t->lost_id = id;
}

static void end_loss(struct target *t)
{
    seen_release(&t->lost);
    LIST_EACH (it, &t->members)
        member_catch_up(CONTAINER_OF(it, struct member, of_target));
}

void hub_came_again(struct target *t, struct slice part, uint64_t offset, uint64_t n)
{
    if (!hub_has_lost(t))
        return;
    seen_forget(&t->lost, seen_part(part), offset, n);
    if (!hub_has_lost(t))
        end_loss(t);
}

void hub_lost_long_ago(struct target *t, uint64_t id)
{
    if (hub_has_lost(t) && id > t->lost_id + LOSS_LASTS_US)
        end_loss(t);
}

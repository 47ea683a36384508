/* Counts by key under a mutex, and fixed windows of messages. */
#include "gateway/limit.h"

#include <stdlib.h>

struct limit_entry {
    struct map_node node;
    unsigned count;
    char key[];
};

void limit_init(struct limit *l, unsigned max)
{
    pthread_mutex_init(&l->lock, NULL);
    map_init(&l->entries);
    l->max = max;
}

void limit_release(struct limit *l)
{
    map_release(&l->entries);
    pthread_mutex_destroy(&l->lock);
}

static struct limit_entry *entry_of(struct limit *l, struct slice key)
{
    struct map_node *node = map_find(&l->entries, key);
    if (node != NULL)
        return CONTAINER_OF(node, struct limit_entry, node);
    struct limit_entry *e = xcalloc(1, sizeof(*e) + key.n);
    memcpy(e->key, key.p, key.n);
    map_insert(&l->entries, &e->node, slice_make(e->key, key.n));
    return e;
}

int limit_enter(struct limit *l, struct slice key, struct limit_entry **entry)
{
    *entry = NULL;
    if (l->max == 0)
        return 0;
    int rc = -1;
    pthread_mutex_lock(&l->lock);
    struct limit_entry *e = entry_of(l, key);
    if (e->count < l->max) {
        e->count++;
        *entry = e;
        rc = 0;
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

void limit_leave(struct limit *l, struct limit_entry *entry)
{
    if (entry == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    if (--entry->count == 0) {
        map_remove(&l->entries, &entry->node);
        free(entry);
    }
    pthread_mutex_unlock(&l->lock);
}

int limit_seat_take(struct limit_seats *s)
{
    uint64_t before = atomic_fetch_add_explicit(&s->taken, 1, memory_order_relaxed);
    if (s->max == 0 || before < s->max)
        return 0;
    limit_seat_give(s);
    return -1;
}

void limit_seat_give(struct limit_seats *s)
{
    atomic_fetch_sub_explicit(&s->taken, 1, memory_order_relaxed);
}

bool limit_rate_allows(struct limit_rate *r, uint64_t now_ms, uint64_t window_ms, uint32_t max)
{
    if (max == 0)
        return true;
    if (r->count == 0 || now_ms - r->window_ms >= window_ms)
        *r = (struct limit_rate){.window_ms = now_ms};
    if (r->count >= max)
        return false;
    r->count++;
    return true;
}

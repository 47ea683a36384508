/* The hash table: see map.h for the contract. */
#include "common/map.h"
#include "common/hash.h"

#include <stdlib.h>

#define MAP_SLOTS_MIN 16

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_release(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}

static struct map_node **slot_of(const struct map *m, uint64_t hash)
{
    return &m->slots[hash & m->mask];
}

static void resize(struct map *m, size_t slots)
{
    struct map next = {.slots = xcalloc(slots, sizeof(*next.slots)), .mask = slots - 1, .count = m->count};
    for (size_t i = 0; m->slots != NULL && i <= m->mask; i++) {
        struct map_node *node = m->slots[i];
        while (node != NULL) {
            struct map_node *after = node->next;
            struct map_node **slot = slot_of(&next, node->hash);
            node->next = *slot;
            *slot = node;
            node = after;
        }
    }
    free(m->slots);
    *m = next;
}

struct map_node *map_find(const struct map *m, struct slice key)
{
    if (m->count == 0)
        return NULL;
    uint64_t hash = hash_keyed(key);
    struct map_node *node = *slot_of(m, hash);
    while (node != NULL && !(node->hash == hash && slice_eq(node->key, key)))
        node = node->next;
    return node;
}

void map_insert(struct map *m, struct map_node *node, struct slice key)
{
    if (m->slots == NULL)
        resize(m, MAP_SLOTS_MIN);
    else if (m->count > m->mask)
        resize(m, (m->mask + 1) * 2);
    node->hash = hash_keyed(key);
    node->key = key;
    struct map_node **slot = slot_of(m, node->hash);
    node->next = *slot;
    *slot = node;
    m->count++;
}

void map_remove(struct map *m, struct map_node *node)
{
    struct map_node **at = slot_of(m, node->hash);
    while (*at != node) {
        if (*at == NULL)
            BUG("node is not in this map");
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    m->count--;
    if (m->mask + 1 > MAP_SLOTS_MIN && m->count < (m->mask + 1) / 8)
        resize(m, (m->mask + 1) / 2);
}

static struct map_node *first_from(const struct map *m, size_t slot)
{
    for (; m->slots != NULL && slot <= m->mask; slot++)
        if (m->slots[slot] != NULL)
            return m->slots[slot];
    return NULL;
}

struct map_node *map_first(const struct map *m)
{
    return first_from(m, 0);
}

struct map_node *map_next(const struct map *m, const struct map_node *node)
{
    return node->next != NULL ? node->next : first_from(m, (node->hash & m->mask) + 1);
}

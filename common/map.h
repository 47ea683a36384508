/* A hash table of nodes embedded in what they index, keyed by bytes that the owner of the node keeps alive. Chained,
 * doubles at a load of one, halves below an eighth; hashes are keyed, so strangers cannot choose collisions. */
#ifndef TIDEGATE_COMMON_MAP_H
#define TIDEGATE_COMMON_MAP_H

#include "common/slice.h"

struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct slice key;
};

struct map {
    struct map_node **slots;
    size_t mask; /* slots - 1, a power of two minus one; 0 while empty */
    size_t count;
};

void map_init(struct map *m);
/* Frees the table; the nodes are the caller's. */
void map_release(struct map *m);
/* The node under this key, or NULL. */
struct map_node *map_find(const struct map *m, struct slice key);
/* Adds a node whose key is not yet present. *Borrows* key until map_remove. */
void map_insert(struct map *m, struct map_node *node, struct slice key);
void map_remove(struct map *m, struct map_node *node);
/* Walks: slot order. map_first of an empty map and map_next of the last node are NULL. Nothing may be inserted or
 * removed meanwhile. */
struct map_node *map_first(const struct map *m);
struct map_node *map_next(const struct map *m, const struct map_node *node);

#define MAP_EACH(it, m) for (struct map_node *it = map_first(m); it != NULL; it = map_next(m, it))

#endif

/* A doubly linked list of nodes embedded in what they link. An unlinked node points at itself. */
#ifndef TIDEGATE_COMMON_LIST_H
#define TIDEGATE_COMMON_LIST_H

#include "common/base.h"

struct list {
    struct list *next, *prev;
};

#define LIST_EACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current node may be removed or freed inside the walk, no other. */
#define LIST_EACH_SAFE(it, head)                                                                                       \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_push_front(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

/* Leaves the node unlinked; harmless on a node that is. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

#endif

/* Lists of places. */
#include "gateway/roster.h"

void roster_init(struct roster *r)
{
    *r = (struct roster){0};
    struct list *lists[] = {&r->joining,  &r->resuming, &r->beating, &r->watched,
                            &r->expiring, &r->closing,  &r->dead,    &r->dirty};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        list_init(lists[i]);
}

void roster_place_init(struct roster_place *p)
{
    list_init(&p->by_due);
    list_init(&p->dirty);
    list_init(&p->watched);
    p->due_ms = p->watch_due_ms = 0;
}

void roster_move(struct list *to, struct roster_place *p, uint64_t due_ms)
{
    list_remove(&p->by_due);
    list_push_back(to, &p->by_due);
    p->due_ms = due_ms;
}

void roster_watch(struct roster *r, struct roster_place *p, uint64_t due_ms)
{
    list_remove(&p->watched);
    list_push_back(&r->watched, &p->watched);
    p->watch_due_ms = due_ms;
}

void roster_expire_soon(struct roster *r, struct roster_place *p)
{
    list_remove(&p->watched);
    list_push_back(&r->expiring, &p->watched);
}

void roster_unwatch(struct roster_place *p)
{
    list_remove(&p->watched);
}

void roster_mark_dirty(struct roster *r, struct roster_place *p)
{
    if (list_empty(&p->dirty))
        list_push_back(&r->dirty, &p->dirty);
}

struct roster_place *roster_first_due(struct list *list, uint64_t now_ms)
{
    if (list_empty(list))
        return NULL;
    struct roster_place *first = CONTAINER_OF(list->next, struct roster_place, by_due);
    return first->due_ms <= now_ms ? first : NULL;
}

struct roster_place *roster_first_to_watch(struct roster *r, uint64_t now_ms)
{
    if (list_empty(&r->watched))
        return NULL;
    struct roster_place *first = CONTAINER_OF(r->watched.next, struct roster_place, watched);
    return first->watch_due_ms <= now_ms ? first : NULL;
}

struct roster_place *roster_take_dirty(struct roster *r)
{
    if (list_empty(&r->dirty))
        return NULL;
    struct roster_place *first = CONTAINER_OF(r->dirty.next, struct roster_place, dirty);
    list_remove(&first->dirty);
    return first;
}

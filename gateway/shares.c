/* A list that is searched from its end: some hundred gateways, once a second. */
#include "gateway/shares.h"

#include <stdlib.h>

static struct share *share_of(struct shares *s, struct slice gateway)
{
    for (size_t i = s->count; i > 0; i--)
        if (slice_eq(s->list[i - 1].gateway, gateway))
            return &s->list[i - 1];
    if (s->count == s->cap) {
        s->cap = MAX(16, 2 * s->cap);
        s->list = xrealloc(s->list, s->cap * sizeof(*s->list));
    }
    s->list[s->count] = (struct share){.gateway = gateway};
    return &s->list[s->count++];
}

void shares_add(struct shares *s, struct slice gateway, uint64_t connections)
{
    share_of(s, gateway)->connections += connections;
}

uint64_t shares_least(const struct shares *s)
{
    uint64_t least = s->count > 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < s->count; i++)
        least = MIN(least, s->list[i].connections);
    return least;
}

void shares_release(struct shares *s)
{
    free(s->list);
    *s = (struct shares){0};
}

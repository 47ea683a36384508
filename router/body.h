/* An encoded event that waits to be appended: the envelope's body once, and the names of its targets, shared by all the
 * calls that carry it. */
#ifndef TIDEGATE_ROUTER_BODY_H
#define TIDEGATE_ROUTER_BODY_H

#include "common/slice.h"

#include <stdlib.h>

struct body {
    unsigned refs;
    size_t size; /* of bytes */
    char bytes[];
};

/* Returns owned, with one ref; the caller fills bytes. */
static inline struct body *body_new(size_t size)
{
    struct body *b = xmalloc(sizeof(*b) + size);
    b->refs = 1;
    b->size = size;
    return b;
}

static inline struct body *body_ref(struct body *b)
{
    b->refs++;
    return b;
}

static inline void body_unref(struct body *b)
{
    if (--b->refs == 0)
        free(b);
}

#endif

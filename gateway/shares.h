/* Connections by gateway, added up out of what its workers say. Pure. */
#ifndef TIDEGATE_GATEWAY_SHARES_H
#define TIDEGATE_GATEWAY_SHARES_H

#include "common/slice.h"

struct share {
    struct slice gateway;
    uint64_t connections;
};

/* Zero-initialised is empty. */
struct shares {
    struct share *list; /* owned */
    size_t count, cap;
};

/* *Borrows* the gateway's id until shares_release. */
void shares_add(struct shares *s, struct slice gateway, uint64_t connections);
/* The fewest connections that one of them has; 0: there is none. */
uint64_t shares_least(const struct shares *s);
void shares_release(struct shares *s);

#endif

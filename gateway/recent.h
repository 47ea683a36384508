/* The keys of the last few events that came to a connection by one of several targets: the same event by another of
 * them is a repeat. Forgetting a key costs a repeat, never a loss. Zero-initialised is empty and ready. */
#ifndef TIDEGATE_GATEWAY_RECENT_H
#define TIDEGATE_GATEWAY_RECENT_H

#include "common/slice.h"

#define RECENT_KEYS 16

struct recent {
    uint64_t hashes[RECENT_KEYS]; /* keyed, so nobody can choose two keys that collide; 0: none */
    unsigned next;                /* the oldest */
};

/* Whether the key is among them; if not, it takes the place of the oldest. */
bool recent_knows(struct recent *r, struct slice key);

#endif

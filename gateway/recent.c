/* A ring of hashes. */
#include "gateway/recent.h"
#include "common/hash.h"

bool recent_knows(struct recent *r, struct slice key)
{
    uint64_t hash = hash_keyed(key);
    for (size_t i = 0; i < RECENT_KEYS; i++)
        if (r->hashes[i] == hash)
            return true;
    r->hashes[r->next] = hash;
    r->next = (r->next + 1) % RECENT_KEYS;
    return false;
}

/* How many connections this process has, and how many a key (a client's address). All that the workers share: a count,
 * and a table under a mutex, taken once when a connection comes and once when it goes. */
#ifndef TIDEGATE_GATEWAY_LIMIT_H
#define TIDEGATE_GATEWAY_LIMIT_H

#include "common/map.h"

#include <pthread.h>
#include <stdatomic.h>

struct limit_entry;

struct limit {
    pthread_mutex_t lock;
    struct map entries;
    unsigned max; /* a key's; 0: no limit, and nothing is counted */
};

void limit_init(struct limit *l, unsigned max);
void limit_release(struct limit *l);
/* Counts one more: 0 and *entry for limit_leave (NULL when nothing is counted), or -1 when the key has max already. */
int limit_enter(struct limit *l, struct slice key, struct limit_entry **entry);
void limit_leave(struct limit *l, struct limit_entry *entry);

/* The connections of the process. Zero-initialised but for max. */
struct limit_seats {
    uint64_t max; /* 0: no limit */
    _Atomic uint64_t taken;
};
/* Takes one: 0, or -1 when there are max already. */
int limit_seat_take(struct limit_seats *s);
void limit_seat_give(struct limit_seats *s);

/* Messages in a window of time, for one user on one worker. Zero-initialised. */
struct limit_rate {
    uint64_t window_ms; /* when the window began */
    uint32_t count;
};
/* True when one more is allowed: at most max in any fixed window of that length; max 0: always. */
bool limit_rate_allows(struct limit_rate *r, uint64_t now_ms, uint64_t window_ms, uint32_t max);

#endif

/* How many connections there are, over all gateways. Each worker writes its counts into Redis once a second under a
 * lease, and reads everybody's: never one call per connection. A worker that is killed drops out when its lease ends.
 * The cap per user holds over all gateways the same way: within the second, and then for good.
 *
 *   tg:{tag of bucket 0}:workers      set: ids of workers
 *   tg:{tag of bucket 0}:w:<worker>   "<connections> <users> <messages> <state> <movable>", lives CENSUS_LEASE_MS; more
 *                                     words may follow. A worker's id is its gateway's, a dot, and its number
 *   tg:{tag of bucket 0}:n:<worker>   JSON object: user → connections, at most STATUS_USERS_MAX; lives as long
 *   tg:{tag}:p:<target>               hash: worker → connections of this user there */
#ifndef TIDEGATE_GATEWAY_CENSUS_H
#define TIDEGATE_GATEWAY_CENSUS_H

#include "common/buf.h"
#include "common/loop.h"
#include "common/redis_commands.h"
#include "gateway/hub.h"
#include "gateway/roster.h"

#define CENSUS_PERIOD_MS 1000
#define CENSUS_LEASE_MS  5000

/* How a worker's gateway is. A word that is not known counts as unready. */
enum census_state { CENSUS_UNREADY, CENSUS_READY, CENSUS_DRAINING };

struct census_totals {
    uint64_t connections, users, messages; /* users: one on two workers counts twice */
    uint64_t workers, gateways;
    uint64_t here, movable_here; /* connections of this gateway, and those of them that resume */
    uint64_t least;              /* the fewest connections that a gateway has */
    uint64_t set;                /* another number for another set of workers */
    bool all_ready;
};

/* What a census needs of its worker. */
struct census_worker {
    void *arg;
    struct redis_commands *(*redis_of)(void *arg, unsigned bucket); /* the link to the node that holds a bucket */
    void (*on_totals)(void *arg);                                   /* totals were counted; not while Redis is away */
};

struct census {
    struct context *ctx;
    struct hub *hub;
    const struct roster *roster;
    struct census_worker worker;
    char id[32];
    enum census_state state;
    struct timer timer;
    struct list changed;         /* struct target.changed: users whose count is to be written */
    struct census_totals totals; /* of the cluster, a second old; the worker's own while Redis is away or refuses */
    struct buf live;             /* ids of the workers whose lease lives, a space behind each */
};

/* id: of this worker, unique in the cluster. *Borrows* all for the census's life. */
void census_init(struct census *cs, struct context *ctx, struct hub *hub, const struct roster *roster, const char *id,
                 const struct census_worker *worker);
void census_release(struct census *cs);
/* How this gateway is; told at once when that has changed. */
void census_say(struct census *cs, enum census_state state);
/* Whether this worker is its gateway's first, which speaks for it where one must. */
bool census_is_first(const struct census *cs);
/* The worker's last connection is gone: gives up the lease. */
void census_leave(struct census *cs);
/* The user's connections on this worker have become more or fewer. */
void census_changed(struct census *cs, struct target *t);
/* Writes the users who became fewer, at once: they come back elsewhere, and must not find themselves counted twice. */
void census_tell_fewer(struct census *cs);
/* A node is there (again): what was told it may be lost, so all is told anew. */
void census_on_up(struct census *cs);
/* Reads the user's connections elsewhere into t->elsewhere; answers before any command sent to the bus later. Those
 * that wait for it are ready then. */
void census_ask(struct census *cs, struct target *t);
/* The user seems to have too many connections: counts those elsewhere anew, at once if that was not done since the
 * newest came, else within a second or two, behind the writing of those here. */
void census_doubt(struct census *cs, struct target *t);

/* MGET of the names of every live worker whose id begins so, whose keys lie in the empty keys: fills argv, returns
 * argc, at most max. */
size_t census_names_mget(const struct census *cs, struct slice prefix, struct buf *keys, struct slice *argv,
                         size_t max);
#define CENSUS_WORKERS_MAX 4096

#endif

/* Who listens to what on one worker: targets → connections. A target lives while it has members, and a little longer;
 * bus.h keeps its channel subscribed. */
#ifndef TIDEGATE_GATEWAY_HUB_H
#define TIDEGATE_GATEWAY_HUB_H

#include "common/list.h"
#include "common/map.h"
#include "common/target.h"
#include "gateway/context.h"
#include "gateway/seen.h"

struct conn;

/* How far a target's channel is. */
enum target_state {
    TARGET_WANTED,     /* to be subscribed at the end of this turn, or when the link is up again */
    TARGET_ASKED,      /* SSUBSCRIBE is on its way */
    TARGET_SUBSCRIBED, /* confirmed, and owes nobody anything; its meta is being read */
    TARGET_DOUBTED,    /* confirmed again; its head is being compared with last_id */
    TARGET_FILLING,    /* what was missed is being read from its log; what arrives meanwhile is found there */
    TARGET_LIVE,       /* events arrive, all up to last_id was delivered */
};

struct target {
    struct map_node node; /* key: name */
    struct list members;  /* struct member.of_target */
    struct list of_bucket;
    struct list queued;  /* in a list of the bus (to subscribe, lingering) or of its channels (channel.h) */
    struct list changed; /* in the census's list of users whose count is to be written */
    uint64_t due_ms;     /* of whose list it is in: when to let go, to look again, to wait no longer */
    uint64_t last_id;    /* of the last event seen or applied before the subscription */
    uint64_t upto;       /* not live: the highest id that came meanwhile. Suspected: the head that was found */
    struct seen seen;    /* what was applied last */
    /* Of seen, what Redis may have lost: empty unless it showed that it had lost something. Routers append it again,
     * and a partition is forgotten here once it has come that far anew. */
    struct seen lost;
    uint64_t lost_id; /* of the event that showed it */
    struct limit_rate rate;
    uint32_t member_count;
    uint32_t settled;   /* member_count when the census last compared it with the cap */
    uint32_t told;      /* the count that Redis may hold for this worker; 0: none */
    uint32_t elsewhere; /* the user's connections on other workers, as `counted` says */
    uint32_t joined_ms; /* when the newest member came that is not refused here: the loop's clock, its low bits */
    uint16_t bucket;
    uint8_t state;   /* enum target_state */
    bool asking;     /* elsewhere is being read */
    bool held;       /* it may owe its members events: the node's safe id waits for it (position.h) */
    uint8_t counted; /* enum hub_counted */
    uint16_t name_n;
    char name[];
};

struct member {
    struct list of_target;
    struct conn *conn;
    uint64_t from; /* events with this id or less are not for it: it has them from its replay. 0: all are */
    /* Owned; NULL: it has what its channel has seen. Else its replay did not find what Redis had lost, or read more
     * than the channel has brought: what routers append again is for it, but for what it got on this connection, which
     * stands here. */
    struct seen *had;
    struct member *next_of_conn;
    struct target *target;
};

/* Who wants to know what happens in a hub; set by the worker. */
struct hub_watcher {
    void *arg;
    /* The first member has come (fresh: to a target just made), or the last one has gone. */
    void (*on_occupied)(void *arg, struct target *t, bool fresh);
    void (*on_vacant)(void *arg, struct target *t);
    void (*on_count)(void *arg, struct target *t);
    /* The user seems to have too many connections, by a count of those elsewhere that does not suffice to say so. */
    void (*on_doubt)(void *arg, struct target *t);
};

struct hub {
    struct context *ctx;
    struct hub_watcher watcher;
    struct map targets;
    struct list buckets[TARGET_BUCKETS]; /* the same targets: struct target.of_bucket */
    size_t users;                        /* targets of users that have members */
};

void hub_init(struct hub *h, struct context *ctx, const struct hub_watcher *watcher);
/* Every target must be without members. */
void hub_release(struct hub *h);
/* Makes the connection a member of the target named, and puts that first in its memberships; returns the target. The
 * name must be valid (target.h). */
struct target *hub_join(struct hub *h, struct conn *c, struct member **memberships, struct slice name);
/* Its replay did not find all, or read more than its channel has brought: had, which is *taken* and left empty, is what
 * it got. */
void member_had(struct member *m, struct seen *had);
void member_had_all(struct member *m);
/* If it has what its channel has seen by now, its own account is dropped. Ask when the channel has come to where its
 * replay had read, or beyond, or has all again that was lost. */
void member_catch_up(struct member *m);
void hub_leave_all(struct hub *h, struct member **memberships);
/* When a user's connections elsewhere were counted: before the newest member came; since; some time after it came, and
 * after the count of those here was written, so that others see it (census.c). */
enum hub_counted { HUB_COUNTED_BEFORE, HUB_COUNTED_SINCE, HUB_COUNTED_WELL };

/* Whether the user has more connections than MAX_CONNECTIONS_PER_USER, over all gateways. DOUBTFUL: those elsewhere are
 * being counted anew; conn_ready is called again then. */
enum hub_room { HUB_ROOM, HUB_OVER, HUB_DOUBTFUL };
enum hub_room hub_room_of(struct hub *h, struct target *t);
struct target *hub_find(struct hub *h, struct slice name);
/* Forgets a target without members. */
void hub_forget(struct hub *h, struct target *t);

static inline struct slice hub_name(const struct target *t)
{
    return slice_make(t->name, t->name_n);
}

static inline bool hub_is_user(const struct target *t)
{
    return t->name[0] == 'u';
}

static inline bool hub_has_lost(const struct target *t)
{
    return t->lost.count > 0;
}

/* Remembers that a part was applied up to this coordinate. False when that was known before: the event is a repeat. */
bool hub_saw(struct target *t, struct slice part, uint64_t offset, uint64_t n);

/* The event with this id shows that Redis has lost some of the target. */
void hub_lost(struct target *t, uint64_t id);
/* What was lost came again up to this coordinate of a part. With the last of it members have caught up. */
void hub_came_again(struct target *t, struct slice part, uint64_t offset, uint64_t n);
/* An event with this id has come: what did not come again for long was not lost, or is history that is refilled. */
void hub_lost_long_ago(struct target *t, uint64_t id);

#endif

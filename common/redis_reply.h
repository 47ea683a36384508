/* What servers answer about where the data are, as pure readers: nothing in a reply is believed before it was looked
 * at. Formats: Redis 7 documentation of CLUSTER SLOTS, SENTINEL MASTER and of the cluster's redirections. */
#ifndef TIDEGATE_COMMON_REDIS_REPLY_H
#define TIDEGATE_COMMON_REDIS_REPLY_H

#include "common/redis_url.h"
#include "common/target.h"

#include <hiredis/hiredis.h>

#define REDIS_HOST_MAX 255

/* The text of an error, without '-'. */
enum redis_redirection { REDIS_NOT_REDIRECTED, REDIS_MOVED, REDIS_ASK };
struct redis_moved {
    unsigned slot;
    char host[REDIS_HOST_MAX + 1]; /* "": the one that said so */
    uint16_t port;
};
/* "MOVED 3999 127.0.0.1:6381", "ASK …"; *out is set unless it is neither. */
enum redis_redirection redis_read_moved(struct slice error, struct redis_moved *out);

/* An error of a cluster in motion: a slot is on its way to another node, or has arrived there, or nobody knows who has
 * it. Ask again in a moment, here or there. */
bool redis_is_passing(struct slice error);

struct redis_master {
    char host[REDIS_HOST_MAX + 1];
    uint16_t port;
    uint64_t epoch;    /* the higher, the newer */
    bool failing_over; /* while it replaces this one, a Sentinel gives the epoch of the next one already */
};
/* Of SENTINEL MASTER <name>: 0, or -1 when it is no such answer. */
int redis_read_master(const redisReply *reply, struct redis_master *out);

/* Of the text of CLUSTER INFO: the node sees a cluster that works. */
bool redis_read_cluster_ok(struct slice info);

#define REDIS_NO_NODE UINT16_MAX
struct redis_slots {
    struct {
        char host[REDIS_HOST_MAX + 1];
        uint16_t port;
    } nodes[REDIS_NODES_MAX]; /* masters with at least one of our slots */
    size_t count;
    uint16_t owner[TARGET_BUCKETS]; /* a node's number, or REDIS_NO_NODE */
};
/* Of CLUSTER SLOTS: 0, or -1 with *why a static sentence. asked is the host that answered: nodes that do not know their
 * own name leave it out. */
int redis_read_slots(const redisReply *reply, const char *asked, struct redis_slots *out, const char **why);

#endif

/* Where events go: the nodes of Redis, and which of them has which bucket. A bucket that goes to another node takes
 * with it the calls that wait for it, once those under way at the old node are answered: order is kept, nothing is sent
 * twice. */
#ifndef TIDEGATE_ROUTER_PUBLISHER_H
#define TIDEGATE_ROUTER_PUBLISHER_H

#include "common/redis_topology.h"
#include "router/config.h"
#include "router/event.h"
#include "router/metrics.h"
#include "router/node.h"

struct publisher;

struct publisher_ops {
    /* Markers may be read on all nodes. */
    void (*on_ready)(struct publisher *pub);
    void (*on_markers_lost)(struct publisher *pub);
    void (*on_markers_read)(struct publisher *pub, bool ok);
    void (*on_markers_created)(struct publisher *pub, bool ok);
    /* A node lost data: what was queued for it was dropped, what was appended there must be read again. */
    void (*on_data_lost)(struct publisher *pub);
    /* Buckets have other homes; refills that were queued are dropped. */
    void (*on_moved)(struct publisher *pub);
    /* Appends flow (again). */
    void (*on_flowing)(struct publisher *pub);
    /* A node is gone, and with it what was queued for it. */
    void (*on_down)(struct publisher *pub);
};

struct publisher {
    const struct publisher_ops *ops;
    void *owner;
    const struct router_config *conf;
    struct router_metrics *metrics;
    struct loop *loop;
    const struct node_ops *node_ops;
    struct redis_topology topology;
    struct node *nodes[REDIS_NODES_MAX]; /* by place */
    uint64_t versions[REDIS_NODES_MAX];  /* of the places' servers that the nodes are at */
    size_t node_count;
    uint16_t home[TARGET_BUCKETS]; /* the place to which a bucket's calls are sent */
    size_t asked;                  /* nodes that have not answered a question about markers yet */
    bool answered_well;
    struct buf scratch;
};

/* *Borrows* all for its life. */
void publisher_init(struct publisher *pub, struct loop *l, const struct redis_site *redis,
                    const struct router_config *conf, struct router_metrics *metrics, const struct publisher_ops *ops,
                    void *owner);
void publisher_release(struct publisher *pub);

/* The i-th node has a bucket; those that have none are idle, and nothing depends on them. */
static inline bool publisher_uses(const struct publisher *pub, size_t i)
{
    return pub->nodes[i]->buckets > 0;
}
struct node *publisher_node(struct publisher *pub, unsigned bucket);
/* The link to the node that has a bucket, for calls outside the order of its pipe. */
struct redis_commands *publisher_commands(struct publisher *pub, unsigned bucket);
/* How many appends may be queued now. */
size_t publisher_room(const struct publisher *pub);
/* Appends queued and not confirmed. */
size_t publisher_waiting(const struct publisher *pub);
/* No call of any kind awaits its reply. */
bool publisher_is_idle(const struct publisher *pub);
bool publisher_is_ready(const struct publisher *pub);
/* A node that has buckets has no pipe: it got them after its pipe was closed, as that of a server which became a
 * replica is. */
bool publisher_lacks_a_pipe(const struct publisher *pub);
/* Appends go through at this moment, as far as is known. */
bool publisher_is_fine(const struct publisher *pub);

/* Appends (or only publishes) an event to each of its targets; each adds a step to the record's. */
void publisher_send(struct publisher *pub, const struct event *ev, uint64_t offset, const struct step *step);

/* Appends an event of the past to the second logs of those of its targets whose buckets await it, and which keep events
 * that long; nothing when its route keeps none. */
void publisher_refill(struct publisher *pub, const struct event *ev, uint64_t offset, const struct step *step,
                      bool (*is_awaited)(const void *arg, unsigned bucket), const void *arg);
/* How many of those may be queued now: few, and next to none while live events queue up. */
size_t publisher_refill_room(const struct publisher *pub);
/* The longest time that any log keeps events. */
uint64_t publisher_retention_ms(const struct publisher *pub);

/* Reads the markers of all nodes (markers_read); what they say together is asked for afterwards. */
void publisher_read_markers(struct publisher *pub, const char *const *parts, size_t count);
/* Of the last reading: what the markers say of the i-th part. */
struct markers_part publisher_part(const struct publisher *pub, size_t i);
/* Markers that the last reading missed, and those whose history is not whole. */
size_t publisher_missing(const struct publisher *pub);
size_t publisher_refilling(const struct publisher *pub);
/* Makes those that are missing (markers_create); on_markers_created follows. */
void publisher_create_markers(struct publisher *pub, enum redis_fn_create create,
                              const struct redis_fn_watermark *fields, size_t count);
void publisher_open(struct publisher *pub);
/* Writes watermarks into `count` buckets from `first` on; false when one of them could not be sent. */
bool publisher_mark(struct publisher *pub, unsigned first, unsigned count, const struct redis_fn_watermark *watermarks,
                    size_t watermark_count);
/* Compares the epochs of the next buckets. */
void publisher_check(struct publisher *pub, unsigned count);
void publisher_second(struct publisher *pub);

#endif

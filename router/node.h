/* One Redis node that events are appended to: its link, whether it has our functions and keeps what it is given, its
 * markers and its pipe. It says when it can be read and when it is gone; what to append is its owner's business. */
#ifndef TIDEGATE_ROUTER_NODE_H
#define TIDEGATE_ROUTER_NODE_H

#include "common/redis_library.h"
#include "router/markers.h"
#include "router/pipe.h"

enum node_state {
    NODE_DOWN,
    NODE_GREETING, /* asking for library and memory policy */
    NODE_READY,    /* markers may be read, and the pipe opened once they are */
};

struct node;

struct node_ops {
    void (*on_ready)(struct node *n);
    /* Markers are gone or other than known: read them, then node_open. */
    void (*on_markers_lost)(struct node *n);
    void (*on_markers_read)(struct node *n, bool ok);
    void (*on_markers_created)(struct node *n, bool ok);
    /* Data of this node are lost; everything queued was dropped. */
    void (*on_data_lost)(struct node *n);
    /* The pipe is open (again): watermarks can be sent. */
    void (*on_flowing)(struct node *n);
    /* Redis answered a call with an error. */
    void (*on_refused)(struct node *n, const struct pipe *p, enum redis_fn_result why);
    /* The link broke; everything queued was dropped. */
    void (*on_down)(struct node *n);
    /* Calls were held back (pipe_calm), and none is under way any more. */
    void (*on_still)(struct node *n);
    void (*on_confirmed)(struct node *n, const struct pipe_call *call, bool duplicate, uint64_t latency_us);
    /* The same of what was refilled. */
    void (*on_refilled)(struct node *n, const struct pipe_call *call, bool duplicate);
};

struct node {
    struct loop *loop;
    const struct node_ops *ops;
    void *owner;
    unsigned buckets; /* how many it has; kept by the owner */
    struct redis_commands rc;
    struct markers markers;
    struct pipe pipe;
    struct pipe
        refill; /* history, on the same link: its calls overtake no others, and none of them wait for its errors */
    enum node_state state;
    bool reloading;    /* the library went missing while the pipe was in use */
    char policy[32];   /* maxmemory-policy when it is not noeviction, else "" */
    uint64_t asked_ms; /* when the policy was asked for */
    uint64_t down_ms;  /* since when the state is not NODE_READY */
    struct redis_library library;
};

/* Nowhere yet. Borrows home (the number of the node that has a bucket; this one is self) and ops. */
void node_init(struct node *n, struct loop *l, const uint16_t *home, uint16_t self, const struct node_ops *ops,
               void *owner);
/* The server is at endpoint now, or, NULL, nowhere. */
void node_redirect(struct node *n, const struct endpoint *endpoint);
void node_release(struct node *n);

/* After markers were read: opens the pipe, unless it is in use. */
void node_open(struct node *n);
/* The pipe for refills; opens it, when the other one is. */
struct pipe *node_refill_pipe(struct node *n);
/* Once a second, also when idle: beat, and now and then the memory policy. */
void node_second(struct node *n);

/* Calls go through at this moment, as far as is known. */
bool node_is_fine(const struct node *n);

#endif

/* The ordered way of calls to one Redis node. Calls are sent as they come, many at a time, and confirmed in their
 * order. When one is refused nothing behind it is carried out (the function library sees to that), and the pipe goes on
 * from that very call under a new name once the reason is gone: nothing is skipped, nothing overtakes. */
#ifndef TIDEGATE_ROUTER_PIPE_H
#define TIDEGATE_ROUTER_PIPE_H

#include "common/redis_commands.h"
#include "common/redis_fn.h"
#include "router/body.h"
#include "router/partition.h"

enum pipe_kind {
    PIPE_APPEND,
    PIPE_REFILL,  /* an append to the second log */
    PIPE_PUBLISH, /* only published: no log, no coordinate */
    PIPE_MARK,    /* watermarks; lost when the pipe breaks, the next round writes better ones */
    PIPE_BEAT
};

struct pipe_call {
    enum pipe_kind kind;
    unsigned bucket;
    struct slice target;      /* in body */
    struct slice envelope;    /* in body */
    struct slice dedupe_key;  /* in body; a publisher's own, or absent */
    struct slice traceparent; /* in body; sound, or absent */
    struct body *body;        /* a ref of ours */
    struct step step;         /* finished when Redis confirms; partition NULL: none */
    uint64_t offset;
    uint64_t maxlen, ttl_ms, window_ms, kafka_ms;
    uint64_t queued_us;
};

enum pipe_state {
    PIPE_CLOSED,  /* no link, or what calls need (library, markers) is not there yet: its owner opens it */
    PIPE_PROBING, /* the first beat of a new name is under way, calls wait for its answer */
    PIPE_OPEN,
    PIPE_BROKEN, /* a call was refused: the replies of those behind it are awaited */
    PIPE_WAITING /* until the server may be asked again */
};

struct pipe;

struct pipe_ops {
    /* Redis confirmed an append or publication (duplicate: it had it before); latency since it was queued. */
    void (*on_confirmed)(struct pipe *p, const struct pipe_call *call, bool duplicate, uint64_t latency_us);
    /* Calls flow again under a new name. */
    void (*on_open)(struct pipe *p);
    /* A call came back with an error; the pipe will go on from it. */
    void (*on_refused)(struct pipe *p, enum redis_fn_result why);
    /* The pipe was closed because markers or library must be looked at: repair, then pipe_open. */
    void (*on_closed)(struct pipe *p, enum redis_fn_result why);
    /* The pipe was calmed, and no call is under way any more. */
    void (*on_still)(struct pipe *p);
};

struct pipe {
    struct loop *loop;
    struct redis_commands *rc; /* borrowed */
    const struct pipe_ops *ops;
    void *owner;
    const uint64_t *epochs; /* by bucket; borrowed */
    unsigned beat_bucket;
    enum pipe_state state;
    bool held; /* nothing new is sent for now */
    bool calm; /* the same, until what is under way is answered and some calls went to another pipe */
    char name[33];
    uint64_t seq;   /* of the last call sent under this name */
    uint64_t floor; /* highest id known of this node */
    struct pipe_call *ring;
    size_t head, count, cap; /* all calls; the first `sent` of them are under way */
    size_t sent;
    size_t appends, bytes;        /* what back-pressure looks at: without marks and beats */
    size_t stale;                 /* replies still to come of calls that will be sent again */
    enum redis_fn_result failure; /* why it broke */
    bool refused;                 /* Redis answers with errors: no call went through since */
    char refusal[128];            /* its words */
    uint64_t refused_ms;          /* since when */
    unsigned attempts;
    struct timer retry;
    struct redis_fn_call scratch;
};

/* Closed and empty. Borrows rc, ops and epochs for its life; *floor is that of the last life, or 0. */
void pipe_init(struct pipe *p, struct loop *l, struct redis_commands *rc, const struct pipe_ops *ops, void *owner,
               const uint64_t *epochs);
void pipe_release(struct pipe *p);

/* Starts a new name and sends what waits. */
void pipe_open(struct pipe *p);
/* The link is gone: everything queued is dropped, its steps are left unfinished. */
void pipe_close(struct pipe *p);
/* The node lost what calls were built on: everything queued is dropped, its steps are left unfinished. When replies are
 * still to come, on_closed follows them. */
void pipe_abandon(struct pipe *p);
/* Sends nothing more until told otherwise; what was sent is still confirmed. */
void pipe_hold(struct pipe *p, bool held);

/* Sends nothing more, and says when nothing is under way (on_still, not from here); or goes on. */
void pipe_calm(struct pipe *p, bool calm);
/* No reply is awaited that concerns a queued call. */
bool pipe_is_still(const struct pipe *p);
/* While still: takes the calls of buckets whose home is not self out of the queue and *gives* them away, in order. */
void pipe_give_away(struct pipe *p, const uint16_t *home, uint16_t self,
                    void (*give)(void *arg, const struct pipe_call *call), void *arg);

/* Queues a call and sends it when the pipe is open. *Takes* the refs of call's body and step. */
void pipe_push(struct pipe *p, const struct pipe_call *call);
/* Sends watermarks behind all that was pushed. False when the pipe is not open or held. */
bool pipe_mark(struct pipe *p, unsigned bucket, const struct redis_fn_watermark *watermarks, size_t count);
/* Sends a beat; nothing when the pipe is not open or held. */
void pipe_beat(struct pipe *p);

#endif

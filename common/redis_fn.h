/* The function library that runs inside Redis (tg1.lua): how it is loaded, how its functions are called, what their
 * answers mean. No I/O: arguments out, replies in.
 *
 * What the functions promise together:
 * - A *pipe* is a name, random and never used again, whose calls are numbered 1, 2, 3, …. A call with another number
 *   than the next is refused (REDIS_FN_PIPE), and only a call that succeeded moves the number on: so after one error in
 *   a pipeline everything behind it is refused too, and order is kept. Then, and whenever the connection or the library
 *   was new, the sender opens a new pipe from the first call that failed. Nodes forget pipes at a restart, when the
 *   library is replaced, and when thousands of others were used since. The empty pipe is never refused.
 * - Ids are the node's time in microseconds and strictly increase over the node. The first call of a pipe should be a
 *   beat whose floor is the highest id known of that node: that holds across a clock stepped back, and a failover.
 * - A bucket's marker, hash `tg:{tag}:b`: `epoch`, `since` (an id), and per part a watermark: the offset below which
 *   everything for this bucket was applied. An append needs the marker, and its epoch. While history from before
 *   `since` is refilled there is more in it (enum redis_fn_field).
 * - An append is dropped as a duplicate if it stands at or below its part's last coordinates in the target's meta, or,
 *   if the meta does not know the part, below the marker's watermark; then if its key was taken within its window.
 *
 * Parts and coordinates: coordinate.h. Numbers are below 2^53. */
#ifndef TIDEGATE_COMMON_REDIS_FN_H
#define TIDEGATE_COMMON_REDIS_FN_H

#include "common/coordinate.h"
#include "common/target.h"

#include <hiredis/hiredis.h>

#define REDIS_FN_LIBRARY "tidegate"

/* ---- Loading: on each new connection to a node that may be written to, and on REDIS_FN_MISSING, ask for the version
 * (redis_fn_version) and do what redis_fn_after_version says; after a load, what redis_fn_after_load says. ---- */

/* The library's source, which starts with `#!lua name=tidegate`. */
struct slice redis_fn_source(void);
/* The version that the source declares. */
unsigned redis_fn_source_version(void);

enum redis_fn_step {
    REDIS_FN_READY,        /* as new as ours, or newer */
    REDIS_FN_LOAD,         /* send redis_fn_load(call, false) */
    REDIS_FN_LOAD_REPLACE, /* an older one is there: send redis_fn_load(call, true) */
    REDIS_FN_ASK,          /* somebody else loaded meanwhile: send redis_fn_version again */
    REDIS_FN_FAILED        /* an error: try again later; its text says why */
};
enum redis_fn_step redis_fn_after_version(const redisReply *reply);
enum redis_fn_step redis_fn_after_load(const redisReply *reply);

/* ---- Calls ---- */

#define REDIS_FN_ARGS      10
#define REDIS_FN_HEADS_MAX 1000

/* One call's arguments, made by a function below, which overwrites what was there. argv[0..argc) point into the struct
 * and into what the caller passed: do not move it, and send it before those change. Zero-initialised is ready. */
struct redis_fn_call {
    size_t argc;
    struct slice argv[REDIS_FN_ARGS];
    char names[5][TARGET_NAME_SIZE];
    struct buf header; /* kept for the next call */
};
void redis_fn_call_release(struct redis_fn_call *call);

/* A call's place: name "" for a sender that needs no order, whose seq is ignored. */
struct redis_fn_pipe {
    struct slice name;
    uint64_t seq;
};

struct redis_fn_append {
    struct redis_fn_pipe pipe;
    /* A number that changes with every turn of the sender's loop, or every batch: the node's clock is read once for the
     * appends of a pipe with the same one, and their ids are a microsecond apart. 0: read it each time. */
    uint64_t turn;
    struct slice target;
    unsigned bucket;    /* target_bucket(target) */
    uint64_t epoch;     /* the marker's, as the sender knows it; 0: any, but the marker must exist */
    struct slice part;  /* "" for what did not come from Kafka: no coordinate, never a duplicate by it */
    uint64_t offset, n; /* n: the place within the record */
    uint64_t maxlen;    /* events that the log keeps, about; > 0 */
    uint64_t ttl_ms;    /* of the log after its last event; > 0. A meta outlives its log by a quarter */
    struct slice key;   /* a publisher's idempotency key; p NULL: none */
    uint64_t window_ms; /* in which it makes a duplicate, in Kafka's time around kafka_ms; at most 10,000 a target */
    uint64_t kafka_ms;
    struct slice body; /* the envelope behind `<id> <prev> ` (envelope_encode) */
};
/* Gives the event an id, appends it to the target's log and publishes it on the target's channel. OK (value: its id) or
 * DUPLICATE; refusals PIPE, EPOCH, MARKER. */
void redis_fn_append(struct redis_fn_call *call, const struct redis_fn_append *a);

/* Only publishes, with the ids 0 and 0. OK; refusal PIPE. */
void redis_fn_publish(struct redis_fn_call *call, struct redis_fn_pipe pipe, unsigned bucket, struct slice target,
                      struct slice body);

enum redis_fn_create {
    REDIS_FN_MUST_EXIST = 0,
    REDIS_FN_SINCE_NOW = 1, /* make a missing marker: what came before is lost */
    REDIS_FN_SINCE_ZERO = 2 /* make a missing marker: nothing came before, a first installation */
};
/* What a number in a marker says about a part, and its field's name. All of them only rise: what was applied once stays
 * applied, whoever rewinds. */
enum redis_fn_field {
    REDIS_FN_APPLIED,  /* `<part>`: all that is below was appended to this bucket, or is below the part's bound */
    REDIS_FN_BOUND,    /* `r:<part>`: history below it is to be refilled. Set it where it is missing or unknown, before
                          the watermark and in the same call; ignored in a marker since 0, or that knows the part */
    REDIS_FN_UNBOUND,  /* the same while nobody has said where the part's live events start: `?` (offset is ignored) */
    REDIS_FN_REFILLED, /* `~<part>`: all that is below was refilled; at the bound both fields are removed */
    REDIS_FN_FROM      /* `from`, of no part: time of Kafka's from which what was refilled is complete */
};
/* How many bounds a marker has: 0 or missing when its history is whole. */
#define REDIS_FN_REFILLING "refilling"

struct redis_fn_watermark {
    struct slice part;
    uint64_t offset;
    enum redis_fn_field field;
};
/* Raises the watermarks of a bucket. Send it through the pipe of the appends that it vouches for. When told to create:
 * OK with the epoch now in force as value; when that is not the epoch asked for, somebody else was first, and nothing
 * was changed. Refusals PIPE, EPOCH, MARKER. */
void redis_fn_mark(struct redis_fn_call *call, struct redis_fn_pipe pipe, unsigned bucket, uint64_t epoch,
                   enum redis_fn_create create, const struct redis_fn_watermark *watermarks, size_t count);

/* Appends an event of the past to the target's second log, which nobody hears: the same arguments as redis_fn_append.
 * OK, or DUPLICATE: it is there, or the bucket awaits nothing of this part at this offset. Refusals PIPE, EPOCH,
 * MARKER.
 */
void redis_fn_refill(struct redis_fn_call *call, const struct redis_fn_append *a);

/* A small write, then a message on target_beat(bucket): the text of an id that is above all that this node gave before
 * and below all that come, so that who hears it has heard all before it. OK (value: that id); refusal PIPE.
 * floor: ids go on above it. */
void redis_fn_beat(struct redis_fn_call *call, struct redis_fn_pipe pipe, unsigned bucket, uint64_t floor);
/* Of a beat's reply that is OK: the version of the library there. */
unsigned redis_fn_beat_version(const redisReply *reply);

/* The library's version. */
void redis_fn_version(struct redis_fn_call *call);
void redis_fn_load(struct redis_fn_call *call, bool replace);

/* The last ids of targets of one bucket: the reply is an array of integers in the same order, 0 where there is none.
 * Appends RESP to out, because argc has no bound; at most REDIS_FN_HEADS_MAX targets. */
void redis_fn_heads(struct buf *out, unsigned bucket, const struct slice *targets, size_t count);

/* ---- Reading logs, by functions that write nothing ---- */

/* A log's events behind the id `from`, at most `most` of them, and no more once they have `bytes` together. The reply
 * is an array: 1 if these were all, else 0, then their envelopes, oldest first. which: TARGET_LOG or TARGET_REFILLED.
 */
void redis_fn_read(struct redis_fn_call *call, enum target_name which, unsigned bucket, struct slice target,
                   uint64_t from, uint64_t most, uint64_t bytes);

/* Counts a log's events behind the id `from`; those at or below `floor` do not count. The reply is three integers: the
 * id of the oldest event above the floor, 0 if there is none; the count; and 0, or the id from which to go on counting,
 * because `most` events were looked at. */
void redis_fn_count(struct redis_fn_call *call, enum target_name which, unsigned bucket, struct slice target,
                    uint64_t from, uint64_t floor, uint64_t most);
struct redis_fn_count {
    uint64_t oldest, count, next;
};
/* 0, or -1 when the reply is none of redis_fn_count. */
int redis_fn_count_parse(const redisReply *reply, struct redis_fn_count *out);

/* ---- Cursors of a user's devices ---- */

#define REDIS_FN_DEVICES_MAX 100 /* in one call */
struct redis_fn_device {
    struct slice id;
    uint64_t position;
    bool acks; /* it has acknowledged by itself, once: remembered */
};
/* Raises the cursors of a user's devices (never lowers one) and notes that they were seen now; forgets those not seen
 * for ttl_ms, and those beyond `most` that were not seen longest. The reply is an integer. */
void redis_fn_cursor(struct redis_fn_call *call, unsigned bucket, struct slice target, uint64_t ttl_ms, uint64_t most,
                     const struct redis_fn_device *devices, size_t count);
/* A cursor as HGET of target_name(TARGET_CURSORS, …) gives it: 0, or -1 when it is none. */
struct redis_fn_cursor {
    uint64_t position, seen_ms; /* when it was seen, by the node's clock */
    bool acks;
};
int redis_fn_cursor_parse(struct slice text, struct redis_fn_cursor *out);

/* ---- Replies ---- */

enum redis_fn_result {
    REDIS_FN_OK,
    REDIS_FN_DUPLICATE, /* applied before; counts as success for the pipe */
    REDIS_FN_PIPE,      /* not the next of its pipe (value: which would be): open a new one from the first failure */
    REDIS_FN_EPOCH,     /* another epoch is in force (value) */
    REDIS_FN_MARKER,    /* the bucket has no marker: a router must make one */
    REDIS_FN_MISSING,   /* no such function: load the library */
    REDIS_FN_RETRY,     /* the server cannot now: OOM, NOREPLICAS, READONLY, LOADING, CLUSTERDOWN, TRYAGAIN, … */
    REDIS_FN_MOVED,     /* MOVED or ASK: another node has the slot */
    REDIS_FN_LOST,      /* no reply (NULL): the link broke, the call may have been carried out or not */
    REDIS_FN_REFUSED    /* any other error: a fault of configuration or ours; log its text */
};
/* Judges a reply to append, publish, mark or beat. value may be NULL. */
enum redis_fn_result redis_fn_result(const redisReply *reply, uint64_t *value);
/* A fixed snake_case word, for logs and metrics. */
const char *redis_fn_result_word(enum redis_fn_result result);

/* ---- Meta: what GET of target_name(TARGET_META, …) gives ---- */

struct redis_fn_meta {
    uint64_t id; /* of the last event */
    uint64_t epoch;
    uint64_t expires_ms;      /* when the log is due to expire, by the ids' clock */
    struct slice coordinates; /* for redis_fn_meta_next; borrows from the reply */
};
/* 0, or -1 when the bytes are no meta. */
int redis_fn_meta_parse(struct slice bytes, struct redis_fn_meta *out);
/* Takes the last applied coordinate of the next part, the newest first: 1, 0 at the end, -1 when the bytes are broken.
 */
int redis_fn_meta_next(struct redis_fn_meta *meta, struct coordinate *out);

#endif

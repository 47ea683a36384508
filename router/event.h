/* What flows through the router: a record goes in, an event comes out (words of README). Both are borrowed views: of
 * the consumer's message, and of the decoder's memory (decode.h says until when). An absent slice has p NULL. */
#ifndef TIDEGATE_ROUTER_EVENT_H
#define TIDEGATE_ROUTER_EVENT_H

#include "common/envelope.h"

struct route;

struct record_header {
    struct slice name, value;
};

/* One Kafka record; everything in it is *borrowed*. */
struct record {
    struct slice topic;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms; /* Kafka's; the time of reading where Kafka has none */
    struct slice key;     /* may be absent */
    struct slice value;   /* absent: a tombstone */
    const struct record_header *headers;
    size_t header_count;
};

#define EVENT_TARGETS_MAX 16
/* Bytes of a target, an event's name, a key: the longest that is let through. */
#define EVENT_NAME_MAX 256

struct event {
    struct slice name;                       /* what clients call it: "task_update" */
    struct slice targets[EVENT_TARGETS_MAX]; /* names as in common/target.h: "u:42", "r:survey:7", "g"; all different */
    size_t target_count;                     /* at least one */
    enum envelope_kind kind;
    struct slice payload;
    uint64_t time_ms;           /* the record's timestamp_ms: what latency is measured from */
    struct slice source_device; /* the device that must not hear its own echo, or absent */
    struct slice traceparent;   /* sound (common/traceparent.h), or absent */
    struct slice conflate_key;  /* of several such events only the last matters, or absent */
    struct slice key;           /* the publisher's own idempotency key, or absent: the coordinates are the key */
    struct slice dedupe_key;    /* under which Redis remembers it; absent with it */
    uint32_t flags;             /* of enum envelope_flag */
    const struct route *route;  /* says whether it is kept; lives as long as the table of routes */
};

#endif

/* The envelope: an event on its way through Redis, from router to gateway. A log's field and a channel's message are
 * the same bytes: `<id> <prev> ` in the text of event_id.h, written by the function library, then the body, written by
 * the router: a MessagePack array
 *
 *   0 version      integer, ENVELOPE_VERSION; another one is refused
 *   1 key          str: what makes two deliveries the same event
 *   2 kafka_ms     integer: Kafka's timestamp, milliseconds since 1970
 *   3 event        str: what clients call it
 *   4 targets      array of str: 1 to ENVELOPE_TARGETS_MAX names as in target.h
 *   5 kind         integer: 0 JSON, 1 text, 2 binary
 *   6 payload      str (JSON, text) or bin (binary); JSON is one whole value, byte for byte the publisher's
 *   7 source       str or nil: the device that must not hear its own echo
 *   8 traceparent  str or nil: W3C trace context; what is none (traceparent.h) is read as nil
 *   9 conflate     str or nil: of several events with this key only the last matters
 *  10 flags        integer, bits of enum envelope_flag; unknown bits are ignored
 *  11 coordinate   str or nil, and may be missing: where an event whose key is a publisher's own stands in Kafka
 *
 * and elements that a later version may add at the end, which are ignored. Of an event that is only published both ids
 * are `0`. No I/O. */
#ifndef TIDEGATE_COMMON_ENVELOPE_H
#define TIDEGATE_COMMON_ENVELOPE_H

#include "common/coordinate.h"

#define ENVELOPE_VERSION 1
/* How many targets one event may have. */
#define ENVELOPE_TARGETS_MAX 32
/* Bytes of a key, an event's name, a source, a conflate key or a traceparent. */
#define ENVELOPE_TEXT_MAX 512

enum envelope_kind { ENVELOPE_JSON = 0, ENVELOPE_TEXT = 1, ENVELOPE_BINARY = 2 };

enum envelope_flag {
    /* The payload is a JSON object whose members are the client message's own; otherwise it goes under `data`. */
    ENVELOPE_MEMBERS = 1 << 0,
    /* The key is a coordinate (coordinate.h), and not a publisher's own key that may look like one. */
    ENVELOPE_COORDINATE = 1 << 1
};

/* An absent slice has p NULL. All slices are borrowed. */
struct envelope {
    uint64_t id, prev; /* 0: only published; no event before. Not part of the body */
    struct slice key;
    uint64_t kafka_ms;
    struct slice event;
    struct slice targets[ENVELOPE_TARGETS_MAX];
    size_t target_count;
    enum envelope_kind kind;
    struct slice payload;
    struct slice source_device, traceparent, conflate_key;
    uint32_t flags;
    struct slice coordinate; /* absent when the key is one, and for what did not come from Kafka */
};

/* Appends the body to out. Limits are the sender's to keep (asserted): they were checked where the texts came in. */
void envelope_encode(struct buf *out, const struct envelope *e);
/* Reads a whole message: 0, or -1 and *why a fixed text for the log. *out borrows from message. */
int envelope_decode(struct slice message, struct envelope *out, const char **why);
/* Only the ids in front of the body, which is left in *body: enough to know whether a message is news. 0, or -1. */
int envelope_ids(struct slice message, uint64_t *id, uint64_t *prev, struct slice *body);
/* Where the event stands in Kafka: 0; -1 when it did not come from there. */
int envelope_coordinate(const struct envelope *e, struct coordinate *out);

#endif

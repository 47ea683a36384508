/* From a record to an event: which route, what is inside (plain JSON, or a CloudEvent in structured or binary mode),
 * for whom, and with which payload. Pure: no I/O, no clock, no locks; one decoder per thread.
 *
 * A payload that no mapping touches is a slice of the record; members that are moved keep their bytes: no number is
 * reformatted, no escape is lost. Everything in the event lives until the decoder's next call or the record's end,
 * whichever comes first. */
#ifndef TIDEGATE_ROUTER_DECODE_H
#define TIDEGATE_ROUTER_DECODE_H

#include "common/buf.h"
#include "router/event.h"

struct route_table;

/* Every way a record can end: the name here, and the word for metric labels and the dead letter's header. */
#define DECODE_OUTCOMES(X)                                                                                             \
    X(EVENT, "event")                 /* decoded */                                                                    \
    X(TOMBSTONE, "tombstone")         /* no value: nothing to tell, and nothing wrong */                               \
    X(UNKNOWN_TOPIC, "unknown_topic") /* no route; for the ingest topic: none for the topic in the header */           \
    X(TOO_LARGE, "too_large")         /* more bytes than the limit */                                                  \
    X(TOO_DEEP, "too_deep")           /* more open brackets than the limit */                                          \
    X(MALFORMED_JSON, "malformed_json")                                                                                \
    X(INVALID_UTF8, "invalid_utf8")                                                                                    \
    X(NOT_AN_OBJECT, "not_an_object")     /* JSON, but no object where the form needs one */                           \
    X(DUPLICATE_FIELD, "duplicate_field") /* a field that is looked at comes twice */                                  \
    X(BAD_CLOUDEVENT, "bad_cloudevent")   /* attributes missing or of another version, data that is no base64 */       \
    X(MISSING_FIELD, "missing_field")                                                                                  \
    X(BAD_FIELD, "bad_field")                   /* of another kind, empty, too long, or with control characters */     \
    X(UNKNOWN_EVENT_TYPE, "unknown_event_type") /* tasks: event_type */                                                \
    X(UNKNOWN_OPERATION, "unknown_operation")   /* tasks: operation, or one that contradicts event_type */             \
    X(NO_TARGET, "no_target")                   /* every target is optional, and no field of theirs is there */

#define X(name, word) DECODE_##name,
enum decode_outcome { DECODE_OUTCOMES(X) DECODE_OUTCOME_COUNT };
#undef X

const char *decode_outcome_word(enum decode_outcome outcome);
/* True for what belongs on the dead-letter topic: neither an event nor a tombstone. */
static inline bool decode_is_refusal(enum decode_outcome outcome)
{
    return outcome != DECODE_EVENT && outcome != DECODE_TOMBSTONE;
}

/* Headers of Kafka that speak to the router alone. */
#define DECODE_HEADER_TOPIC "tidegate-topic" /* on the ingest topic: the topic by whose route the record goes */
#define DECODE_HEADER_KEY   "tidegate-key"   /* on any topic: the publisher's idempotency key */

struct decoder_conf {
    const struct route_table *routes; /* *borrowed* for the decoder's life */
    /* Records of this topic go by the route of the topic in their DECODE_HEADER_TOPIC; absent: there is none. */
    struct slice ingest_topic;
    size_t value_max;   /* bytes of a record's value */
    unsigned depth_max; /* open brackets */
};

#define DECODER_VALUE_MAX (1024 * 1024)

struct decoder {
    struct decoder_conf conf;
    struct buf inner;   /* data taken out of a CloudEvent's string */
    struct buf text;    /* names made from templates; reserved once, so that slices of it stay */
    struct buf payload; /* written once per event */
    /* Of the last refusal: */
    struct slice field; /* the field it is about, or absent */
    const char *why;    /* more about it, static, or NULL */
    size_t offset;      /* malformed JSON: where, in bytes of the text that was read */
};

void decoder_init(struct decoder *d, const struct decoder_conf *conf);
void decoder_release(struct decoder *d);

/* Decodes one record. *ev is set for DECODE_EVENT alone. */
enum decode_outcome decode_record(struct decoder *d, const struct record *r, struct event *ev);
/* Appends a sentence about the last refusal, for the dead letter and the log: "missing_field: user_id". It may quote a
 * field's name, never a value. */
void decode_describe(const struct decoder *d, enum decode_outcome outcome, struct buf *out);

#endif

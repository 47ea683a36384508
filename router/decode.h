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
#include "router/outcome.h"

struct route_table;

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
    struct buf inner;         /* data taken out of a CloudEvent's string */
    struct buf text;          /* names made from templates; reserved once, so that slices of it stay */
    struct buf payload;       /* written once per event */
    struct slice traceparent; /* of the last record, also when it was refused: sound, or absent */
    bool bad_traceparent;     /* it is absent because what was there is malformed */
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

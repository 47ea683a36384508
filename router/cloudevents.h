/* CloudEvents 1.0 as they lie on Kafka: structured mode (the whole event is one JSON object, as Dapr writes it, with
 * sorted keys, so that "data" stands before what says that it is one), and binary mode (attributes in the record's
 * headers, the value is the data). */
#ifndef TIDEGATE_ROUTER_CLOUDEVENTS_H
#define TIDEGATE_ROUTER_CLOUDEVENTS_H

#include "common/json.h"

/* The members of a structured event that are looked at; their names stand in cloudevent_names in this order. */
enum cloudevent_member {
    CE_SPECVERSION,
    CE_TYPE,
    CE_SOURCE,
    CE_ID, /* up to here: mandatory */
    CE_TIME,
    CE_TRACEPARENT,
    CE_DATA,
    CE_DATA_BASE64,
    CE_MEMBER_COUNT
};
#define CE_MANDATORY (CE_ID + 1)
extern const struct slice cloudevent_names[CE_MEMBER_COUNT];

/* True for a Content-Type of structured mode, application/cloudevents+json. */
bool cloudevent_content_type(struct slice content_type);
/* True if an object with these members says of itself that it is an event: all that is mandatory is there. */
bool cloudevent_is_structured(const struct json_value members[CE_MEMBER_COUNT]);
/* True if it may be read as one: version 1.0, mandatory attributes are strings and not empty. Else *culprit is the
 * attribute's name. */
bool cloudevent_is_sound(const struct json_value members[CE_MEMBER_COUNT], struct slice *culprit);

/* The attribute that a header of binary mode carries ("ce_time" on Kafka, "ce-time" on HTTP), absent for any other
 * header. */
struct slice cloudevent_attribute(struct slice header_name);

enum cloudevent_data {
    CE_DATA_JSON,   /* *json is a value of the envelope, validated with it */
    CE_DATA_TEXT,   /* *text was a string, or Base64: not looked at yet */
    CE_DATA_ABSENT, /* absent or null */
    CE_DATA_BAD     /* no Base64, or a string that is no text */
};
/* Takes the data out of a structured event. Decoded text is appended to scratch, in which it lives. */
enum cloudevent_data cloudevent_data(const struct json_value members[CE_MEMBER_COUNT], struct buf *scratch,
                                     struct json_value *json, struct slice *text);

#endif

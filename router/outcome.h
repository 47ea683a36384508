/* How the decoding of a record ends. */
#ifndef TIDEGATE_ROUTER_OUTCOME_H
#define TIDEGATE_ROUTER_OUTCOME_H

#include "common/base.h"

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

#endif

/* A client protocol: our vocabulary to bytes and back, without I/O or clock. One row of dialects[] and one file each.
 * All encoders *return owned* frames. */
#ifndef TIDEGATE_GATEWAY_DIALECT_H
#define TIDEGATE_GATEWAY_DIALECT_H

#include "common/envelope.h"
#include "gateway/frame.h"
#include "gateway/message.h"

enum dialect_id { DIALECT_ID_JSON, DIALECT_ID_ECHO, DIALECT_ID_COUNT };

struct dialect {
    enum dialect_id id;
    const char *name;                                /* for ?dialect= and DIALECT */
    const char *subprotocol;                         /* for Sec-WebSocket-Protocol; NULL: none */
    size_t outbox_min;                               /* bytes that may wait for a client even if OUTBOX_BYTES is less */
    struct frame *(*hello)(const struct welcome *w); /* NULL: says nothing first */
    /* The same bytes for every connection. position: see position.h. NULL: this dialect does not carry such events. */
    struct frame *(*encode_event)(const struct envelope *e, uint64_t position);
    void (*decode)(struct slice bytes, bool binary, struct message *out);
    /* NULL: this dialect has no such reply. */
    struct frame *(*encode_reply)(const struct reply *r);
};

extern const struct dialect *const dialects[DIALECT_ID_COUNT];

/* By ?dialect= or DIALECT; NULL: none of that name. */
const struct dialect *dialect_by_name(struct slice name);
/* The sub-protocols that can be asked for: their count, at most DIALECT_ID_COUNT, and the dialect of one of them. */
size_t dialect_subprotocols(struct slice out[DIALECT_ID_COUNT]);
const struct dialect *dialect_by_subprotocol(struct slice name);

#endif

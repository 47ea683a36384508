/* What a Redis connection in subscriber state sends (RESP2), cut in place and without memory of its own: an array of
 * two to four elements (message, confirmation, pong), or a single line (+PONG, -ERR …). Redis 7, protocol
 * specification "RESP". */
#ifndef TIDEGATE_COMMON_RESP_PUSH_H
#define TIDEGATE_COMMON_RESP_PUSH_H

#include "common/slice.h"

enum resp_result { RESP_MORE, RESP_OK, RESP_BAD };

enum resp_push_kind {
    RESP_PUSH_MESSAGE,      /* smessage: channel, payload */
    RESP_PUSH_SUBSCRIBED,   /* ssubscribe: channel */
    RESP_PUSH_UNSUBSCRIBED, /* sunsubscribe: channel; sent unasked when a slot moves away */
    RESP_PUSH_PONG,
    RESP_PUSH_ERROR, /* payload is the text behind '-' */
    RESP_PUSH_OTHER, /* well-formed, of no interest */
};

struct resp_push {
    enum resp_push_kind kind;
    struct slice channel, payload; /* cut from the input */
    size_t size;                   /* bytes it took */
};

/* Reads one push from the start of bytes. RESP_MORE: not whole yet. */
enum resp_result resp_push_read(struct slice bytes, struct resp_push *out);

#endif

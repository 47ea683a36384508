/* The client's half of RFC 6455, as little of it as probes and load tools need: the opening request, server frames
 * (which are not masked) and masked control frames. Bytes in, bytes out; no I/O. */
#ifndef TIDEGATE_COMMON_WIRE_H
#define TIDEGATE_COMMON_WIRE_H

#include "common/slice.h"

enum { WIRE_CONTINUATION = 0, WIRE_TEXT = 1, WIRE_BINARY = 2, WIRE_CLOSE = 8, WIRE_PING = 9, WIRE_PONG = 10 };

#define WIRE_CONTROL_MAX       125                    /* payload of a control frame, RFC 6455 5.5 */
#define WIRE_CONTROL_FRAME_MAX (6 + WIRE_CONTROL_MAX) /* with header and mask */
#define WIRE_HEAD_MAX          10                     /* header of a frame that is not masked */
#define WIRE_BAD_FRAME         1002                   /* protocol error, RFC 6455 7.4.1 */
#define WIRE_NO_STATUS         1005                   /* a close frame without a code, RFC 6455 7.1.5 */
#define WIRE_NO_CLOSE          1006                   /* the connection ended without a close frame */

enum wire_result { WIRE_MORE, WIRE_OK, WIRE_BAD };

struct wire_frame {
    unsigned char opcode;
    bool fin;
    size_t head;     /* bytes of the header */
    uint64_t length; /* bytes of the payload, which may not have come yet */
};

/* Reads the frame header that in starts with. MORE: not all of it is there. BAD: a reserved bit or opcode, a mask, a
 * control frame that is long or fragmented. */
enum wire_result wire_frame_head(struct slice in, struct wire_frame *out);
/* Writes a whole masked control frame, payload of up to WIRE_CONTROL_MAX bytes; returns its length. */
size_t wire_control(unsigned char opcode, struct slice payload, unsigned char out[WIRE_CONTROL_FRAME_MAX]);
/* The code in a close frame's payload, WIRE_NO_STATUS if there is none. */
unsigned wire_close_code(struct slice payload);
/* The milliseconds that "retry=<ms>" in its reason asks to stay away; -1 when it names none. */
int wire_close_retry_ms(struct slice payload);

/* Writes the opening request; returns its length, or 0 when it does not fit. token may be empty: then none is sent.
 * All connections use the key of RFC 6455 section 1.3, so that the answer is the same for all. */
size_t wire_request(struct slice host, struct slice path, struct slice token, char *out, size_t room);
/* Reads the answer's head: MORE, or its length and HTTP status. BAD: not HTTP, or a 101 with the wrong accept key. */
enum wire_result wire_response(struct slice in, size_t *head, unsigned *status);

#endif

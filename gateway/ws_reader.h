/* Reads a client's WebSocket frames (RFC 6455 section 5) from whatever pieces its bytes come in: bytes in, messages
 * out. Between messages a reader holds no memory beyond this struct; a message is assembled on the heap only when it
 * spans reads or fragments, and then each of its bytes is copied once.
 *
 *     size_t used;
 *     do {
 *         result = ws_reader_feed(&r, bytes, n, &used, &message);
 *         ... act on result ...
 *         bytes += used, n -= used;
 *     } while (result != WS_MORE);
 *
 * The call that says WS_MORE gives back the memory of the message before it, so go on until then. */
#ifndef TIDEGATE_GATEWAY_WS_READER_H
#define TIDEGATE_GATEWAY_WS_READER_H

#include "common/utf8.h"
#include "gateway/ws.h"

enum ws_result {
    WS_MORE,    /* all bytes were consumed, nothing to report */
    WS_MESSAGE, /* a whole text or binary message */
    WS_PING,
    WS_PONG,
    WS_CLOSE, /* the peer's close frame; what follows it is swallowed */
    WS_BAD    /* the peer broke the protocol or a limit: close with out->code; what follows is swallowed */
};

/* The payload stands in the caller's bytes or in the reader's memory: good until the next feed or release. */
struct ws_message {
    enum ws_opcode opcode; /* MESSAGE: WS_OP_TEXT or WS_OP_BINARY */
    uint16_t code;         /* CLOSE: the peer's, or WS_CODE_NONE; BAD: what to answer (1002, 1007, 1009) */
    struct slice payload;  /* unmasked; text is valid UTF-8; CLOSE: the peer's reason; BAD: ours, a static text */
};

/* The largest limit that a reader can be given. */
#define WS_READER_LIMIT_MAX (1u << 30)

/* Everything in here is the reader's own. */
struct ws_reader {
    char *store; /* the message so far, behind it the payload so far of a control frame that came in pieces */
    uint32_t stored, store_cap;
    uint32_t limit;
    uint32_t left; /* payload bytes of the current frame still to come */
    uint32_t mask; /* turned so that its first byte is for the next payload byte */
    uint8_t head[14], head_n;
    uint8_t message;  /* opcode of the message underway, 0 between messages */
    struct utf8 text; /* stands between two characters whenever no text is underway */
    uint8_t state;
};

/* A message may have at most limit payload bytes, over all its fragments. */
void ws_reader_init(struct ws_reader *r, uint32_t limit);
void ws_reader_release(struct ws_reader *r);

/* Reads up to the next thing to report. *Borrows* bytes and unmasks them in place; *consumed says how many are done
 * with. A fault is reported as soon as it can be known: a bad first byte before the second has come, bad UTF-8 before
 * the message ends, a frame beyond the limit from its header. How the bytes are cut never changes what is reported. */
enum ws_result ws_reader_feed(struct ws_reader *r, char *bytes, size_t n, size_t *consumed, struct ws_message *out);

/* Bytes of memory that the reader holds beyond its struct; 0 between messages. */
static inline size_t ws_reader_held(const struct ws_reader *r)
{
    return r->store_cap;
}

#endif

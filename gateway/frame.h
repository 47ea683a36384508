/* A frame: bytes for the wire, encoded once, never changed, shared by reference among all connections that send them.
 * Thread-confined: made, referenced and released in one worker's thread, so its count needs no atomics. */
#ifndef TIDEGATE_GATEWAY_FRAME_H
#define TIDEGATE_GATEWAY_FRAME_H

#include "common/buf.h"
#include "gateway/ws.h"

/* The longest head of a server's frame (RFC 6455 section 5.2, unmasked). */
#define FRAME_HEAD_MAX 10

struct frame {
    uint32_t refs;
    uint32_t size;        /* head and payload */
    uint8_t head_n;       /* bytes of the head, which ends where the payload begins */
    unsigned char data[]; /* FRAME_HEAD_MAX bytes with the head at their end, then the payload */
};

/* What frame_finish needs in front of a payload. */
#define FRAME_ROOM (offsetof(struct frame, data) + FRAME_HEAD_MAX)

/* A single unfragmented, unmasked WebSocket frame with a copy of payload. Returns owned: one reference, the maker's. */
struct frame *frame_new(enum ws_opcode opcode, struct slice payload);
/* A close frame; WS_CODE_NONE sends neither code nor reason. The reason is UTF-8 of at most WS_REASON_MAX bytes.
 * Returns owned. */
struct frame *frame_new_close(uint16_t code, struct slice reason);

/* The same without a copy: begin on an empty buf, append the payload to it, finish. A buf begun and not finished is
 * dropped by buf_release. */
void frame_begin(struct buf *b);
/* *Takes* the bytes of b and leaves it empty. Returns owned. */
struct frame *frame_finish(struct buf *b, enum ws_opcode opcode);

/* One more reference, to f itself. */
struct frame *frame_ref(struct frame *f);
/* One reference less; the last one frees. NULL is allowed. */
void frame_unref(struct frame *f);

/* Frames alive that this thread made. */
size_t frame_live(void);

/* What goes on the wire; good while a reference is held. */
static inline struct slice frame_bytes(const struct frame *f)
{
    return slice_make(f->data + FRAME_HEAD_MAX - f->head_n, f->size);
}

static inline struct slice frame_payload(const struct frame *f)
{
    return slice_make(f->data + FRAME_HEAD_MAX, f->size - f->head_n);
}

#endif

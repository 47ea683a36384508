/* Frames are one allocation: count, room for the longest head, payload. The head is written last and backwards from
 * the payload, because only then is the length known; so a payload can be built in place by the usual buf functions. */
#include "gateway/frame.h"

#include <stdlib.h>

static _Thread_local size_t live;

/* Section 5.2: the shortest length form that fits. Returns the bytes written before end. */
static uint8_t write_head(unsigned char *end, enum ws_opcode opcode, uint64_t length)
{
    uint8_t more = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;
    uint8_t head_n = (uint8_t)(2 + more);
    unsigned char *head = end - head_n;
    head[0] = (unsigned char)(WS_FIN | opcode);
    head[1] = (unsigned char)(more == 0 ? length : more == 2 ? 126 : 127);
    for (uint8_t i = 0; i < more; i++)
        head[2 + i] = (unsigned char)(length >> (8 * (more - 1 - i)));
    return head_n;
}

void frame_begin(struct buf *b)
{
    assert(b->n == 0);
    buf_reserve(b, FRAME_ROOM);
    b->n = FRAME_ROOM;
}

struct frame *frame_finish(struct buf *b, enum ws_opcode opcode)
{
    assert(b->n >= FRAME_ROOM && b->n <= UINT32_MAX);
    struct frame *f = xrealloc(b->p, b->n);
    size_t length = b->n - FRAME_ROOM;
    *b = (struct buf){0};
    f->refs = 1;
    f->head_n = write_head(f->data + FRAME_HEAD_MAX, opcode, length);
    f->size = (uint32_t)(f->head_n + length);
    live++;
    return f;
}

struct frame *frame_new(enum ws_opcode opcode, struct slice payload)
{
    struct buf b = {.p = xmalloc(FRAME_ROOM + payload.n), .cap = FRAME_ROOM + payload.n};
    frame_begin(&b);
    buf_append(&b, payload);
    return frame_finish(&b, opcode);
}

struct frame *frame_new_close(uint16_t code, struct slice reason)
{
    char payload[WS_CONTROL_MAX] = {(char)(code >> 8), (char)code};
    assert(reason.n <= WS_REASON_MAX);
    if (code == WS_CODE_NONE)
        return frame_new(WS_OP_CLOSE, SLICE(""));
    if (reason.n > 0)
        memcpy(payload + 2, reason.p, reason.n);
    return frame_new(WS_OP_CLOSE, slice_make(payload, 2 + reason.n));
}

struct frame *frame_ref(struct frame *f)
{
    f->refs++;
    return f;
}

void frame_unref(struct frame *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    live--;
    free(f);
}

size_t frame_live(void)
{
    return live;
}

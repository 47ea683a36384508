/* CONFORMANCE=1: every message comes back with its opcode, so that public protocol suites test the real code path. */
#include "gateway/dialect.h"

static void decode(struct slice bytes, bool binary, struct message *out)
{
    *out = (struct message){.kind = MESSAGE_ECHO, .payload = bytes, .binary = binary};
}

static struct frame *encode_reply(const struct reply *r)
{
    if (r->kind != REPLY_ECHO)
        return NULL;
    return frame_new(r->to->binary ? WS_OP_BINARY : WS_OP_TEXT, r->to->payload);
}

static struct frame *encode_event(const struct envelope *e, uint64_t position)
{
    return NULL;
}

extern const struct dialect dialect_echo;
const struct dialect dialect_echo = {
    .id = DIALECT_ID_ECHO,
    .name = "echo",
    .outbox_min = 64u << 20, /* a few of the largest messages */
    .decode = decode,
    .encode_reply = encode_reply,
    .encode_event = encode_event,
};

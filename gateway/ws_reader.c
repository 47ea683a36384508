/* The frame reader: a header is gathered in fourteen bytes and judged part by part, payload is unmasked where it lies.
 * A frame that is a whole message and came in one piece is handed out in place; anything else is gathered in the
 * store, where a control frame between two fragments has its place behind the message so far. */
#include "gateway/ws_reader.h"

#include <stdlib.h>

enum { STATE_HEAD, STATE_PAYLOAD, STATE_DONE };

/* The first two bytes of a frame, section 5.2. */
#define HEAD_RESERVED 0x70
#define HEAD_OPCODE   0x0f
#define HEAD_CONTROL  0x08
#define HEAD_MASKED   0x80
#define HEAD_LENGTH   0x7f

#define STORE_MIN 64

struct input {
    char *p;
    size_t n;
};

void ws_reader_init(struct ws_reader *r, uint32_t limit)
{
    assert(limit <= WS_READER_LIMIT_MAX);
    *r = (struct ws_reader){.limit = limit};
}

void ws_reader_release(struct ws_reader *r)
{
    free(r->store);
    r->store = NULL;
    r->stored = r->store_cap = 0;
}

static enum ws_opcode opcode(const struct ws_reader *r)
{
    return (enum ws_opcode)(r->head[0] & HEAD_OPCODE);
}

static bool is_final(const struct ws_reader *r)
{
    return r->head[0] & WS_FIN;
}

static bool is_control(const struct ws_reader *r)
{
    return r->head[0] & HEAD_CONTROL;
}

static enum ws_result refuse(struct ws_reader *r, enum ws_code code, const char *why, struct ws_message *out)
{
    ws_reader_release(r);
    r->state = STATE_DONE;
    *out = (struct ws_message){.opcode = WS_OP_CLOSE, .code = (uint16_t)code, .payload = slice_of(why)};
    return WS_BAD;
}

/* An extension that claims a reserved bit would admit it here. */
static const char *fault_in_first_byte(const struct ws_reader *r)
{
    if (r->head[0] & HEAD_RESERVED)
        return "reserved bit set";
    switch (opcode(r)) {
    case WS_OP_CONTINUATION:
        return r->message == 0 ? "continuation without a message" : NULL;
    case WS_OP_TEXT:
    case WS_OP_BINARY:
        return r->message != 0 ? "message inside a message" : NULL;
    case WS_OP_CLOSE:
    case WS_OP_PING:
    case WS_OP_PONG:
        return is_final(r) ? NULL : "fragmented control frame";
    default:
        return "reserved opcode";
    }
}

static const char *fault_in_second_byte(const struct ws_reader *r)
{
    if (!(r->head[1] & HEAD_MASKED))
        return "unmasked frame";
    if (is_control(r) && (r->head[1] & HEAD_LENGTH) > WS_CONTROL_MAX)
        return "control frame too long";
    return NULL;
}

/* How many bytes of length follow the second byte. */
static uint8_t length_bytes(const struct ws_reader *r)
{
    switch (r->head[1] & HEAD_LENGTH) {
    case 126:
        return 2;
    case 127:
        return 8;
    default:
        return 0;
    }
}

static uint64_t frame_length(const struct ws_reader *r)
{
    uint8_t more = length_bytes(r);
    uint64_t length = more == 0 ? r->head[1] & HEAD_LENGTH : 0;
    for (uint8_t i = 0; i < more; i++)
        length = length << 8 | r->head[2 + i];
    return length;
}

static const char *fault_in_length(const struct ws_reader *r)
{
    uint64_t length = frame_length(r);
    if (length >> 63)
        return "length above 63 bits";
    if ((length_bytes(r) == 2 && length < 126) || (length_bytes(r) == 8 && length <= UINT16_MAX))
        return "length not in its shortest form";
    return NULL;
}

/* Moves input into the head until that has n bytes; false while it has fewer. */
static bool take_head(struct ws_reader *r, struct input *in, uint8_t n)
{
    while (r->head_n < n && in->n > 0) {
        r->head[r->head_n++] = (uint8_t)*in->p++;
        in->n--;
    }
    return r->head_n >= n;
}

static void start_payload(struct ws_reader *r)
{
    r->state = STATE_PAYLOAD;
    r->left = (uint32_t)frame_length(r);
    memcpy(&r->mask, r->head + 2 + length_bytes(r), sizeof(r->mask));
    if (!is_control(r) && r->message == 0)
        r->message = (uint8_t)opcode(r);
}

/* Starts again at the first byte however much has come before: the checks are cheaper than remembering them. */
static enum ws_result read_head(struct ws_reader *r, struct input *in, struct ws_message *out)
{
    const char *why;
    if (!take_head(r, in, 1))
        return WS_MORE;
    if ((why = fault_in_first_byte(r)) != NULL)
        return refuse(r, WS_CODE_PROTOCOL_ERROR, why, out);
    if (!take_head(r, in, 2))
        return WS_MORE;
    if ((why = fault_in_second_byte(r)) != NULL)
        return refuse(r, WS_CODE_PROTOCOL_ERROR, why, out);
    uint8_t to_mask = (uint8_t)(2 + length_bytes(r));
    if (!take_head(r, in, to_mask))
        return WS_MORE;
    if ((why = fault_in_length(r)) != NULL)
        return refuse(r, WS_CODE_PROTOCOL_ERROR, why, out);
    if (!is_control(r) && frame_length(r) > r->limit - r->stored)
        return refuse(r, WS_CODE_TOO_BIG, "message too big", out);
    if (take_head(r, in, (uint8_t)(to_mask + sizeof(r->mask))))
        start_payload(r);
    return WS_MORE;
}

/* Section 5.3, eight bytes at a time. Returns the key as the byte after these needs it. */
static uint32_t unmask(char *p, size_t n, uint32_t key)
{
    unsigned char keys[2 * sizeof(key)];
    memcpy(keys, &key, sizeof(key));
    memcpy(keys + sizeof(key), &key, sizeof(key));
    uint64_t wide, word;
    memcpy(&wide, keys, sizeof(wide));
    size_t i = 0;
    for (; i + sizeof(word) <= n; i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        word ^= wide;
        memcpy(p + i, &word, sizeof(word));
    }
    for (; i < n; i++)
        p[i] = (char)((unsigned char)p[i] ^ keys[i % sizeof(keys)]);
    memcpy(&key, keys + n % sizeof(key), sizeof(key));
    return key;
}

static struct slice take_payload(struct ws_reader *r, struct input *in)
{
    size_t n = MIN(in->n, r->left);
    struct slice piece = {in->p, n};
    r->mask = unmask(in->p, n, r->mask);
    r->left -= (uint32_t)n;
    in->p += n;
    in->n -= n;
    return piece;
}

/* Doubles, so that many small pieces are copied a bounded number of times, and is never more than twice what has
 * really come: a header's claim alone costs nothing. The last frame of a message ends at its exact size. */
static void grow_store(struct ws_reader *r, size_t need)
{
    size_t cap = MAX(MAX(need, (size_t)r->store_cap * 2), STORE_MIN);
    if (is_final(r) && !is_control(r))
        cap = MIN(cap, need + r->left);
    r->store = xrealloc(r->store, cap);
    r->store_cap = (uint32_t)cap;
}

static void keep(struct ws_reader *r, size_t at, struct slice piece)
{
    if (piece.n == 0)
        return;
    if (at + piece.n > r->store_cap)
        grow_store(r, at + piece.n);
    memcpy(r->store + at, piece.p, piece.n);
}

/* Section 7.4: what may stand in a close frame, with the codes registered since. */
static bool may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum ws_result report_close(struct ws_reader *r, struct slice payload, struct ws_message *out)
{
    unsigned code = WS_CODE_NONE;
    if (payload.n == 1)
        return refuse(r, WS_CODE_PROTOCOL_ERROR, "close code cut short", out);
    if (payload.n >= 2) {
        code = (unsigned)(uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1];
        if (!may_be_sent(code))
            return refuse(r, WS_CODE_PROTOCOL_ERROR, "invalid close code", out);
        payload = slice_from(payload, 2);
        if (!utf8_valid(payload))
            return refuse(r, WS_CODE_INVALID_PAYLOAD, "close reason is not UTF-8", out);
    }
    r->state = STATE_DONE;
    *out = (struct ws_message){.opcode = WS_OP_CLOSE, .code = (uint16_t)code, .payload = payload};
    return WS_CLOSE;
}

static enum ws_result report_message(struct ws_reader *r, struct slice payload, struct ws_message *out)
{
    if (r->message == WS_OP_TEXT && !utf8_complete(&r->text))
        return refuse(r, WS_CODE_INVALID_PAYLOAD, "text is not UTF-8", out);
    *out = (struct ws_message){.opcode = (enum ws_opcode)r->message, .payload = payload};
    r->message = 0;
    return WS_MESSAGE;
}

static void next_head(struct ws_reader *r)
{
    r->state = STATE_HEAD;
    r->head_n = 0;
}

static enum ws_result report(struct ws_reader *r, struct slice payload, struct ws_message *out)
{
    next_head(r);
    if (!is_control(r))
        return report_message(r, payload, out);
    if (opcode(r) == WS_OP_CLOSE)
        return report_close(r, payload, out);
    *out = (struct ws_message){.opcode = opcode(r), .payload = payload};
    return opcode(r) == WS_OP_PING ? WS_PING : WS_PONG;
}

static enum ws_result read_payload(struct ws_reader *r, struct input *in, struct ws_message *out)
{
    /* where in the store this message or control frame begins, and how much of it is there */
    size_t base = is_control(r) ? r->stored : 0;
    size_t kept = is_control(r) ? (r->head[1] & HEAD_LENGTH) - r->left : r->stored;
    struct slice piece = take_payload(r, in);
    if (!is_control(r) && r->message == WS_OP_TEXT && utf8_feed(&r->text, piece) != 0)
        return refuse(r, WS_CODE_INVALID_PAYLOAD, "text is not UTF-8", out);
    if (r->left == 0 && is_final(r) && kept == 0)
        return report(r, piece, out);
    keep(r, base + kept, piece);
    if (!is_control(r))
        r->stored += (uint32_t)piece.n;
    if (r->left > 0)
        return WS_MORE;
    if (is_final(r))
        return report(r, slice_make(r->store + base, kept + piece.n), out);
    next_head(r);
    return WS_MORE;
}

/* What the last feed handed out goes, unless it was a control frame inside a message. */
static void drop_reported(struct ws_reader *r)
{
    if (r->store != NULL && (r->state == STATE_DONE || (r->state == STATE_HEAD && r->message == 0)))
        ws_reader_release(r);
}

enum ws_result ws_reader_feed(struct ws_reader *r, char *bytes, size_t n, size_t *consumed, struct ws_message *out)
{
    struct input in = {bytes, n};
    enum ws_result result = WS_MORE;
    drop_reported(r);
    while (result == WS_MORE && r->state != STATE_DONE) {
        if (r->state == STATE_HEAD)
            result = read_head(r, &in, out);
        if (r->state == STATE_PAYLOAD)
            result = read_payload(r, &in, out);
        if (in.n == 0)
            break;
    }
    *consumed = r->state == STATE_DONE ? n : n - in.n;
    return result;
}

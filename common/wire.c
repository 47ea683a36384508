/* Server frames are read by their header alone: the payload stays where it is. */
#include "common/wire.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define SAMPLE_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define SAMPLE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static uint64_t big_endian(const unsigned char *p, size_t n)
{
    uint64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

static bool head_is_valid(const unsigned char *p)
{
    unsigned opcode = p[0] & 15u;
    bool known = opcode <= WIRE_BINARY || (opcode >= WIRE_CLOSE && opcode <= WIRE_PONG);
    bool control_fits = opcode < WIRE_CLOSE || ((p[0] & 0x80) != 0 && (p[1] & 0x7f) <= WIRE_CONTROL_MAX);
    return known && control_fits && (p[0] & 0x70) == 0 && (p[1] & 0x80) == 0;
}

enum wire_result wire_frame_head(struct slice in, struct wire_frame *out)
{
    const unsigned char *p = (const unsigned char *)in.p;
    if (in.n < 2)
        return WIRE_MORE;
    if (!head_is_valid(p))
        return WIRE_BAD;
    unsigned length = p[1] & 0x7fu;
    size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (in.n < 2 + extended)
        return WIRE_MORE;
    out->opcode = p[0] & 15u;
    out->fin = (p[0] & 0x80) != 0;
    out->head = 2 + extended;
    out->length = extended ? big_endian(p + 2, extended) : length;
    return out->length >> 63 ? WIRE_BAD : WIRE_OK;
}

size_t wire_control(unsigned char opcode, struct slice payload, unsigned char out[WIRE_CONTROL_FRAME_MAX])
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    assert(payload.n <= WIRE_CONTROL_MAX);
    out[0] = 0x80u | opcode;
    out[1] = (unsigned char)(0x80u | payload.n);
    memcpy(out + 2, mask, sizeof(mask));
    for (size_t i = 0; i < payload.n; i++)
        out[6 + i] = (unsigned char)payload.p[i] ^ mask[i & 3];
    return 6 + payload.n;
}

unsigned wire_close_code(struct slice payload)
{
    return payload.n < 2 ? WIRE_NO_STATUS : (unsigned)big_endian((const unsigned char *)payload.p, 2);
}

int wire_close_retry_ms(struct slice payload)
{
    const struct slice name = SLICE("retry=");
    const char *at = payload.n > 2 ? memmem(payload.p + 2, payload.n - 2, name.p, name.n) : NULL;
    uint64_t ms;
    if (at == NULL)
        return -1;
    struct slice rest = slice_from(payload, (size_t)(at - payload.p) + name.n);
    return slice_to_u64(slice_cut(&rest, ' '), &ms) == 0 && ms <= INT_MAX ? (int)ms : -1;
}

size_t wire_request(struct slice host, struct slice path, struct slice token, char *out, size_t room)
{
    const char *sep = token.n == 0 ? "" : memchr(path.p, '?', path.n) ? "&token=" : "?token=";
    int n = snprintf(out, room,
                     "GET %.*s%s%.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: " SAMPLE_KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n",
                     SLICE_ARG(path), sep, SLICE_ARG(token), SLICE_ARG(host));
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

enum wire_result wire_response(struct slice in, size_t *head, unsigned *status)
{
    const char *end = in.n > 0 ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return WIRE_MORE;
    *head = (size_t)(end - in.p) + 4;
    *status = 0;
    if (*head < sizeof("HTTP/1.1 101") || !slice_starts(in, SLICE("HTTP/1.")))
        return WIRE_BAD;
    *status = (unsigned)strtoul(in.p + 9, NULL, 10);
    if (*status < 100 || *status > 599)
        return WIRE_BAD;
    if (*status == 101 && memmem(in.p, *head, SAMPLE_ACCEPT, sizeof(SAMPLE_ACCEPT) - 1) == NULL)
        return WIRE_BAD;
    return WIRE_OK;
}

/* The frame reader under foreign bytes. The first input byte chooses the limit, the second how the rest is cut. What
 * is asserted: the cut never changes what is reported, the limit holds, memory follows what has come and is given
 * back between messages. */
#include "common/buf.h"
#include "gateway/ws_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static const uint32_t limits[] = {0, 1, 125, 126, 1000, 65535, 65536, 1 << 20};

static void check_message(const struct ws_message *m, enum ws_result result, uint32_t limit)
{
    switch (result) {
    case WS_MESSAGE:
        MUST(m->payload.n <= limit);
        MUST(m->opcode == WS_OP_TEXT || m->opcode == WS_OP_BINARY);
        MUST(m->opcode == WS_OP_BINARY || utf8_valid(m->payload));
        break;
    case WS_BAD:
        MUST(m->code == WS_CODE_PROTOCOL_ERROR || m->code == WS_CODE_INVALID_PAYLOAD || m->code == WS_CODE_TOO_BIG);
        MUST(m->payload.n > 0 && m->payload.n <= WS_REASON_MAX);
        break;
    case WS_CLOSE:
        MUST(m->payload.n <= WS_REASON_MAX && utf8_valid(m->payload));
        break;
    default:
        MUST(m->payload.n <= WS_CONTROL_MAX);
        break;
    }
}

static void write_down(struct buf *log, enum ws_result result, const struct ws_message *m)
{
    buf_printf(log, "%d %d %d %zu ", result, result == WS_MESSAGE ? (int)m->opcode : 0, m->code, m->payload.n);
    buf_append(log, m->payload);
}

/* Lets the reader say all it has to say about one piece, given in an allocation of its own. */
static void feed(struct ws_reader *r, const uint8_t *piece, size_t n, struct buf *log)
{
    char *bytes = xmalloc(n), *at = bytes;
    if (n > 0)
        memcpy(bytes, piece, n);
    struct ws_message m = {0};
    enum ws_result result;
    size_t used;
    while ((result = ws_reader_feed(r, at, n, &used, &m)) != WS_MORE) {
        MUST(used <= n);
        check_message(&m, result, r->limit);
        write_down(log, result, &m);
        at += used;
        n -= used;
        if (result == WS_BAD || result == WS_CLOSE)
            MUST(n == 0);
    }
    MUST(used == n);
    free(bytes);
}

/* Returns owned: all that was said. */
static struct buf run(const uint8_t *data, size_t size, uint32_t limit, unsigned cut)
{
    struct buf log = {0};
    struct ws_reader r;
    ws_reader_init(&r, limit);
    for (size_t at = 0, n; at < size; at += n) {
        n = MIN(size - at, cut == 0 ? size : 1 + cut % 16);
        cut = cut < 16 ? cut : (cut * 5 + 3) % 251 + 16; /* small ones cut evenly, others vary */
        feed(&r, data + at, n, &log);
        MUST(ws_reader_held(&r) <= 2 * (at + n) + 64);
        MUST(r.stored <= limit);
        if (r.message == 0 && r.head_n == 0)
            MUST(ws_reader_held(&r) == 0 && r.store == NULL);
    }
    ws_reader_release(&r);
    return log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint32_t limit = limits[data[0] % ARRAY_LEN(limits)];
    const unsigned cuts[] = {1, data[1]};
    struct buf whole = run(data + 2, size - 2, limit, 0);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct buf log = run(data + 2, size - 2, limit, cuts[i]);
        MUST(slice_eq(buf_slice(&log), buf_slice(&whole)));
        buf_release(&log);
    }
    buf_release(&whole);
    return 0;
}

/* The frame reader against scripts of frames. Every script is fed whole and in pieces of several sizes, each piece in
 * an allocation of its own, and must say the same every time. What it says is written down as one line of text:
 * "text(Hello) ping() bad(1002)". */
#include "common/buf.h"
#include "gateway/ws_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LIMIT 70000

enum piece_kind { PIECE_END, PIECE_FRAME, PIECE_RAW };

struct piece {
    enum piece_kind kind;
    uint8_t first; /* first byte of the frame */
    struct slice bytes;
};

/* A masked frame with its length in the shortest form; bytes as they are. */
#define F(first, literal)                                                                                              \
    {                                                                                                                  \
        PIECE_FRAME, (first),                                                                                          \
        {                                                                                                              \
            (literal), sizeof(literal) - 1                                                                             \
        }                                                                                                              \
    }
#define RAW(literal)                                                                                                   \
    {                                                                                                                  \
        PIECE_RAW, 0,                                                                                                  \
        {                                                                                                              \
            (literal), sizeof(literal) - 1                                                                             \
        }                                                                                                              \
    }

#define TEXT      0x81
#define BINARY    0x82
#define TEXT_1    0x01
#define BINARY_1  0x02
#define MORE_1    0x00
#define LAST      0x80
#define CLOSE     0x88
#define PING      0x89
#define PONG      0x8a
#define TEN       "0123456789"
#define FIFTY     TEN TEN TEN TEN TEN
#define BYTES_125 FIFTY FIFTY TEN TEN "01234"

struct script {
    const char *name;
    struct piece pieces[8];
    const char *says;
};

static void put_length(struct buf *b, size_t n)
{
    if (n < 126) {
        buf_byte(b, (char)(0x80 | n));
        return;
    }
    int more = n <= 0xffff ? 2 : 8;
    buf_byte(b, (char)(0x80 | (more == 2 ? 126 : 127)));
    for (int i = more - 1; i >= 0; i--)
        buf_byte(b, (char)((uint64_t)n >> (8 * i)));
}

static void put_frame(struct buf *b, uint8_t first, struct slice payload)
{
    static const char key[4] = {0x37, (char)0xfa, 0x21, 0x3d};
    buf_byte(b, (char)first);
    put_length(b, payload.n);
    buf_append(b, slice_make(key, 4));
    for (size_t i = 0; i < payload.n; i++)
        buf_byte(b, (char)(payload.p[i] ^ key[i % 4]));
}

static void say(struct buf *log, enum ws_result result, const struct ws_message *m)
{
    if (log->n > 0)
        buf_byte(log, ' ');
    switch (result) {
    case WS_MESSAGE:
        buf_printf(log, "%s(%.*s)", m->opcode == WS_OP_TEXT ? "text" : "binary", SLICE_ARG(m->payload));
        break;
    case WS_PING:
        buf_printf(log, "ping(%.*s)", SLICE_ARG(m->payload));
        break;
    case WS_PONG:
        buf_printf(log, "pong(%.*s)", SLICE_ARG(m->payload));
        break;
    case WS_CLOSE:
        buf_printf(log, "close(%d%s%.*s)", m->code, m->payload.n > 0 ? " " : "", SLICE_ARG(m->payload));
        break;
    case WS_BAD:
        assert_true(m->payload.n > 0);
        buf_printf(log, "bad(%d)", m->code);
        break;
    case WS_MORE:
        break;
    }
}

/* Feeds one piece from an allocation that ends where it ends, as the address sanitizer likes it. */
static void feed_piece(struct ws_reader *r, struct slice piece, struct buf *log)
{
    char *copy = slice_dup(piece);
    char *exact = realloc(copy, piece.n ? piece.n : 1);
    char *at = exact;
    size_t n = piece.n, used;
    struct ws_message m;
    enum ws_result result;
    while ((result = ws_reader_feed(r, at, n, &used, &m)) != WS_MORE) {
        say(log, result, &m);
        assert_true(used <= n);
        at += used;
        n -= used;
    }
    assert_int_equal(used, n);
    free(exact);
}

/* Returns owned: what the reader said, as text. */
static struct buf run(struct slice bytes, size_t chunk, uint32_t limit)
{
    struct buf log = {0};
    struct ws_reader r;
    ws_reader_init(&r, limit);
    for (size_t at = 0; at < bytes.n; at += chunk)
        feed_piece(&r, slice_make(bytes.p + at, MIN(chunk, bytes.n - at)), &log);
    if (r.message == 0 && r.state == 0)
        assert_int_equal(ws_reader_held(&r), 0);
    ws_reader_release(&r);
    return log;
}

static void expect(const char *name, struct slice bytes, const char *says)
{
    static const size_t chunks[] = {SIZE_MAX / 2, 1, 2, 3, 7, 13, 1000};
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct buf log = run(bytes, chunks[i], LIMIT);
        if (!slice_eq(buf_slice(&log), slice_of(says)))
            fail_msg("%s, chunks of %zu: said \"%.*s\", expected \"%s\"", name, chunks[i], SLICE_ARG(buf_slice(&log)),
                     says);
        buf_release(&log);
    }
}

static void expect_all(const struct script *scripts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buf bytes = {0};
        for (const struct piece *p = scripts[i].pieces; p->kind != PIECE_END; p++)
            if (p->kind == PIECE_FRAME)
                put_frame(&bytes, p->first, p->bytes);
            else
                buf_append(&bytes, p->bytes);
        expect(scripts[i].name, buf_slice(&bytes), scripts[i].says);
        buf_release(&bytes);
    }
}

static void messages(void **state)
{
    static const struct script scripts[] = {
        {"section 5.7", {RAW("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")}, "text(Hello)"},
        {"nothing", {RAW("")}, ""},
        {"empty text", {F(TEXT, "")}, "text()"},
        {"empty binary", {F(BINARY, "")}, "binary()"},
        {"two in a row", {F(TEXT, "one"), F(BINARY, "two")}, "text(one) binary(two)"},
        {"125 bytes", {F(TEXT, BYTES_125)}, "text(" BYTES_125 ")"},
        {"126 bytes", {F(TEXT, BYTES_125 "x"), F(TEXT, "y")}, "text(" BYTES_125 "x) text(y)"},
        {"binary is not text", {F(BINARY, "\xff\xfe")}, "binary(\xff\xfe)"},
        {"header cut", {F(TEXT, "a"), RAW("\x81")}, "text(a)"},
        {"payload cut", {F(TEXT, "a"), RAW("\x81\x85\x37\xfa\x21\x3d\x7f")}, "text(a)"},
    };
    expect_all(scripts, ARRAY_LEN(scripts));
}

static void fragments(void **state)
{
    static const struct script scripts[] = {
        {"two", {F(TEXT_1, "Hel"), F(LAST, "lo")}, "text(Hello)"},
        {"three", {F(BINARY_1, "a"), F(MORE_1, "b"), F(LAST, "c")}, "binary(abc)"},
        {"empty ones", {F(TEXT_1, ""), F(MORE_1, ""), F(LAST, "")}, "text()"},
        {"only the last has bytes", {F(TEXT_1, ""), F(LAST, "abc"), F(TEXT, "d")}, "text(abc) text(d)"},
        {"only the first has bytes", {F(TEXT_1, "abc"), F(LAST, ""), F(TEXT, "d")}, "text(abc) text(d)"},
        {"never ends", {F(TEXT_1, "a"), F(MORE_1, "b")}, ""},
        {"continuation alone", {F(LAST, "a")}, "bad(1002)"},
        {"continuation after the end", {F(TEXT_1, "a"), F(LAST, "b"), F(MORE_1, "c")}, "text(ab) bad(1002)"},
        {"text inside", {F(TEXT_1, "a"), F(TEXT, "b")}, "bad(1002)"},
        {"binary inside", {F(TEXT_1, "a"), F(BINARY_1, "b")}, "bad(1002)"},
    };
    expect_all(scripts, ARRAY_LEN(scripts));
}

static void control_frames(void **state)
{
    static const struct script scripts[] = {
        {"ping", {F(PING, "")}, "ping()"},
        {"pong", {F(PONG, "x")}, "pong(x)"},
        {"longest", {F(PING, BYTES_125)}, "ping(" BYTES_125 ")"},
        {"too long", {F(PING, BYTES_125 "x")}, "bad(1002)"},
        {"too long, header alone", {RAW("\x89\xfe")}, "bad(1002)"},
        {"fragmented", {RAW("\x09")}, "bad(1002)"},
        {"fragmented close", {RAW("\x08")}, "bad(1002)"},
        {"between fragments",
         {F(TEXT_1, "Hel"), F(PING, "p"), F(MORE_1, "l"), F(PONG, ""), F(PING, "q"), F(LAST, "o")},
         "ping(p) pong() ping(q) text(Hello)"},
        {"before any byte of the message",
         {F(TEXT_1, ""), F(PING, TEN), F(LAST, "abc"), F(TEXT, "d")},
         "ping(" TEN ") text(abc) text(d)"},
        {"inside a character",
         {F(TEXT_1, "\xe2\x82"), F(PING, "\xff"), F(LAST, "\xac")},
         "ping(\xff) text(\xe2\x82\xac)"},
        {"closes between fragments", {F(TEXT_1, "a"), F(CLOSE, "\x03\xe8"), F(LAST, "b")}, "close(1000)"},
    };
    expect_all(scripts, ARRAY_LEN(scripts));
}

static void closing(void **state)
{
    static const struct script scripts[] = {
        {"no code", {F(CLOSE, "")}, "close(1005)"},
        {"code", {F(CLOSE, "\x03\xe9")}, "close(1001)"},
        {"reason", {F(CLOSE, "\x03\xe8gone \xe2\x82\xac")}, "close(1000 gone \xe2\x82\xac)"},
        {"longest reason", {F(CLOSE, "\x03\xe8" FIFTY FIFTY TEN TEN "012")}, "close(1000 " FIFTY FIFTY TEN TEN "012)"},
        {"half a code", {F(CLOSE, "\x03")}, "bad(1002)"},
        {"bad reason", {F(CLOSE, "\x03\xe8\xff")}, "bad(1007)"},
        {"cut reason", {F(CLOSE, "\x03\xe8\xe2\x82")}, "bad(1007)"},
        {"swallows what follows", {F(CLOSE, "\x03\xe8"), F(TEXT, "a"), RAW("\xff\xff")}, "close(1000)"},
        {"a fault swallows what follows", {F(LAST, "x"), F(TEXT, "a"), F(PING, "")}, "bad(1002)"},
    };
    expect_all(scripts, ARRAY_LEN(scripts));
}

static bool close_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static void every_close_code(void **state)
{
    for (unsigned code = 0; code <= 0xffff; code++) {
        char payload[2] = {(char)(code >> 8), (char)code};
        struct buf bytes = {0};
        put_frame(&bytes, CLOSE, slice_make(payload, 2));
        struct buf log = run(buf_slice(&bytes), bytes.n, LIMIT);
        struct buf expected = {0};
        if (close_code_is_valid(code))
            buf_printf(&expected, "close(%u)", code);
        else
            buf_lit(&expected, "bad(1002)");
        if (!slice_eq(buf_slice(&log), buf_slice(&expected)))
            fail_msg("%u: %.*s", code, SLICE_ARG(buf_slice(&log)));
        buf_release(&bytes);
        buf_release(&log);
        buf_release(&expected);
    }
}

/* Each fault is known from exactly the bytes given here: nothing more is needed to see it. */
static void faults_are_seen_at_once(void **state)
{
    static const struct script scripts[] = {
        {"RSV1", {RAW("\xc1")}, "bad(1002)"},
        {"RSV2", {RAW("\xa1")}, "bad(1002)"},
        {"RSV3", {RAW("\x91")}, "bad(1002)"},
        {"RSV1 on a control frame", {RAW("\xc9")}, "bad(1002)"},
        {"unmasked", {RAW("\x81\x05")}, "bad(1002)"},
        {"unmasked and empty", {RAW("\x81")}, ""},
        {"unmasked and empty", {RAW("\x81\x00")}, "bad(1002)"},
        {"125 in 16 bits", {RAW("\x81\xfe\x00\x7d")}, "bad(1002)"},
        {"126 in 16 bits", {RAW("\x81\xfe\x00\x7e")}, ""},
        {"65535 in 64 bits", {RAW("\x82\xff\0\0\0\0\0\0\xff\xff")}, "bad(1002)"},
        {"65536 in 64 bits", {RAW("\x82\xff\0\0\0\0\0\x01\x00\x00")}, ""},
        {"top bit of 64", {RAW("\x82\xff\x80\0\0\0\0\0\0\0")}, "bad(1002)"},
        {"limit, from the header", {RAW("\x82\xff\0\0\0\0\0\x01\x11\x71")}, "bad(1009)"},
        {"limit, exactly", {RAW("\x82\xff\0\0\0\0\0\x01\x11\x70")}, ""},
        {"limit, 63 bits", {RAW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff")}, "bad(1009)"},
        {"UTF-8 in an unfinished frame", {RAW("\x81\xfd\0\0\0\0ok\xc0")}, "bad(1007)"},
        {"surrogate in an unfinished fragment", {RAW("\x01\xfd\0\0\0\0ok\xed\xa0")}, "bad(1007)"},
        {"overlong after its first byte", {RAW("\x01\xfd\0\0\0\0ok\xe0\x80")}, "bad(1007)"},
    };
    expect_all(scripts, ARRAY_LEN(scripts));
    for (unsigned opcode = 0; opcode < 16; opcode++) {
        char first = (char)(0x80 | opcode);
        bool reserved = (opcode >= 3 && opcode <= 7) || opcode >= 11;
        expect("opcode", slice_make(&first, 1), reserved || opcode == 0 ? "bad(1002)" : "");
    }
}

static void text_is_utf8(void **state)
{
    static const struct script scripts[] = {
        {"valid", {F(TEXT, "\xce\xba\xe1\xbd\xb9 \xf0\x9f\x98\x80")}, "text(\xce\xba\xe1\xbd\xb9 \xf0\x9f\x98\x80)"},
        {"cut in a character", {F(TEXT, "a\xe2\x82")}, "bad(1007)"},
        {"character over fragments",
         {F(TEXT_1, "\xf0"), F(MORE_1, "\x9f"), F(MORE_1, ""), F(MORE_1, "\x98"), F(LAST, "\x80")},
         "text(\xf0\x9f\x98\x80)"},
        {"fragments end in a character", {F(TEXT_1, "\xf0\x9f"), F(LAST, "\x98")}, "bad(1007)"},
        {"bad across fragments", {F(TEXT_1, "a\xed"), F(MORE_1, "\xa0")}, "bad(1007)"},
        {"starts anew with each message", {F(BINARY, "\xe2"), F(TEXT, "a")}, "binary(\xe2) text(a)"},
        {"messages before the bad one count", {F(TEXT, "a"), F(TEXT, "\xff")}, "text(a) bad(1007)"},
        {"binary fragments", {F(BINARY_1, "\xff"), F(LAST, "\xc0")}, "binary(\xff\xc0)"},
    };
    expect_all(scripts, ARRAY_LEN(scripts));
}

/* Returns owned: n bytes of a repeating pattern, ASCII. */
static char *pattern(size_t n)
{
    char *p = xmalloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i % 23);
    p[n] = '\0';
    return p;
}

static void every_length_form(void **state)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, LIMIT};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char *payload = pattern(lengths[i]);
        struct buf bytes = {0}, says = {0};
        put_frame(&bytes, TEXT, slice_of(payload));
        put_frame(&bytes, PING, SLICE(""));
        buf_printf(&says, "text(%s) ping()", payload);
        buf_byte(&says, '\0');
        expect("length", buf_slice(&bytes), says.p);
        buf_release(&bytes);
        buf_release(&says);
        free(payload);
    }
}

static void the_limit_holds_over_fragments(void **state)
{
    static const struct {
        size_t first, second, third;
        const char *says;
    } cases[] = {
        {4, 3, 3, "text(abcdabcabc)"}, {10, 0, 0, "text(abcdefghij)"}, {4, 3, 4, "bad(1009)"},
        {10, 1, 0, "bad(1009)"},       {11, 0, 0, "bad(1009)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t chunk = 1; chunk < 40; chunk += 4) {
            struct buf bytes = {0};
            put_frame(&bytes, TEXT_1, slice_make("abcdefghijk", cases[i].first));
            put_frame(&bytes, MORE_1, slice_make("abcdefghijk", cases[i].second));
            put_frame(&bytes, LAST, slice_make("abcdefghijk", cases[i].third));
            struct buf log = run(buf_slice(&bytes), chunk, 10);
            assert_true(slice_eq(buf_slice(&log), slice_of(cases[i].says)));
            buf_release(&log);
            buf_release(&bytes);
        }
}

static void a_control_frame_does_not_count_against_the_limit(void **state)
{
    struct buf bytes = {0};
    put_frame(&bytes, TEXT_1, SLICE("a"));
    put_frame(&bytes, PING, SLICE(BYTES_125));
    put_frame(&bytes, LAST, SLICE("b"));
    for (size_t chunk = 1; chunk < 200; chunk += 9) {
        struct buf log = run(buf_slice(&bytes), chunk, 2);
        assert_true(slice_eq(buf_slice(&log), SLICE("ping(" BYTES_125 ") text(ab)")));
        buf_release(&log);
    }
    buf_release(&bytes);
}

static void a_whole_frame_is_handed_out_in_place(void **state)
{
    struct buf bytes = {0};
    put_frame(&bytes, TEXT, SLICE("Hello"));
    put_frame(&bytes, PING, SLICE("ping"));
    struct ws_reader r;
    ws_reader_init(&r, LIMIT);
    struct ws_message m;
    size_t used, second;
    assert_int_equal(ws_reader_feed(&r, bytes.p, bytes.n, &used, &m), WS_MESSAGE);
    assert_int_equal(used, 11);
    assert_ptr_equal(m.payload.p, bytes.p + 6);
    assert_int_equal(ws_reader_feed(&r, bytes.p + used, bytes.n - used, &second, &m), WS_PING);
    assert_ptr_equal(m.payload.p, bytes.p + 17);
    assert_int_equal(ws_reader_held(&r), 0);
    buf_release(&bytes);
}

static void memory_goes_when_the_message_has_gone(void **state)
{
    struct buf bytes = {0};
    put_frame(&bytes, TEXT, SLICE("Hello"));
    struct ws_reader r;
    ws_reader_init(&r, LIMIT);
    struct ws_message m;
    size_t used;
    assert_int_equal(ws_reader_feed(&r, bytes.p, 6, &used, &m), WS_MORE);
    assert_int_equal(ws_reader_held(&r), 0);
    assert_int_equal(ws_reader_feed(&r, bytes.p + 6, 1, &used, &m), WS_MORE);
    assert_int_equal(ws_reader_held(&r), 5);
    assert_int_equal(ws_reader_feed(&r, bytes.p + 7, 4, &used, &m), WS_MESSAGE);
    assert_true(slice_eq(m.payload, SLICE("Hello")));
    assert_int_equal(ws_reader_feed(&r, NULL, 0, &used, &m), WS_MORE);
    assert_int_equal(ws_reader_held(&r), 0);
    buf_release(&bytes);
}

static void a_fault_gives_memory_back(void **state)
{
    struct buf bytes = {0};
    put_frame(&bytes, TEXT_1, SLICE("Hello"));
    put_frame(&bytes, TEXT, SLICE("x"));
    struct ws_reader r;
    ws_reader_init(&r, LIMIT);
    struct ws_message m;
    size_t used;
    assert_int_equal(ws_reader_feed(&r, bytes.p, bytes.n, &used, &m), WS_BAD);
    assert_int_equal(used, bytes.n);
    assert_int_equal(ws_reader_held(&r), 0);
    buf_release(&bytes);
}

/* A header that claims the limit costs nothing; memory follows what has come and is never more than twice that, and
 * the store grows a handful of times, not once a piece. */
static void a_long_message_grows_geometrically(void **state)
{
    enum { N = 1 << 20 };
    static const uint8_t firsts[] = {TEXT, TEXT_1};
    for (size_t f = 0; f < ARRAY_LEN(firsts); f++) {
        char *payload = pattern(N);
        struct buf bytes = {0};
        put_frame(&bytes, firsts[f], slice_make(payload, N));
        struct ws_reader r;
        ws_reader_init(&r, N);
        struct ws_message m;
        size_t used, held = 0;
        unsigned growths = 0;
        for (size_t at = 0; at + 100 < bytes.n; at += 100) {
            assert_int_equal(ws_reader_feed(&r, bytes.p + at, 100, &used, &m), WS_MORE);
            assert_true(ws_reader_held(&r) <= 2 * (at + 100));
            growths += held != ws_reader_held(&r);
            held = ws_reader_held(&r);
        }
        assert_in_range(growths, 5, 20);
        if (firsts[f] == TEXT)
            assert_int_equal(held, N);
        ws_reader_release(&r);
        buf_release(&bytes);
        free(payload);
    }
}

/* The same for a message in one-byte fragments with pings between them, all cut. */
static void many_small_fragments_grow_geometrically(void **state)
{
    enum { N = 20000 };
    struct buf step = {0};
    put_frame(&step, MORE_1, SLICE("x"));
    put_frame(&step, PING, SLICE("0123"));
    struct ws_reader r;
    ws_reader_init(&r, N);
    r.message = WS_OP_BINARY;
    struct ws_message m;
    size_t used, held = 0;
    unsigned growths = 0, pings = 0;
    char *bytes = xmalloc(step.n);
    for (int i = 0; i < N; i++) {
        memcpy(bytes, step.p, step.n);
        for (size_t at = 0; at < step.n; at++)
            pings += ws_reader_feed(&r, bytes + at, 1, &used, &m) == WS_PING;
        growths += held != ws_reader_held(&r);
        held = ws_reader_held(&r);
    }
    assert_int_equal(pings, N);
    assert_int_equal(r.stored, N);
    assert_in_range(growths, 5, 12);
    free(bytes);
    buf_release(&step);
    ws_reader_release(&r);
}

static void every_mask_phase(void **state)
{
    char *payload = pattern(64);
    struct buf bytes = {0}, says = {0};
    put_frame(&bytes, TEXT, slice_make(payload, 64));
    buf_printf(&says, "text(%s)", payload);
    for (size_t first = 0; first <= bytes.n; first++)
        for (size_t second = first; second <= bytes.n; second++) {
            struct buf log = {0};
            struct ws_reader r;
            ws_reader_init(&r, LIMIT);
            feed_piece(&r, slice_make(bytes.p, first), &log);
            feed_piece(&r, slice_make(bytes.p + first, second - first), &log);
            feed_piece(&r, slice_make(bytes.p + second, bytes.n - second), &log);
            assert_true(slice_eq(buf_slice(&log), buf_slice(&says)));
            buf_release(&log);
            ws_reader_release(&r);
        }
    buf_release(&bytes);
    buf_release(&says);
    free(payload);
}

static void an_idle_reader_is_small(void **state)
{
    assert_true(sizeof(struct ws_reader) <= 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages),
        cmocka_unit_test(fragments),
        cmocka_unit_test(control_frames),
        cmocka_unit_test(closing),
        cmocka_unit_test(every_close_code),
        cmocka_unit_test(faults_are_seen_at_once),
        cmocka_unit_test(text_is_utf8),
        cmocka_unit_test(every_length_form),
        cmocka_unit_test(the_limit_holds_over_fragments),
        cmocka_unit_test(a_control_frame_does_not_count_against_the_limit),
        cmocka_unit_test(a_whole_frame_is_handed_out_in_place),
        cmocka_unit_test(memory_goes_when_the_message_has_gone),
        cmocka_unit_test(a_fault_gives_memory_back),
        cmocka_unit_test(a_long_message_grows_geometrically),
        cmocka_unit_test(many_small_fragments_grow_geometrically),
        cmocka_unit_test(every_mask_phase),
        cmocka_unit_test(an_idle_reader_is_small),
    };
    return cmocka_run_group_tests_name("ws_reader", tests, NULL, NULL);
}

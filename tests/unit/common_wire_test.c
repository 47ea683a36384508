/* What a client of ours understands of RFC 6455, on bytes written by hand: answers, frame headers of every length form,
 * masked control frames. */
#include "common/wire.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static enum wire_result head_of(const char *bytes, size_t n, struct wire_frame *f)
{
    return wire_frame_head(slice_make(bytes, n), f);
}

static void a_head_comes_only_when_whole(void **state)
{
    static const char bytes[] = "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x02";
    struct wire_frame f;
    for (size_t n = 0; n < 10; n++)
        assert_int_equal(head_of(bytes, n, &f), WIRE_MORE);
    assert_int_equal(head_of(bytes, 10, &f), WIRE_OK);
    assert_int_equal(f.head, 10);
    assert_int_equal(f.length, 0x10002);
    assert_int_equal(f.opcode, WIRE_TEXT);
    assert_true(f.fin);
}

static void every_length_form(void **state)
{
    struct wire_frame f;
    assert_int_equal(head_of("\x02\x7d", 2, &f), WIRE_OK);
    assert_int_equal(f.length, 125);
    assert_int_equal(f.head, 2);
    assert_false(f.fin);
    assert_int_equal(head_of("\x80\x7e\x01\xf4", 4, &f), WIRE_OK);
    assert_int_equal(f.length, 500);
    assert_int_equal(f.head, 4);
    assert_int_equal(f.opcode, WIRE_CONTINUATION);
}

static void what_a_server_must_not_send(void **state)
{
    static const char *const bad[] = {"\x81\x85", "\xc1\x05", "\x83\x01", "\x8b\x01", "\x09\x01", "\x88\x7e"};
    struct wire_frame f;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(head_of(bad[i], 2, &f), WIRE_BAD);
    assert_int_equal(head_of("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10, &f), WIRE_BAD);
}

static void control_frames_are_masked(void **state)
{
    unsigned char out[WIRE_CONTROL_FRAME_MAX];
    size_t n = wire_control(WIRE_PONG, SLICE("Hello"), out);
    /* The masked "Hello" of RFC 6455 section 5.7, as a pong. */
    assert_int_equal(n, 11);
    assert_memory_equal(out, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    char longest[WIRE_CONTROL_MAX] = {0};
    assert_int_equal(wire_control(WIRE_PONG, slice_make(longest, sizeof(longest)), out), WIRE_CONTROL_FRAME_MAX);
}

static void close_codes(void **state)
{
    assert_int_equal(wire_close_code(SLICE("\x0f\xa1why")), 4001);
    assert_int_equal(wire_close_code(SLICE("")), WIRE_NO_STATUS);
    assert_int_equal(wire_close_code(SLICE("\x0f")), WIRE_NO_STATUS);
    assert_int_equal(wire_close_retry_ms(SLICE("\x03\xe9going_away retry=1234")), 1234);
    assert_int_equal(wire_close_retry_ms(SLICE("\x03\xe9retry=0 then")), 0);
    assert_int_equal(wire_close_retry_ms(SLICE("\x03\xe9going_away")), -1);
    assert_int_equal(wire_close_retry_ms(SLICE("\x03\xe9retry=soon")), -1);
    assert_int_equal(wire_close_retry_ms(SLICE("\x03\xe9retry=99999999999999999999")), -1);
    assert_int_equal(wire_close_retry_ms(SLICE("re")), -1);
    assert_int_equal(wire_close_retry_ms(SLICE("")), -1);
}

static void answers(void **state)
{
    static const char good[] = "HTTP/1.1 101 Switching Protocols\r\n" ACCEPT "\r\n\x81";
    size_t head;
    unsigned status;
    assert_int_equal(wire_response(slice_make(NULL, 0), &head, &status), WIRE_MORE);
    for (size_t n = 0; n < sizeof(good) - 2; n++)
        assert_int_equal(wire_response(slice_make(good, n), &head, &status), WIRE_MORE);
    assert_int_equal(wire_response(SLICE(good), &head, &status), WIRE_OK);
    assert_int_equal(head, sizeof(good) - 2);
    assert_int_equal(status, 101);
    assert_int_equal(wire_response(SLICE("HTTP/1.1 403 Forbidden\r\n\r\n"), &head, &status), WIRE_OK);
    assert_int_equal(status, 403);
    assert_int_equal(wire_response(SLICE("HTTP/1.1 101 x\r\n\r\n"), &head, &status), WIRE_BAD);
    assert_int_equal(wire_response(SLICE("\r\n\r\n"), &head, &status), WIRE_BAD);
    assert_int_equal(wire_response(SLICE("HTTP/1.1 \r\n\r\n"), &head, &status), WIRE_BAD);
    assert_int_equal(wire_response(SLICE("SMTP/1.1 200 OK\r\n\r\n"), &head, &status), WIRE_BAD);
}

static void requests(void **state)
{
    char out[512];
    size_t n = wire_request(SLICE("h:1"), SLICE("/ws"), SLICE("a.b"), out, sizeof(out));
    assert_true(slice_starts(slice_make(out, n), SLICE("GET /ws?token=a.b HTTP/1.1\r\nHost: h:1\r\n")));
    assert_memory_equal(out + n - 4, "\r\n\r\n", 4);
    n = wire_request(SLICE("h:1"), SLICE("/ws?x=1"), SLICE("a.b"), out, sizeof(out));
    assert_true(slice_starts(slice_make(out, n), SLICE("GET /ws?x=1&token=a.b HTTP/1.1\r\n")));
    n = wire_request(SLICE("h:1"), SLICE("/ws"), SLICE(""), out, sizeof(out));
    assert_true(slice_starts(slice_make(out, n), SLICE("GET /ws HTTP/1.1\r\n")));
    assert_int_equal(wire_request(SLICE("h:1"), SLICE("/ws"), SLICE(""), out, 64), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_comes_only_when_whole),
        cmocka_unit_test(every_length_form),
        cmocka_unit_test(what_a_server_must_not_send),
        cmocka_unit_test(control_frames_are_masked),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(answers),
        cmocka_unit_test(requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Encoded frames against the bytes that RFC 6455 gives. */
#include "gateway/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int none_alive(void **state)
{
    return frame_live() == 0 ? 0 : -1;
}

static void assert_bytes(const struct frame *f, struct slice expected)
{
    struct slice bytes = frame_bytes(f);
    assert_int_equal(bytes.n, expected.n);
    assert_memory_equal(bytes.p, expected.p, expected.n);
}

static void the_examples_of_section_5_7(void **state)
{
    struct frame *text = frame_new(WS_OP_TEXT, SLICE("Hello"));
    struct frame *pong = frame_new(WS_OP_PONG, SLICE("Hello"));
    assert_bytes(text, SLICE("\x81\x05Hello"));
    assert_bytes(pong, SLICE("\x8a\x05Hello"));
    frame_unref(text);
    frame_unref(pong);
}

static void length_takes_its_shortest_form(void **state)
{
    static const struct {
        size_t length;
        struct slice head;
    } cases[] = {
        {0, {"\x82\x00", 2}},
        {1, {"\x82\x01", 2}},
        {125, {"\x82\x7d", 2}},
        {126, {"\x82\x7e\x00\x7e", 4}},
        {256, {"\x82\x7e\x01\x00", 4}},
        {65535, {"\x82\x7e\xff\xff", 4}},
        {65536, {"\x82\x7f\0\0\0\0\0\x01\0\0", 10}},
        {0x1234567, {"\x82\x7f\0\0\0\0\x01\x23\x45\x67", 10}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *payload = xcalloc(cases[i].length, 1);
        memset(payload, 'x', cases[i].length);
        struct frame *f = frame_new(WS_OP_BINARY, slice_make(payload, cases[i].length));
        assert_int_equal(f->size, cases[i].head.n + cases[i].length);
        assert_memory_equal(frame_bytes(f).p, cases[i].head.p, cases[i].head.n);
        assert_true(slice_eq(frame_payload(f), slice_make(payload, cases[i].length)));
        assert_ptr_equal(frame_payload(f).p, frame_bytes(f).p + cases[i].head.n);
        frame_unref(f);
        free(payload);
    }
}

static void a_payload_can_be_built_in_place(void **state)
{
    struct buf b = {0};
    frame_begin(&b);
    for (unsigned i = 0; i < 100; i++)
        buf_u64(&b, i);
    struct frame *f = frame_finish(&b, WS_OP_TEXT);
    assert_null(b.p);
    assert_int_equal(frame_payload(f).n, 190);
    assert_true(slice_starts(frame_bytes(f), SLICE("\x81\x7e\x00\xbe"
                                                   "0123456789101112")));
    frame_unref(f);
    frame_begin(&b);
    f = frame_finish(&b, WS_OP_TEXT);
    assert_bytes(f, SLICE("\x81\x00"));
    frame_unref(f);
    frame_begin(&b);
    buf_release(&b);
}

static void close_frames(void **state)
{
    char longest[WS_REASON_MAX];
    memset(longest, 'r', sizeof(longest));
    struct frame *none = frame_new_close(WS_CODE_NONE, SLICE(""));
    struct frame *code = frame_new_close(WS_CODE_NORMAL, SLICE(""));
    struct frame *reason = frame_new_close(4001, SLICE("token"));
    struct frame *full = frame_new_close(1001, slice_make(longest, sizeof(longest)));
    assert_bytes(none, SLICE("\x88\x00"));
    assert_bytes(code, SLICE("\x88\x02\x03\xe8"));
    assert_bytes(reason, SLICE("\x88\x07\x0f\xa1token"));
    assert_int_equal(frame_bytes(full).n, 2 + WS_CONTROL_MAX);
    assert_true(slice_starts(frame_bytes(full), SLICE("\x88\x7d\x03\xe9rrr")));
    frame_unref(none);
    frame_unref(code);
    frame_unref(reason);
    frame_unref(full);
}

static void the_last_reference_frees(void **state)
{
    struct frame *f = frame_new(WS_OP_TEXT, SLICE("x"));
    assert_int_equal(frame_live(), 1);
    assert_ptr_equal(frame_ref(f), f);
    frame_unref(f);
    assert_int_equal(frame_live(), 1);
    frame_unref(f);
    assert_int_equal(frame_live(), 0);
    frame_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_examples_of_section_5_7, none_alive),
        cmocka_unit_test_teardown(length_takes_its_shortest_form, none_alive),
        cmocka_unit_test_teardown(a_payload_can_be_built_in_place, none_alive),
        cmocka_unit_test_teardown(close_frames, none_alive),
        cmocka_unit_test_teardown(the_last_reference_frees, none_alive),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}

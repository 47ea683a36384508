/* Strings written as JSON: what is escaped, and that the reader finds the same text again. */
#include "common/json.h"
#include "common/json_write.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void what_must_be_escaped_is(void **state)
{
    static const struct {
        struct slice text, expected;
    } rows[] = {
        {{NULL, 0}, SLICE("\"\"")},
        {SLICE("plain \xc3\xa9\x7f/"), SLICE("\"plain \xc3\xa9\x7f/\"")},
        {SLICE("\"\\"), SLICE("\"\\\"\\\\\"")},
        {SLICE("\b\f\n\r\t"), SLICE("\"\\b\\f\\n\\r\\t\"")},
        {SLICE("\0\x01\x1f\x0b"), SLICE("\"\\u0000\\u0001\\u001f\\u000b\"")},
        {SLICE("a long run of text\nand another one"), SLICE("\"a long run of text\\nand another one\"")},
    };
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_clear(&b);
        json_write_string(&b, rows[i].text);
        assert_true(slice_eq(buf_slice(&b), rows[i].expected));
    }
    buf_release(&b);
}

static void every_character_comes_back(void **state)
{
    struct buf b = {0}, scratch = {0};
    for (unsigned c = 0; c < 0x80; c++)
        for (size_t at = 0; at < 18; at++) {
            char text[18];
            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            struct json_value v;
            struct json_error err;
            struct slice back;
            buf_clear(&b);
            buf_clear(&scratch);
            json_write_string(&b, slice_make(text, sizeof(text)));
            assert_int_equal(json_parse(buf_slice(&b), 0, &v, &err), 0);
            assert_int_equal(json_string_decode(v, &scratch, &back), 0);
            assert_true(slice_eq(back, slice_make(text, sizeof(text))));
        }
    buf_release(&b);
    buf_release(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_must_be_escaped_is),
        cmocka_unit_test(every_character_comes_back),
    };
    return cmocka_run_group_tests_name("json_write", tests, NULL, NULL);
}

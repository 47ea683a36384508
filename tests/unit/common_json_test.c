/* The JSON reader: what is accepted, where and why a text is refused, and what a validated text says. Texts are copied
 * to memory of their exact size, so that a sanitizer sees a byte read past the end. */
#include "common/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool accepts(struct slice text, unsigned depth, struct json_error *err)
{
    char *exact = malloc(text.n > 0 ? text.n : 1);
    if (text.n > 0)
        memcpy(exact, text.p, text.n);
    struct json_value v;
    int rc = json_parse(slice_make(exact, text.n), depth, &v, err);
    free(exact);
    return rc == 0;
}

static struct json_value parsed(struct slice text)
{
    struct json_value v;
    struct json_error err;
    if (json_parse(text, JSON_DEPTH, &v, &err) != 0)
        fail_msg("%.*s: %s at %zu", SLICE_ARG(text), json_reason_text(err.reason), err.offset);
    return v;
}

static void assert_slice(struct slice s, const char *expected)
{
    if (!slice_eq(s, slice_of(expected)))
        fail_msg("got %.*s, expected %s", SLICE_ARG(s), expected);
}

static void kinds_and_exact_bytes(void **state)
{
    static const struct {
        struct slice text;
        enum json_kind kind;
        const char *raw;
    } rows[] = {
        {SLICE(" null"), JSON_NULL, "null"},
        {SLICE("true\n"), JSON_TRUE, "true"},
        {SLICE("\t\r\n false "), JSON_FALSE, "false"},
        {SLICE("-0"), JSON_NUMBER, "-0"},
        {SLICE("1.10"), JSON_NUMBER, "1.10"},
        {SLICE("123456789012345678901234567890e+99"), JSON_NUMBER, "123456789012345678901234567890e+99"},
        {SLICE(" \"a\\u0041\\/\" "), JSON_STRING, "\"a\\u0041\\/\""},
        {SLICE(" [ 1 , {} ] "), JSON_ARRAY, "[ 1 , {} ]"},
        {SLICE("{\"a\" : [ ] }"), JSON_OBJECT, "{\"a\" : [ ] }"},
        {SLICE("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \x7f\""), JSON_STRING,
         "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \x7f\""},
        {SLICE("\"\\ud800\""), JSON_STRING, "\"\\ud800\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_value v = parsed(rows[i].text);
        assert_int_equal(v.kind, rows[i].kind);
        assert_slice(v.raw, rows[i].raw);
    }
}

static void refusals_name_place_and_reason(void **state)
{
    static const struct {
        struct slice text;
        enum json_reason reason;
        size_t offset;
    } rows[] = {
        {{NULL, 0}, JSON_TRUNCATED, 0},
        {SLICE("  "), JSON_TRUNCATED, 2},
        {SLICE("nul"), JSON_TRUNCATED, 3},
        {SLICE("nulL"), JSON_BAD_VALUE, 3},
        {SLICE("'a'"), JSON_BAD_VALUE, 0},
        {SLICE("\xef\xbb\xbf{}"), JSON_BAD_VALUE, 0},
        {SLICE("+1"), JSON_BAD_VALUE, 0},
        {SLICE(".5"), JSON_BAD_VALUE, 0},
        {SLICE("01"), JSON_BAD_NUMBER, 1},
        {SLICE("-01"), JSON_BAD_NUMBER, 2},
        {SLICE("-a"), JSON_BAD_NUMBER, 1},
        {SLICE("1.e2"), JSON_BAD_NUMBER, 2},
        {SLICE("1e+"), JSON_TRUNCATED, 3},
        {SLICE("1eE2"), JSON_BAD_NUMBER, 2},
        {SLICE("1 2"), JSON_TRAILING, 2},
        {SLICE("{}\0"), JSON_TRAILING, 2},
        {SLICE("\"abc"), JSON_TRUNCATED, 4},
        {SLICE("\"abc\\"), JSON_TRUNCATED, 5},
        {SLICE("\"\\x\""), JSON_BAD_ESCAPE, 2},
        {SLICE("\"\\u12g4\""), JSON_BAD_ESCAPE, 5},
        {SLICE("\"\\u12G4\""), JSON_BAD_ESCAPE, 5},
        {SLICE("\"\\u12@4\""), JSON_BAD_ESCAPE, 5},
        {SLICE("\"\\u12/4\""), JSON_BAD_ESCAPE, 5},
        {SLICE("\"\\u12:4\""), JSON_BAD_ESCAPE, 5},
        {SLICE("\"\\u12"), JSON_TRUNCATED, 5},
        {SLICE("\"\0\0\0\0\0\0\0\0\""), JSON_CONTROL, 1},
        {SLICE("\"12345678\n\""), JSON_CONTROL, 9},
        {SLICE("\"\x1f\""), JSON_CONTROL, 1},
        {SLICE("\"a\0\""), JSON_CONTROL, 2},
        {SLICE("[1,]"), JSON_BAD_VALUE, 3},
        {SLICE("[1 2]"), JSON_BAD_SEPARATOR, 3},
        {SLICE("[1}"), JSON_BAD_SEPARATOR, 2},
        {SLICE("[\f]"), JSON_BAD_VALUE, 1},
        {SLICE("{1:2}"), JSON_BAD_KEY, 1},
        {SLICE("{\"a\":1,}"), JSON_BAD_KEY, 7},
        {SLICE("{\"a\" 1}"), JSON_BAD_COLON, 5},
        {SLICE("{\"a\":}"), JSON_BAD_VALUE, 5},
        {SLICE("{\"a\":1]"), JSON_BAD_SEPARATOR, 6},
        {SLICE("{\"a\":1"), JSON_TRUNCATED, 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_error err;
        assert_false(accepts(rows[i].text, JSON_DEPTH, &err));
        if (err.reason != rows[i].reason || err.offset != rows[i].offset)
            fail_msg("row %zu: %s at %zu", i, json_reason_text(err.reason), err.offset);
    }
}

/* Each sequence at every distance from the start, so that it falls on all places of the eight bytes looked at at once.
 */
static void bytes_that_are_not_utf8(void **state)
{
    static const struct {
        struct slice bytes;
        size_t at; /* the byte that is wrong; the length: the one behind */
    } rows[] = {
        {SLICE("\x80"), 0},                 /* a continuation with nothing to continue */
        {SLICE("\xbf"), 0},                 /* … */
        {SLICE("\xc0\x80"), 0},             /* NUL, overlong */
        {SLICE("\xc1\xbf"), 0},             /* overlong */
        {SLICE("\xc3"), 1},                 /* cut short */
        {SLICE("\xc3("), 1},                /* … */
        {SLICE("\xe0\x9f\xbf"), 1},         /* overlong */
        {SLICE("\xe2\x82"), 2},             /* cut short */
        {SLICE("\xe2\x82\\n"), 2},          /* cut short by an escape */
        {SLICE("\xed\xa0\x80"), 1},         /* an encoded surrogate */
        {SLICE("\xed\xbf\xbf"), 1},         /* … */
        {SLICE("\xf0\x8f\xbf\xbf"), 1},     /* overlong */
        {SLICE("\xf4\x90\x80\x80"), 1},     /* above U+10FFFF */
        {SLICE("\xf5\x80\x80\x80"), 0},     /* … */
        {SLICE("\xf8\x88\x80\x80\x80"), 0}, /* five bytes */
        {SLICE("\xfe"), 0},
        {SLICE("\xff"), 0},
        {SLICE("\xe9t\xe9"), 1}, /* Latin-1 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t before = 0; before < 20; before++) {
            struct buf text = {0};
            buf_lit(&text, "[\"");
            for (size_t k = 0; k < before; k++)
                buf_byte(&text, 'x');
            buf_append(&text, rows[i].bytes);
            buf_lit(&text, "\"]");
            struct json_error err;
            assert_false(accepts(buf_slice(&text), JSON_DEPTH, &err));
            assert_int_equal(err.reason, JSON_BAD_UTF8);
            assert_int_equal(err.offset, 2 + before + rows[i].at);
            buf_release(&text);
        }
    struct json_error err;
    assert_false(accepts(SLICE("\"\xe2\x82"), JSON_DEPTH, &err));
    assert_int_equal(err.reason, JSON_TRUNCATED);
    assert_false(accepts(SLICE("{\"\xff\":1}"), JSON_DEPTH, &err));
    assert_int_equal(err.reason, JSON_BAD_UTF8);
}

/* Every byte at every place of a string: only control characters, quotes and backslashes end or spoil it. */
static void every_byte_in_a_string(void **state)
{
    for (unsigned c = 0; c < 0x80; c++)
        for (size_t at = 0; at < 20; at++) {
            char text[22] = "\"....................\"";
            text[1 + at] = (char)c;
            struct json_error err;
            bool plain = c >= 0x20 && c != '"' && c != '\\';
            assert_int_equal(accepts(slice_make(text, 22), JSON_DEPTH, &err), plain);
        }
}

static void depth_is_limited(void **state)
{
    struct buf text = {0};
    for (unsigned depth = 1; depth <= JSON_DEPTH_MOST; depth += 31) {
        struct json_error err;
        buf_clear(&text);
        for (unsigned i = 0; i < depth; i++)
            buf_append(&text, i % 2 ? SLICE("[") : SLICE("{\"\":"));
        buf_byte(&text, '0');
        for (unsigned i = depth; i-- > 0;)
            buf_byte(&text, i % 2 ? ']' : '}');
        assert_true(accepts(buf_slice(&text), depth, &err));
        assert_false(accepts(buf_slice(&text), depth - 1, &err));
        assert_int_equal(err.reason, JSON_TOO_DEEP);
    }
    buf_clear(&text);
    for (int i = 0; i < 1000000; i++)
        buf_byte(&text, '[');
    struct json_error err;
    assert_false(accepts(buf_slice(&text), JSON_DEPTH, &err));
    assert_int_equal(err.reason, JSON_TOO_DEEP);
    assert_int_equal(err.offset, JSON_DEPTH);
    assert_true(accepts(SLICE("[[],{},[],[[],[]],{\"a\":{},\"b\":[]}]"), 3, &err)); /* what was closed does not count */
    buf_release(&text);
}

static void a_cut_text_is_never_accepted(void **state)
{
    struct slice text = SLICE("{\"a\":[1.5e3,true,null,\"\\u20ac\\n\xe2\x82\xac\"],\"b\":{\"c\":false},\"d\":-0.1}");
    struct json_error err;
    assert_true(accepts(text, JSON_DEPTH, &err));
    for (size_t n = 0; n < text.n; n++) {
        assert_false(accepts(slice_make(text.p, n), JSON_DEPTH, &err));
        assert_int_equal(err.reason, JSON_TRUNCATED);
    }
}

static const struct slice names[] = {SLICE("task"), SLICE("user_id"), SLICE("missing"), SLICE("a\"b")};

static int cut(struct slice text, struct json_value out[4], struct json_error *err)
{
    return json_members(text, JSON_DEPTH, names, ARRAY_LEN(names), out, err);
}

static void wanted_members_are_cut(void **state)
{
    struct json_value out[4];
    struct json_error err;
    assert_int_equal(cut(SLICE(" { \"user_id\" : 123456789012345678 , \"x\":{\"task\":1}, \"\\u0074as\\u006B\":\n"
                               "{\"p\": 1.10 ,\"q\":\"\\u00e9\"} , \"a\\\"b\":[] } "),
                         out, &err),
                     0);
    assert_slice(out[0].raw, "{\"p\": 1.10 ,\"q\":\"\\u00e9\"}");
    assert_int_equal(out[0].kind, JSON_OBJECT);
    assert_slice(out[1].raw, "123456789012345678");
    assert_int_equal(out[2].kind, JSON_ABSENT);
    assert_slice(out[3].raw, "[]");
    assert_int_equal(cut(SLICE("{}"), out, &err), 0);
    assert_int_equal(out[0].kind, JSON_ABSENT);
}

static void wanted_members_refuse_repeats_and_other_kinds(void **state)
{
    struct json_value out[4];
    struct json_error err;
    assert_int_equal(cut(SLICE("{\"task\":1,\"x\":2,\"x\":3,\"tas\\u006b\":1}"), out, &err), -1);
    assert_int_equal(err.reason, JSON_DUPLICATE);
    assert_int_equal(err.offset, 22);
    assert_int_equal(cut(SLICE("{\"x\":2,\"x\":3}"), out, &err), 0);
    assert_int_equal(cut(SLICE(" [1]"), out, &err), -1);
    assert_int_equal(err.reason, JSON_NOT_OBJECT);
    assert_int_equal(err.offset, 1);
    assert_int_equal(cut(SLICE("{\"task\":1,\"y\":[}"), out, &err), -1);
    assert_int_equal(err.reason, JSON_BAD_VALUE);
    assert_int_equal(cut(SLICE("{\"task\":1} x"), out, &err), -1);
    assert_int_equal(err.reason, JSON_TRAILING);
    assert_int_equal(json_members(SLICE("{\"task\":1}"), 0, names, 4, out, &err), -1);
    assert_int_equal(err.reason, JSON_TOO_DEEP);
}

static void picking_from_a_value_is_the_same(void **state)
{
    struct json_value out[4];
    struct json_error err;
    struct json_value data =
        json_get(parsed(SLICE("{\"data\": {\"x\":[\"}\\\"\"],\"t\\u0061sk\" :true}}")), SLICE("data"));
    assert_int_equal(json_pick(data, names, 4, out, &err), 0);
    assert_int_equal(out[0].kind, JSON_TRUE);
    assert_int_equal(out[1].kind, JSON_ABSENT);
    assert_int_equal(json_pick(parsed(SLICE(" {\"task\":1, \"task\":2}")), names, 4, out, &err), -1);
    assert_int_equal(err.reason, JSON_DUPLICATE);
    assert_int_equal(err.offset, 11);
    assert_int_equal(json_pick(parsed(SLICE("[]")), names, 4, out, &err), -1);
    assert_int_equal(err.reason, JSON_NOT_OBJECT);
    assert_int_equal(json_pick((struct json_value){0}, names, 4, out, &err), -1);
}

static void walking_gives_all_in_order(void **state)
{
    struct slice key;
    struct json_value v;
    struct json_iter it = json_iter(parsed(SLICE("[ 1,\"a,]\\\"\" ,[2,[3]],{\"b\":\"}\"} , null]")));
    static const char *const elements[] = {"1", "\"a,]\\\"\"", "[2,[3]]", "{\"b\":\"}\"}", "null"};
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        assert_true(json_next(&it, &key, &v));
        assert_slice(v.raw, elements[i]);
        assert_int_equal(key.n, 0);
    }
    assert_false(json_next(&it, &key, &v));
    assert_false(json_next(&it, &key, &v));
    it = json_iter(parsed(SLICE("{\"a\":1 , \"\\\"\" :\"\",\"a\":\n{}\n}")));
    static const char *const members[][2] = {{"\"a\"", "1"}, {"\"\\\"\"", "\"\""}, {"\"a\"", "{}"}};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        assert_true(json_next(&it, &key, &v));
        assert_slice(key, members[i][0]);
        assert_slice(v.raw, members[i][1]);
    }
    assert_false(json_next(&it, &key, &v));
    it = json_iter(parsed(SLICE("\"[1]\"")));
    assert_false(json_next(&it, &key, &v));
}

static void looking_up_can_be_nested(void **state)
{
    struct json_value root = parsed(SLICE("{\"metadata\":{\"projectId\":7,\"projectId\":8},\"list\":[1]}"));
    assert_slice(json_get(json_get(root, SLICE("metadata")), SLICE("projectId")).raw, "7");
    assert_int_equal(json_get(json_get(root, SLICE("nothing")), SLICE("projectId")).kind, JSON_ABSENT);
    assert_int_equal(json_get(json_get(root, SLICE("list")), SLICE("projectId")).kind, JSON_ABSENT);
    assert_int_equal(json_get(root, SLICE("projectId")).kind, JSON_ABSENT);
}

static void strings_are_unescaped(void **state)
{
    static const struct {
        struct slice raw, text;
    } rows[] = {
        {SLICE("\"\""), SLICE("")},
        {SLICE("\"plain \xc3\xa9\""), SLICE("plain \xc3\xa9")},
        {SLICE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), SLICE("\"\\/\b\f\n\r\t")},
        {SLICE("\"a\\u0000b\""), SLICE("a\0b")},
        {SLICE("\"\\u007f\\u0080\\u07fF\\u0800\\uFFFF\""), SLICE("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
        {SLICE("\"\\ud7ff\\ue000\""), SLICE("\xed\x9f\xbf\xee\x80\x80")},
        {SLICE("\"\\ud83d\\uDE00!\""), SLICE("\xf0\x9f\x98\x80!")},
        {SLICE("\"\\udbff\\udfff\""), SLICE("\xf4\x8f\xbf\xbf")},
    };
    struct buf scratch = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice out;
        assert_int_equal(json_string_decode(parsed(rows[i].raw), &scratch, &out), 0);
        assert_true(slice_eq(out, rows[i].text));
        assert_true(json_string_is(rows[i].raw, rows[i].text));
        assert_false(json_string_is(rows[i].raw, SLICE("something else")));
        if (rows[i].text.n > 0)
            assert_false(json_string_is(rows[i].raw, slice_make(rows[i].text.p, rows[i].text.n - 1)));
    }
    buf_release(&scratch);
}

static void decoded_strings_stay_valid_together(void **state)
{
    struct slice text = SLICE("[\"\\n1\",\"plain\",\"\\n2\",\"\\u20ac\"]"), out[4], key;
    struct buf scratch = {0};
    const char *before = buf_reserve(&scratch, text.n);
    struct json_iter it = json_iter(parsed(text));
    struct json_value v;
    for (size_t i = 0; i < ARRAY_LEN(out); i++) {
        assert_true(json_next(&it, &key, &v));
        assert_int_equal(json_string_decode(v, &scratch, &out[i]), 0);
    }
    assert_ptr_equal(scratch.p, before);
    assert_slice(out[0], "\n1");
    assert_slice(out[1], "plain");
    assert_slice(out[2], "\n2");
    assert_slice(out[3], "\xe2\x82\xac");
    buf_release(&scratch);
}

static void half_a_surrogate_pair_is_not_decoded(void **state)
{
    static const struct slice rows[] = {
        SLICE("\"x\\ud800\""),        SLICE("\"\\udc00\""),        SLICE("\"\\ud800\\ud800\""),
        SLICE("\"\\ud800x\\udc00\""), SLICE("\"\\udc00\\ud800\""), SLICE("\"\\ud800\\u0041\""),
        SLICE("\"\\ud800\\ue000\""),  SLICE("\"\\ud800\\n\""),
    };
    struct buf scratch = {0};
    buf_lit(&scratch, "kept");
    struct slice out;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(json_string_decode(parsed(rows[i]), &scratch, &out), -1);
        assert_false(json_string_is(rows[i], SLICE("x")));
    }
    assert_int_equal(json_string_decode(parsed(SLICE("1")), &scratch, &out), -1);
    assert_int_equal(json_string_decode((struct json_value){0}, &scratch, &out), -1);
    assert_slice(buf_slice(&scratch), "kept");
    buf_release(&scratch);
}

static void integers_are_told_from_other_numbers(void **state)
{
    static const struct {
        struct slice text;
        bool integer, fits;
        uint64_t value;
    } rows[] = {
        {SLICE("0"), true, true, 0},
        {SLICE("18446744073709551615"), true, true, UINT64_MAX},
        {SLICE("18446744073709551616"), true, false, 0},
        {SLICE("-1"), true, false, 0},
        {SLICE("-0"), true, false, 0},
        {SLICE("1.0"), false, false, 0},
        {SLICE("1e3"), false, false, 0},
        {SLICE("1E3"), false, false, 0},
        {SLICE("\"1\""), false, false, 0},
        {SLICE("true"), false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 0;
        struct json_value v = parsed(rows[i].text);
        assert_int_equal(json_is_integer(v), rows[i].integer);
        assert_int_equal(json_to_u64(v, &value), rows[i].fits ? 0 : -1);
        assert_true(value == rows[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_and_exact_bytes),
        cmocka_unit_test(refusals_name_place_and_reason),
        cmocka_unit_test(bytes_that_are_not_utf8),
        cmocka_unit_test(every_byte_in_a_string),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(a_cut_text_is_never_accepted),
        cmocka_unit_test(wanted_members_are_cut),
        cmocka_unit_test(wanted_members_refuse_repeats_and_other_kinds),
        cmocka_unit_test(picking_from_a_value_is_the_same),
        cmocka_unit_test(walking_gives_all_in_order),
        cmocka_unit_test(looking_up_can_be_nested),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(decoded_strings_stay_valid_together),
        cmocka_unit_test(half_a_surrogate_pair_is_not_decoded),
        cmocka_unit_test(integers_are_told_from_other_numbers),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

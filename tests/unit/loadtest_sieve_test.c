/* Streams of a Redis server through the sieve: whole, in pieces of every size, with messages left out and replies cut.
 */
#include "loadtest/lib/delayline.h"
#include "loadtest/lib/fault.h"
#include "loadtest/lib/sieve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MESSAGE(channel, payload) "*3\r\n$8\r\nsmessage\r\n$1\r\n" channel "\r\n$3\r\n" payload "\r\n"
#define OTHERS                                                                                                         \
    "+OK\r\n-ERR no\r\n:12\r\n$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n"                                                          \
    "*3\r\n$8\r\nsmessagf\r\n$1\r\na\r\n$3\r\n123\r\n"                                                                 \
    "*2\r\n*3\r\n$8\r\nsmessage\r\n$1\r\na\r\n$3\r\nabc\r\n*1\r\n:1\r\n"                                               \
    "*3\r\n$10\r\nssubscribe\r\n$1\r\na\r\n:1\r\n"

static bool is_a(void *arg, struct slice channel)
{
    ++*(int *)arg;
    return slice_eq(channel, SLICE("a"));
}

/* Feeds the text in pieces, each an exact copy, so that a sanitizer sees a byte read too many. */
static bool feed(struct sieve *s, struct slice text, size_t piece, const struct sieve_rule *rule, struct buf *out)
{
    bool cut = false;
    for (size_t at = 0; at < text.n && !cut; at += piece) {
        struct slice part = {text.p + at, MIN(piece, text.n - at)};
        char *copy = slice_dup(part);
        cut = sieve_feed(s, slice_make(copy, part.n), rule, out);
        free(copy);
    }
    return cut;
}

static void check(struct slice text, struct slice expected, int asked, uint64_t cut_at, bool opaque)
{
    for (size_t piece = 1; piece <= text.n; piece++) {
        int n = 0;
        struct sieve_rule rule = {is_a, &n, cut_at};
        struct sieve s = {.opaque = opaque};
        struct buf out = {0};
        assert_int_equal(feed(&s, text, piece, &rule, &out), cut_at > 0);
        assert_int_equal(out.n, expected.n);
        assert_memory_equal(out.p, expected.p, expected.n);
        assert_int_equal(n, asked);
        sieve_release(&s);
        buf_release(&out);
    }
}

static void messages_are_left_out(void **state)
{
    check(SLICE(OTHERS MESSAGE("a", "123") MESSAGE("b", "\r\n*") MESSAGE("a", "456") OTHERS),
          SLICE(OTHERS MESSAGE("b", "\r\n*") OTHERS), 3, 0, false);
}

static void a_long_reply_is_cut(void **state)
{
    check(SLICE("+OK\r\n$9\r\n123456789\r\n+OK\r\n"), SLICE("+OK\r\n$9\r\n123"), 0, 7, false);
    check(SLICE(MESSAGE("a", "123") MESSAGE("b", "123")), SLICE("*3\r\n$8"), 2, 6, false);
    check(SLICE("*2\r\n+12345\r\n+12345\r\n"), SLICE("*2\r\n+12345\r\n+1"), 0, 14, false);
}

static void what_is_no_resp_passes(void **state)
{
    check(SLICE("+OK\r\nGET / HTTP/1.1\r\n\r\n"), SLICE("+OK\r\nGET / HTTP/1.1\r\n\r\n"), 0, 0, false);
    check(SLICE("$x\r\nabc"), SLICE("$x\r\nabc"), 0, 0, false);
    check(SLICE("\r\n+OK\r\n"), SLICE("\r\n+OK\r\n"), 0, 0, false);
    check(SLICE(MESSAGE("a", "123")), SLICE(MESSAGE("a", "123")), 0, 0, true);
}

static void bytes_wait_for_their_time(void **state)
{
    struct delayline d = {0};
    delayline_put(&d, SLICE("abc"), 100);
    delayline_put(&d, SLICE("de"), 50); /* never before those that came first */
    delayline_put(&d, SLICE("fgh"), 200);
    assert_int_equal(delayline_next(&d), 100);
    assert_int_equal(delayline_due(&d, 99).n, 0);
    assert_true(slice_eq(delayline_due(&d, 100), SLICE("abcde")));
    delayline_take(&d, 4);
    assert_true(slice_eq(delayline_due(&d, 300), SLICE("efgh")));
    delayline_take(&d, 1);
    assert_int_equal(delayline_next(&d), 200);
    delayline_take(&d, 3);
    assert_int_equal(delayline_next(&d), UINT64_MAX);
    delayline_release(&d);
}

static void fields_are_set_by_name(void **state)
{
    struct fault_plan f = {0};
    assert_int_equal(fault_set(&f, SLICE("drop"), SLICE("0.25")), 0);
    assert_int_equal(fault_set(&f, SLICE("cut_at"), SLICE("7")), 0);
    assert_int_equal(fault_set(&f, SLICE("only"), SLICE(":beat")), 0);
    assert_true(f.drop == 0.25 && f.cut_at == 7 && strcmp(f.only, ":beat") == 0);
    assert_int_equal(fault_set(&f, SLICE("only"), SLICE("*")), 0);
    assert_string_equal(f.only, "");
    assert_int_equal(fault_set(&f, SLICE("drop"), SLICE("1.1")), -1);
    assert_int_equal(fault_set(&f, SLICE("drop"), SLICE("")), -1);
    assert_int_equal(fault_set(&f, SLICE("cuts"), SLICE("-1")), -1);
    assert_int_equal(fault_set(&f, SLICE("other"), SLICE("1")), -1);
}

static void chance_follows_the_seed(void **state)
{
    uint64_t one = 7, same = 7, hits = 0;
    for (int i = 0; i < 100000; i++) {
        bool hit = fault_chance(&one, 0.01);
        assert_int_equal(hit, fault_chance(&same, 0.01));
        hits += hit;
    }
    assert_in_range(hits, 800, 1200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_left_out),  cmocka_unit_test(a_long_reply_is_cut),
        cmocka_unit_test(what_is_no_resp_passes), cmocka_unit_test(bytes_wait_for_their_time),
        cmocka_unit_test(fields_are_set_by_name), cmocka_unit_test(chance_follows_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

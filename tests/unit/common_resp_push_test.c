/* What a subscriber is sent, whole and cut at every byte. */
#include "common/resp_push.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* An exact-size copy, so that a sanitizer sees a byte read too many. */
static enum resp_result read_exact(struct slice bytes, struct resp_push *out)
{
    char *copy = malloc(bytes.n ? bytes.n : 1);
    memcpy(copy, bytes.p, bytes.n);
    enum resp_result r = resp_push_read(slice_make(copy, bytes.n), out);
    free(copy);
    return r;
}

static void check(struct slice text, enum resp_push_kind kind, struct slice channel, struct slice payload)
{
    struct resp_push p;
    assert_int_equal(resp_push_read(text, &p), RESP_OK);
    assert_int_equal(p.kind, kind);
    assert_int_equal(p.size, text.n);
    assert_true(slice_eq(p.channel, channel));
    assert_true(slice_eq(p.payload, payload));
    for (size_t n = 0; n < text.n; n++)
        assert_int_equal(read_exact(slice_make(text.p, n), &p), RESP_MORE);
}

static void pushes_are_cut(void **state)
{
    check(SLICE("*3\r\n$8\r\nsmessage\r\n$2\r\nch\r\n$5\r\nhe\r\no\r\n"), RESP_PUSH_MESSAGE, SLICE("ch"),
          SLICE("he\r\no"));
    check(SLICE("*3\r\n$8\r\nsmessage\r\n$2\r\nch\r\n$0\r\n\r\n"), RESP_PUSH_MESSAGE, SLICE("ch"), SLICE(""));
    check(SLICE("*3\r\n$10\r\nssubscribe\r\n$2\r\nch\r\n:1\r\n"), RESP_PUSH_SUBSCRIBED, SLICE("ch"), SLICE("1"));
    check(SLICE("*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n"), RESP_PUSH_UNSUBSCRIBED, SLICE(""), SLICE("0"));
    check(SLICE("*2\r\n$4\r\npong\r\n$0\r\n\r\n"), RESP_PUSH_PONG, SLICE(""), SLICE(""));
    check(SLICE("+PONG\r\n"), RESP_PUSH_PONG, SLICE(""), SLICE(""));
    check(SLICE("-ERR no\r\n"), RESP_PUSH_ERROR, SLICE(""), SLICE("ERR no"));
    check(SLICE("+OK\r\n"), RESP_PUSH_OTHER, SLICE(""), SLICE(""));
    check(SLICE("*1\r\n$3\r\nfoo\r\n"), RESP_PUSH_OTHER, SLICE(""), SLICE(""));
}

static void only_the_first_push_is_taken(void **state)
{
    struct resp_push p;
    assert_int_equal(resp_push_read(SLICE("+PONG\r\n+PONG\r\n"), &p), RESP_OK);
    assert_int_equal(p.size, 7);
}

static void what_is_no_push_is_refused(void **state)
{
    const char *bad[] = {"x\r\n",
                         "\r\n",
                         "*0\r\n",
                         "*5\r\n",
                         "*-1\r\n",
                         "*x\r\n",
                         "*1\r\n+OK\r\n",
                         "*1\r\n$x\r\n",
                         "*1\r\n$3\r\nabcd\r\n",
                         "*1\r\n$536870913\r\n",
                         "+a\rb\r\n"};
    struct resp_push p;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(read_exact(slice_of(bad[i]), &p), RESP_BAD);
}

static void a_line_without_an_end_is_refused(void **state)
{
    char text[2048];
    struct resp_push p;
    memset(text, '1', sizeof(text));
    text[0] = '*';
    assert_int_equal(resp_push_read(slice_make(text, 100), &p), RESP_MORE);
    assert_int_equal(resp_push_read(slice_make(text, sizeof(text)), &p), RESP_BAD);
    memcpy(text + sizeof(text) - 2, "\r\n", 2); /* nor does an end that comes so late help */
    assert_int_equal(resp_push_read(slice_make(text, sizeof(text)), &p), RESP_BAD);
    text[0] = '+';
    memcpy(text + 1024, "\r\n", 2);
    assert_int_equal(resp_push_read(slice_make(text, 1026), &p), RESP_OK);
    memcpy(text + 1024, "1\r\n", 3);
    assert_int_equal(resp_push_read(slice_make(text, 1027), &p), RESP_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes_are_cut),
        cmocka_unit_test(only_the_first_push_is_taken),
        cmocka_unit_test(what_is_no_push_is_refused),
        cmocka_unit_test(a_line_without_an_end_is_refused),
    };
    return cmocka_run_group_tests_name("resp_push", tests, NULL, NULL);
}

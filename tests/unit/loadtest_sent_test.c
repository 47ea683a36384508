/* The time of sending, found in payloads of every kind. */
#include "loadtest/lib/sent.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void sent_by_its_own_word(void **state)
{
    size_t hint = 0;
    assert_int_equal(sent_us(SLICE("{\"a\":1,\"sent_us\":1700000000123456}"), &hint), 1700000000123456);
    assert_int_equal(hint, 7);
    /* The hint is only a guess: the member may stand elsewhere, or the payload may end before it. */
    assert_int_equal(sent_us(SLICE("{\"sent_us\":17,\"a\":1}"), &hint), 17);
    hint = 500;
    assert_int_equal(sent_us(SLICE("{\"sent_us\":18}"), &hint), 18);
    assert_int_equal(sent_us(SLICE("{\"sent_us\":"), &hint), 0);
    assert_int_equal(sent_us(SLICE("{\"sent_us\": 19}"), &hint), 19);
    assert_int_equal(sent_us(SLICE("{}"), &hint), 0);
    assert_int_equal(sent_us(SLICE(""), &hint), 0);
}

static void sent_by_timestamp(void **state)
{
    size_t hint = 0;
    assert_int_equal(sent_us(SLICE("{\"timestamp\":\"2024-02-29T23:59:58Z\"}"), &hint), 1709251198000000);
    assert_int_equal(sent_us(SLICE("{\"timestamp\":\"2024-02-29T23:59:58.5Z\"}"), &hint), 1709251198500000);
    assert_int_equal(sent_us(SLICE("{\"timestamp\":\"2024-02-29T23:59:58.1234567Z\"}"), &hint), 1709251198123456);
    assert_int_equal(sent_us(SLICE("{\"timestamp\": \"1970-01-01T00:01:00Z\"}"), &hint), 60000000);
    assert_int_equal(sent_us(SLICE("{\"timestamp\":null}"), &hint), 0);
    assert_int_equal(sent_us(SLICE("{\"timestamp\":\"yesterday, at a time\"}"), &hint), 0);
    assert_int_equal(sent_us(SLICE("{\"timestamp\":\""), &hint), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_by_its_own_word),
        cmocka_unit_test(sent_by_timestamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

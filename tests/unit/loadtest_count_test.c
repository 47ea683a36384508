/* Histograms against sorted values, and a token against one made by another implementation. */
#include "loadtest/lib/hist.h"
#include "loadtest/lib/token.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void small_values_are_exact(void **state)
{
    static struct hist h;
    for (uint64_t us = 1; us <= 60; us++)
        hist_add(&h, us);
    assert_int_equal(hist_quantile(&h, 0.5), 30);
    assert_int_equal(hist_quantile(&h, 0.9), 54);
    assert_int_equal(hist_quantile(&h, 0), 1);
    assert_int_equal(hist_quantile(&h, 1), 60);
}

static void quantiles_are_within_a_step(void **state)
{
    static struct hist h;
    for (uint64_t i = 1; i <= 1000000; i++)
        hist_add(&h, i);
    for (int percent = 1; percent <= 100; percent++) {
        uint64_t exact = (uint64_t)percent * 10000, got = hist_quantile(&h, percent / 100.0);
        assert_in_range(got, exact, exact + exact / 31);
    }
    assert_int_equal(h.max, 1000000);
}

static void every_power_of_two_has_its_own_bucket(void **state)
{
    for (unsigned bit = 0; bit < 36; bit++) {
        static struct hist h;
        memset(&h, 0, sizeof(h));
        hist_add(&h, (uint64_t)1 << bit);
        hist_add(&h, ((uint64_t)1 << bit) * 2);
        assert_in_range(hist_quantile(&h, 0.5), (uint64_t)1 << bit, ((uint64_t)1 << bit) * 33 / 32);
    }
}

static void empty_and_beyond_the_range(void **state)
{
    static struct hist h;
    assert_int_equal(hist_quantile(&h, 0.5), 0);
    hist_add(&h, UINT64_MAX);
    assert_true(hist_quantile(&h, 0.5) > 19u * 3600u * 1000000u / 4);
    assert_int_equal(h.max, UINT64_MAX);
}

static void merging_is_adding(void **state)
{
    static struct hist a, b;
    hist_add(&a, 10);
    hist_add(&b, 20);
    hist_add(&b, 30);
    hist_merge(&a, &b);
    assert_int_equal(a.count, 3);
    assert_int_equal(hist_quantile(&a, 0.5), 20);
    assert_int_equal(a.max, 30);
}

/* The expected text was made with Python's hmac and base64 modules. */
static void token_matches_another_implementation(void **state)
{
    static const char expected[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
                                   "eyJzdWIiOiJ1NDIiLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDA4NjQwMH0."
                                   "W8wFmaJlYQqqN0eW59bTxRMYLvrdxrD9cH6Fje2ky1A";
    char out[TOKEN_MAX];
    size_t n = token_make(SLICE("a-secret"), 42, 1700000000, out);
    assert_int_equal(n, sizeof(expected) - 1);
    assert_memory_equal(out, expected, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(quantiles_are_within_a_step),
        cmocka_unit_test(every_power_of_two_has_its_own_bucket),
        cmocka_unit_test(empty_and_beyond_the_range),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(token_matches_another_implementation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

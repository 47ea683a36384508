/* Workers' counts become gateways'. */
#include "gateway/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void none(void **state)
{
    struct shares s = {0};
    assert_int_equal(shares_least(&s), 0);
    shares_release(&s);
}

static void workers_are_added_up_in_any_order(void **state)
{
    struct shares s = {0};
    shares_add(&s, SLICE("a"), 3);
    shares_add(&s, SLICE("b"), 4);
    shares_add(&s, SLICE("ab"), 9);
    shares_add(&s, SLICE("a"), 2);
    assert_int_equal(s.count, 3);
    assert_int_equal(shares_least(&s), 4);
    shares_add(&s, SLICE("b"), 2);
    assert_int_equal(shares_least(&s), 5);
    shares_add(&s, SLICE("new"), 0);
    assert_int_equal(shares_least(&s), 0);
    shares_release(&s);
}

static void many(void **state)
{
    struct shares s = {0};
    char ids[100][4];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(ids[i % 100], sizeof(ids[0]), "%u", i % 100);
        shares_add(&s, slice_of(ids[i % 100]), 50 + i % 100);
    }
    assert_int_equal(s.count, 100);
    assert_int_equal(shares_least(&s), 100);
    shares_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none),
        cmocka_unit_test(workers_are_added_up_in_any_order),
        cmocka_unit_test(many),
    };
    return cmocka_run_group_tests_name("shares", tests, NULL, NULL);
}

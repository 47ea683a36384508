/* What was seen of each partition. */
#include "gateway/seen.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uint64_t A = 1, B = 2;

static void test_what_is_at_or_below_was_seen(void **state)
{
    struct seen s = {0};
    assert_true(seen_take(&s, A, 5, 0));
    assert_false(seen_take(&s, A, 5, 0));
    assert_false(seen_take(&s, A, 4, 9));
    assert_true(seen_take(&s, A, 5, 1));
    assert_true(seen_take(&s, B, 0, 0));
    assert_false(seen_take(&s, A, 5, 1));
    seen_release(&s);
}

static void test_the_oldest_partition_makes_room(void **state)
{
    struct seen s = {0};
    for (uint64_t part = 1; part <= SEEN_MAX + 1; part++)
        assert_true(seen_take(&s, part, 7, 0));
    assert_false(seen_take(&s, 2, 7, 0));
    assert_true(seen_take(&s, 1, 7, 0));
    seen_release(&s);
}

static void test_a_copy_forgets_what_came_that_far(void **state)
{
    struct seen s = {0}, copy = {0};
    seen_copy(&copy, &s);
    assert_int_equal(copy.count, 0);
    assert_true(seen_take(&s, A, 5, 1));
    assert_true(seen_take(&s, B, 3, 0));
    seen_copy(&copy, &s);
    seen_forget(&copy, A, 5, 0);
    seen_forget(&copy, A, 4, 2);
    assert_int_equal(copy.count, 2);
    seen_forget(&copy, A, 5, 1);
    seen_forget(&copy, A, 9, 0);
    assert_int_equal(copy.count, 1);
    seen_copy(&copy, &s);
    seen_forget(&copy, B, 4, 0);
    assert_false(seen_take(&copy, A, 5, 1));
    seen_forget(&copy, A, 6, 0);
    assert_int_equal(copy.count, 0);
    assert_int_equal(s.count, 2);
    seen_release(&copy);
    seen_release(&s);
}

static void test_who_has_come_as_far(void **state)
{
    struct seen s = {0}, other = {0};
    assert_true(seen_covers(&s, &other));
    assert_true(seen_take(&other, A, 5, 1));
    assert_true(seen_covers(&s, &other)); /* all of it would be new */
    assert_true(seen_take(&s, A, 5, 0));
    assert_false(seen_covers(&s, &other));
    assert_true(seen_take(&s, A, 5, 1));
    assert_true(seen_covers(&s, &other));
    assert_true(seen_take(&s, B, 1, 0));
    assert_true(seen_covers(&s, &other));
    assert_true(seen_take(&s, A, 6, 0));
    assert_false(seen_covers(&other, &s));
    seen_release(&s);
    seen_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_at_or_below_was_seen),
        cmocka_unit_test(test_the_oldest_partition_makes_room),
        cmocka_unit_test(test_a_copy_forgets_what_came_that_far),
        cmocka_unit_test(test_who_has_come_as_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

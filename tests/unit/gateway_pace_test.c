/* Pace: everything goes, in time, evenly, and a few are not all early. The clock is the test's. */
#include "gateway/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TICK 100

static void many_go_evenly(void **state)
{
    struct pace p;
    size_t left = 10000;
    pace_start(&p, 5000, 28000);
    for (uint64_t now = 5000 + TICK; now < 5000 + 28000; now += TICK) {
        size_t due = pace_due(&p, now, left);
        uint64_t ticks = (33000 - now) / TICK + 1;
        assert_in_range(due, left / ticks, left / ticks + 1);
        left -= due;
        uint64_t ideal = 10000 * (33000 - now) / 28000;
        assert_in_range(left + 50, ideal, ideal + 100);
    }
    assert_in_range(left, 1, 80); /* a tick's share */
    assert_int_equal(pace_due(&p, 33000, left), left);
}

/* Each of them as likely late as early: the mean over many is the middle. */
static void few_are_not_all_early(void **state)
{
    enum { TRIALS = 4000, SPAN = 2000 };
    uint64_t sum = 0;
    for (int i = 0; i < TRIALS; i++) {
        struct pace p;
        uint64_t now = 1000;
        pace_start(&p, now, SPAN);
        do
            now += TICK;
        while (pace_due(&p, now, 1) == 0);
        assert_in_range(now, 1000 + TICK, 1000 + SPAN);
        sum += now - 1000;
    }
    assert_in_range(sum / TRIALS, SPAN / 2 - 50, SPAN / 2 + 150); /* the tick is when the moment is noticed */
}

static void those_that_went_by_themselves_do_not_hurry_the_rest(void **state)
{
    struct pace p;
    pace_start(&p, 0, 10000);
    assert_in_range(pace_due(&p, 5000, 1000), 500, 500);
    assert_int_equal(pace_due(&p, 7500, 100), 50);
    assert_int_equal(pace_due(&p, 7500, 100), 0);
    assert_int_equal(pace_due(&p, 8000, 0), 0);
}

static void all_at_once_and_late(void **state)
{
    struct pace p;
    pace_start(&p, 1000, 0);
    assert_int_equal(pace_due(&p, 1000, 77), 77);
    pace_start(&p, 1000, 3000);
    assert_int_equal(pace_due(&p, 60000, 77), 77);
    assert_int_equal(pace_due(&p, 70000, 3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_go_evenly),
        cmocka_unit_test(few_are_not_all_early),
        cmocka_unit_test(those_that_went_by_themselves_do_not_hurry_the_rest),
        cmocka_unit_test(all_at_once_and_late),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}

/* Where a partition stood. */
#include "router/past.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Stands at 100 + n, n ms after 1000. */
static struct past a_hundred_ms(void)
{
    struct past p = {.count = 0};
    for (unsigned n = 0; n <= 100; n++)
        past_note(&p, 100 + n, 1000 + n, 5);
    return p;
}

static void test_how_far_back(void **state)
{
    const struct past p = a_hundred_ms(), none = {.count = 0};
    assert_int_equal(past_position(&none, 100, 30), 100);
    assert_int_equal(past_position(&p, 200, 0), 200);
    assert_int_equal(past_position(&p, 200, 30), 170);
    assert_int_equal(past_position(&p, 200, 1000), 165); /* no more is kept */
    assert_int_equal(past_position(&p, 120, 30), 120);
}

static void test_a_place_further_back_is_past_at_once(void **state)
{
    struct past p = {.count = 0};
    past_note(&p, 100, 1000, 5);
    past_note(&p, 150, 1010, 5);
    past_note(&p, 120, 1011, 5);
    past_note(&p, 160, 1020, 5);
    assert_int_equal(past_position(&p, 170, 1), 120);
}

static void test_many_notes_in_a_moment_are_one(void **state)
{
    struct past p = {.count = 0};
    past_note(&p, 100, 1000, 5);
    for (unsigned n = 0; n < 2 * PAST_MAX; n++)
        past_note(&p, 101, 1006, 5);
    assert_int_equal(past_position(&p, 101, 5), 100);
}

static void check_round_trip(struct past p)
{
    struct buf text = {0};
    struct past back;
    past_append_text(&p, &text);
    assert_int_equal(past_parse(text.n > 0 ? slice_from(buf_slice(&text), 1) : slice_make(NULL, 0), &back), 0);
    past_resume(&back, 77);
    for (uint64_t ago = 0; ago < 50; ago++)
        assert_int_equal(past_position(&back, 1000, ago), past_position(&p, 1000, ago));
    buf_release(&text);
}

static void test_it_goes_on_elsewhere(void **state)
{
    struct past p = {.count = 0};
    check_round_trip(p);
    for (unsigned n = 0; n < 3 * PAST_MAX; n++) {
        past_note(&p, 100 + 7 * n, 1000 + 5 * n, 5);
        check_round_trip(p);
    }
}

static void test_it_moves_on_there(void **state)
{
    struct past p;
    assert_int_equal(past_parse(SLICE("0:90 10:80 20:70 30:60"), &p), 0);
    past_resume(&p, 5000);
    assert_int_equal(past_position(&p, 95, 30), 60);
    past_note(&p, 100, 5010, 5);
    assert_int_equal(past_position(&p, 105, 30), 70);
    past_note(&p, 110, 5030, 5);
    assert_int_equal(past_position(&p, 115, 30), 90);
}

/* Nothing was noted while it stood: what it was before goes on as if no time had passed. */
static void test_an_outage_in_between(void **state)
{
    struct past p = a_hundred_ms();
    past_resume(&p, 90000);
    past_note(&p, 200, 90000, 5);
    past_note(&p, 205, 90005, 5);
    assert_int_equal(past_position(&p, 206, 30), 175);
}

static void test_what_is_none(void **state)
{
    static const char *const texts[] = {"",         " ",
                                        ":",        "1",
                                        "1:",       ":1",
                                        "1:-1",     "1:9223372036854775808",
                                        "1:2 ",     "1:2:3",
                                        "1:2  3:4", "18446744073709551615:1",
                                        "5:1 4:1",  "0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1 0:1"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct past p;
        if (past_parse(slice_of(texts[i]), &p) == 0)
            fail_msg("taken: '%s'", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_far_back),
        cmocka_unit_test(test_a_place_further_back_is_past_at_once),
        cmocka_unit_test(test_many_notes_in_a_moment_are_one),
        cmocka_unit_test(test_it_goes_on_elsewhere),
        cmocka_unit_test(test_it_moves_on_there),
        cmocka_unit_test(test_an_outage_in_between),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Positions over one node and over three. */
#include "gateway/position.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct positions p;
static struct node_position a, b, c;

static int start(void **state)
{
    list_init(&p.nodes);
    return 0;
}

static void a_node_alone_gives_each_event_its_own_id(void **state)
{
    position_add(&p, &a);
    assert_int_equal(position_of(&p, 5), 0); /* nothing was heard */
    position_heard(&a, 5);
    assert_int_equal(position_of(&p, 5), 5);
    position_heard(&a, 7);
    position_heard(&a, 6); /* a repeat does not take it back */
    assert_int_equal(position_safe(&p), 7);
    assert_int_equal(position_of(&p, 6), 6);
}

static void it_stands_still_while_anything_is_owed(void **state)
{
    position_add(&p, &a);
    position_heard(&a, 10);
    position_hold(&a);
    position_heard(&a, 20);
    assert_int_equal(position_of(&p, 20), 10);
    position_hold(&a); /* another target */
    position_let_go(&a);
    position_heard(&a, 30);
    assert_int_equal(position_of(&p, 15), 10);
    assert_int_equal(position_safe(&p), 10);
    position_let_go(&a);
    assert_int_equal(position_safe(&p), 30);
    position_heard(&a, 31);
    assert_int_equal(position_of(&p, 31), 31);
}

static void of_three_nodes_the_slowest_counts(void **state)
{
    position_add(&p, &a);
    position_add(&p, &b);
    position_add(&p, &c);
    position_heard(&a, 100);
    position_heard(&b, 200);
    assert_int_equal(position_of(&p, 100), 0); /* the third was not heard at all */
    position_heard(&c, 50);
    assert_int_equal(position_of(&p, 100), 50);
    position_heard(&c, 150); /* a beat */
    assert_int_equal(position_of(&p, 200), 100);
    position_heard(&a, 300);
    assert_int_equal(position_of(&p, 300), 150);
    assert_int_equal(position_of(&p, 140), 140); /* an old one from a log */
}

static void one_that_stops_holds_all_back_until_it_is_filled(void **state)
{
    position_add(&p, &a);
    position_add(&p, &b);
    position_add(&p, &c);
    position_heard(&a, 100);
    position_heard(&b, 100);
    position_heard(&c, 100);
    position_hold(&b);
    uint64_t last = 0;
    for (uint64_t id = 101; id < 120; id++) {
        position_heard(id % 2 ? &a : &c, id);
        assert_true(position_of(&p, id) == 100 && position_of(&p, id) >= last);
        last = position_of(&p, id);
    }
    position_let_go(&b); /* back, filled; but what it heard since is not known yet */
    assert_int_equal(position_safe(&p), 100);
    position_heard(&b, 130);
    assert_int_equal(position_safe(&p), 118);
}

static void a_new_node_takes_it_back_and_one_that_goes_sets_it_free(void **state)
{
    position_add(&p, &a);
    position_heard(&a, 10);
    position_add(&p, &b);
    assert_int_equal(position_safe(&p), 0);
    position_remove(&b);
    assert_int_equal(position_safe(&p), 10);
}

#define POSITION_TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POSITION_TEST(a_node_alone_gives_each_event_its_own_id),
        POSITION_TEST(it_stands_still_while_anything_is_owed),
        POSITION_TEST(of_three_nodes_the_slowest_counts),
        POSITION_TEST(one_that_stops_holds_all_back_until_it_is_filled),
        POSITION_TEST(a_new_node_takes_it_back_and_one_that_goes_sets_it_free),
    };
    return cmocka_run_group_tests_name("position", tests, NULL, NULL);
}

/* Pieces of logs, and keys of events that come twice. */
#include "gateway/piece.h"
#include "gateway/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void check_first(const struct piece *p, const char *want, uint64_t id, uint64_t prev)
{
    struct slice envelope;
    uint64_t got_id, got_prev;
    assert_true(piece_first(p, &envelope, &got_id, &got_prev));
    assert_true(slice_eq(envelope, slice_of(want)));
    assert_true(got_id == id && got_prev == prev);
}

static void envelopes_come_out_as_they_went_in(void **state)
{
    struct piece p = {0};
    struct slice none;
    uint64_t id, prev;
    assert_true(piece_is_empty(&p) && !piece_first(&p, &none, &id, &prev));
    assert_int_equal(piece_add(&p, SLICE("5-1 0 first")), 0);
    assert_int_equal(piece_add(&p, SLICE("5-2 5-1 ")), 0);
    assert_int_equal(piece_add(&p, SLICE("6-0 5-2 third")), 0);
    check_first(&p, "5-1 0 first", 5001, 0);
    piece_drop_first(&p);
    check_first(&p, "5-2 5-1 ", 5002, 5001);
    piece_drop_first(&p);
    check_first(&p, "6-0 5-2 third", 6000, 5002);
    assert_true(p.last_id == 6000 && p.count == 1);
    piece_drop_first(&p);
    assert_true(piece_is_empty(&p));
    assert_null(p.bytes.p);
    assert_int_equal(piece_add(&p, SLICE("1-0 0 x")), 0); /* anew */
    piece_release(&p);
}

static void what_is_out_of_order_is_refused(void **state)
{
    static const char *const bad[] = {"", "x", "5-1", "5-1 0", "5-1 0 same", "4-999 0 older", "0 0 x", "5-2  x"};
    struct piece p = {0};
    piece_add(&p, SLICE("5-1 0 first"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(piece_add(&p, slice_of(bad[i])), -1);
    assert_int_equal(p.count, 1);
    piece_release(&p);
}

static void keys_are_known_for_sixteen_others(void **state)
{
    struct recent r = {0};
    char key[16];
    assert_false(recent_knows(&r, SLICE("a")));
    assert_true(recent_knows(&r, SLICE("a")));
    for (unsigned i = 0; i < RECENT_KEYS - 1; i++) {
        snprintf(key, sizeof(key), "%u", i);
        assert_false(recent_knows(&r, slice_of(key)));
    }
    assert_true(recent_knows(&r, SLICE("a")));
    assert_false(recent_knows(&r, SLICE("one more")));
    assert_false(recent_knows(&r, SLICE("a"))); /* it made room */
    assert_false(recent_knows(&r, SLICE("0")));
    assert_true(recent_knows(&r, SLICE("14")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelopes_come_out_as_they_went_in),
        cmocka_unit_test(what_is_out_of_order_is_refused),
        cmocka_unit_test(keys_are_known_for_sixteen_others),
    };
    return cmocka_run_group_tests_name("piece", tests, NULL, NULL);
}

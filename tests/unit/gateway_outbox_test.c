/* The outbox: order, bound, one write at a time, and no reference left behind. */
#include "gateway/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NO_LIMIT SIZE_MAX

static int none_alive(void **state)
{
    return frame_live() == 0 ? 0 : -1;
}

/* Pushes a frame whose payload is the number, leaving the outbox its only holder. */
static enum outbox_result push_number(struct outbox *o, unsigned number, size_t limit)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%u", number);
    struct frame *f = frame_new(WS_OP_TEXT, slice_of(digits));
    enum outbox_result result = outbox_push(o, f, limit);
    frame_unref(f);
    return result;
}

static unsigned number_in(struct slice bytes)
{
    uint64_t number;
    assert_int_equal(slice_to_u64(slice_from(bytes, 2), &number), 0);
    return (unsigned)number;
}

static void empty_costs_no_memory(void **state)
{
    struct outbox o = {0};
    struct slice iov[1];
    assert_true(sizeof(o) <= 16);
    assert_int_equal(outbox_take(&o, iov, 1), 0);
    outbox_written(&o);
    outbox_drop_waiting(&o);
    outbox_release(&o);
    assert_null(o.q);
}

static void frames_leave_in_order(void **state)
{
    struct outbox o = {0};
    struct slice iov[8];
    unsigned pushed = 0, seen = 0;
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < round % 11; i++)
            assert_int_equal(push_number(&o, pushed++, NO_LIMIT), OUTBOX_OK);
        size_t n = outbox_take(&o, iov, 8);
        for (int i = 0; i < round % 3; i++)
            push_number(&o, pushed++, NO_LIMIT);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(number_in(iov[i]), seen++);
        outbox_written(&o);
    }
    while (outbox_waiting(&o)) {
        size_t n = outbox_take(&o, iov, 8);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(number_in(iov[i]), seen++);
        outbox_written(&o);
    }
    assert_int_equal(seen, pushed);
    assert_null(o.q);
}

static void memory_goes_when_the_last_frame_is_written(void **state)
{
    struct outbox o = {0};
    struct slice iov[4];
    push_number(&o, 7, NO_LIMIT);
    assert_non_null(o.q);
    assert_true(outbox_waiting(&o));
    assert_int_equal(outbox_take(&o, iov, 4), 1);
    assert_true(outbox_in_flight(&o));
    assert_false(outbox_waiting(&o));
    assert_int_equal(frame_live(), 1);
    outbox_written(&o);
    assert_int_equal(frame_live(), 0);
    assert_null(o.q);
}

static void one_frame_waits_without_memory(void **state)
{
    struct outbox o = {0};
    push_number(&o, 7, NO_LIMIT);
    assert_int_equal(o.holds, OUTBOX_ONE_WAITS);
    assert_int_equal(outbox_bytes(&o), 3);
    push_number(&o, 8, NO_LIMIT);
    assert_int_equal(o.holds, OUTBOX_QUEUE);
    assert_int_equal(outbox_bytes(&o), 6);
    outbox_drop_waiting(&o);
    assert_int_equal(o.holds, OUTBOX_EMPTY);
}

static void what_comes_behind_one_in_flight_waits(void **state)
{
    struct outbox o = {0};
    struct slice iov[4];
    push_number(&o, 1, NO_LIMIT);
    assert_int_equal(outbox_take(&o, iov, 4), 1);
    outbox_drop_waiting(&o); /* nothing does */
    assert_int_equal(outbox_bytes(&o), 3);
    push_number(&o, 2, NO_LIMIT);
    assert_true(outbox_in_flight(&o));
    assert_true(outbox_waiting(&o));
    assert_int_equal(number_in(iov[0]), 1);
    outbox_written(&o);
    assert_int_equal(frame_live(), 1);
    assert_int_equal(outbox_take(&o, iov, 4), 1);
    assert_int_equal(number_in(iov[0]), 2);
    outbox_release(&o);
}

static void the_bound_counts_what_is_in_flight(void **state)
{
    struct outbox o = {0};
    struct slice iov[4];
    assert_int_equal(push_number(&o, 1, 2), OUTBOX_FULL); /* 3 bytes each */
    assert_null(o.q);
    assert_int_equal(push_number(&o, 1, 6), OUTBOX_OK);
    assert_int_equal(outbox_take(&o, iov, 4), 1);
    assert_int_equal(push_number(&o, 2, 6), OUTBOX_OK);
    assert_int_equal(push_number(&o, 3, 6), OUTBOX_FULL);
    assert_int_equal(outbox_bytes(&o), 6);
    outbox_written(&o);
    assert_int_equal(outbox_bytes(&o), 3);
    assert_int_equal(push_number(&o, 3, 6), OUTBOX_OK);
    assert_int_equal(outbox_take(&o, iov, 4), 2);
    assert_int_equal(number_in(iov[0]), 2);
    assert_int_equal(number_in(iov[1]), 3);
    outbox_release(&o);
    assert_int_equal(outbox_bytes(&o), 0);
}

static void dropping_what_waits_leaves_the_write_alone(void **state)
{
    struct outbox o = {0};
    struct slice iov[2];
    for (unsigned i = 0; i < 5; i++)
        push_number(&o, i, NO_LIMIT);
    assert_int_equal(outbox_take(&o, iov, 2), 2);
    outbox_drop_waiting(&o);
    assert_int_equal(frame_live(), 2);
    assert_int_equal(outbox_bytes(&o), 6);
    assert_int_equal(number_in(iov[1]), 1);
    push_number(&o, 9, NO_LIMIT);
    outbox_written(&o);
    assert_int_equal(outbox_take(&o, iov, 2), 1);
    assert_int_equal(number_in(iov[0]), 9);
    outbox_written(&o);
    push_number(&o, 1, NO_LIMIT);
    outbox_drop_waiting(&o);
    assert_null(o.q);
}

static void a_frame_is_shared_among_outboxes(void **state)
{
    struct outbox boxes[100] = {0};
    struct slice iov[1];
    struct frame *f = frame_new(WS_OP_TEXT, SLICE("shared"));
    for (size_t i = 0; i < ARRAY_LEN(boxes); i++)
        assert_int_equal(outbox_push(&boxes[i], f, NO_LIMIT), OUTBOX_OK);
    assert_int_equal(f->refs, 101);
    frame_unref(f);
    assert_int_equal(frame_live(), 1);
    for (size_t i = 0; i < ARRAY_LEN(boxes); i++) {
        assert_int_equal(outbox_take(&boxes[i], iov, 1), 1);
        assert_ptr_equal(iov[0].p, frame_bytes(f).p);
        if (i % 2 == 0)
            outbox_written(&boxes[i]);
        else
            outbox_release(&boxes[i]);
    }
}

/* A queue that is never empty must not creep through memory: the array stays as large as its content asks. */
static void a_steady_queue_stays_small(void **state)
{
    struct outbox o = {0};
    struct slice iov[1];
    for (unsigned i = 0; i < 3; i++)
        push_number(&o, i, NO_LIMIT);
    for (unsigned i = 3; i < 10000; i++) {
        push_number(&o, i, NO_LIMIT);
        assert_int_equal(outbox_take(&o, iov, 1), 1);
        assert_int_equal(number_in(iov[0]), i - 3);
        outbox_written(&o);
    }
    assert_true(o.q->cap <= 8);
    outbox_release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(empty_costs_no_memory, none_alive),
        cmocka_unit_test_teardown(frames_leave_in_order, none_alive),
        cmocka_unit_test_teardown(memory_goes_when_the_last_frame_is_written, none_alive),
        cmocka_unit_test_teardown(one_frame_waits_without_memory, none_alive),
        cmocka_unit_test_teardown(what_comes_behind_one_in_flight_waits, none_alive),
        cmocka_unit_test_teardown(the_bound_counts_what_is_in_flight, none_alive),
        cmocka_unit_test_teardown(dropping_what_waits_leaves_the_write_alone, none_alive),
        cmocka_unit_test_teardown(a_frame_is_shared_among_outboxes, none_alive),
        cmocka_unit_test_teardown(a_steady_queue_stays_small, none_alive),
    };
    return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}

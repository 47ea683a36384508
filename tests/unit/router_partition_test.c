/* Positions of a partition: what may be committed, what a marker may vouch for, and what a commit remembers. */
#include "router/partition.h"
#include "router/start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct partition *p;

static int setup(void **state)
{
    p = partition_new("orders", 3);
    partition_know(p, 1, 100, NULL);
    partition_place(p, 100);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(p->refs, 1);
    partition_unref(p);
    return 0;
}

static struct step open_at(int64_t offset)
{
    return partition_open(p, offset, NULL);
}

static void test_names(void **state)
{
    assert_string_equal(p->part, "orders#1/3");
    struct partition *q = partition_new("orders", 3);
    partition_know(q, 7, 0, NULL);
    assert_string_equal(q->part, "orders#7/3");
    partition_unref(q);
}

static void test_positions_move_over_a_gapless_run(void **state)
{
    struct step a = open_at(100), b = open_at(101), c = open_at(105);
    assert_int_equal(partition_position(p), 100);
    assert_int_equal(partition_watermark(p), 106);
    assert_true(partition_finish(&c));
    assert_true(partition_finish(&b));
    assert_int_equal(partition_position(p), 100);
    assert_true(partition_finish(&a));
    assert_int_equal(partition_position(p), 106);
    assert_int_equal(p->count, 0);
}

static void test_every_step_counts(void **state)
{
    struct step first = open_at(100), second = partition_add_step(&first), third = partition_add_step(&first);
    partition_finish(&first);
    partition_finish(&third);
    assert_int_equal(partition_position(p), 100);
    partition_finish(&second);
    assert_int_equal(partition_position(p), 101);
}

static void test_no_marker_vouches_past_a_dead_letter(void **state)
{
    struct step a = open_at(100), bad = open_at(101), c = open_at(102);
    partition_mark_dead_letter(&bad);
    partition_finish(&a);
    partition_finish(&c);
    assert_int_equal(partition_watermark(p), 101);
    assert_int_equal(partition_position(p), 101);
    partition_finish(&bad);
    assert_int_equal(partition_watermark(p), 103);
    assert_int_equal(partition_position(p), 103);
    assert_int_equal(p->dead_letters, 0);
}

static void test_steps_of_an_old_round_count_for_nothing(void **state)
{
    struct step a = open_at(100), b = open_at(101);
    partition_finish(&a);
    partition_rewind(p);
    assert_false(p->placed);
    assert_int_equal(p->fetched, 102);
    assert_int_equal(partition_position(p), 101);
    partition_place(p, 90);
    struct step again = open_at(90);
    assert_false(partition_finish(&b));
    assert_int_equal(partition_position(p), 90);
    partition_finish(&again);
    assert_int_equal(partition_position(p), 91);
}

static void test_many_unfinished(void **state)
{
    static struct step steps[1000];
    for (int i = 0; i < 1000; i++)
        steps[i] = open_at(100 + i);
    for (int i = 999; i > 0; i--)
        partition_finish(&steps[i]);
    assert_int_equal(partition_position(p), 100);
    partition_finish(&steps[0]);
    assert_int_equal(partition_position(p), 1100);
}

static void test_commit_text(void **state)
{
    const struct fingerprint before = {.timestamp_ms = 1767434400000, .hash = 0xabc, .known = true};
    struct partition *q = partition_new("t", 0);
    struct buf text = {0};
    struct commit_note read;
    partition_know(q, 4, 10, &before);
    partition_place(q, 10);
    partition_remember(q, 5000, 5);
    partition_remember(q, 5006, 5);
    partition_commit_text(q, &text);
    assert_int_equal(text.n, strlen("tg1 4 1767434400000 0000000000000abc 0:10 6:10"));
    assert_memory_equal(text.p, "tg1 4 1767434400000 0000000000000abc 0:10 6:10", text.n);
    assert_int_equal(partition_parse_commit(buf_slice(&text), &read), 0);
    assert_int_equal(read.generation, 4);
    assert_true(read.before.known);
    assert_int_equal(read.before.timestamp_ms, before.timestamp_ms);
    assert_int_equal(read.before.hash, before.hash);
    assert_int_equal(read.past.count, 2);

    /* another place: the record before it is not known */
    partition_rewind(q);
    partition_place(q, 5);
    buf_clear(&text);
    partition_commit_text(q, &text);
    assert_memory_equal(text.p, "tg1 4", text.n);
    assert_int_equal(partition_parse_commit(buf_slice(&text), &read), 0);
    assert_true(!read.before.known && read.past.count == 0);
    buf_release(&text);
    partition_unref(q);
}

/* Only while it is placed: an outage is no past. */
static void test_where_it_stood(void **state)
{
    partition_remember(p, 1000, 5);
    struct step s = open_at(149);
    partition_finish(&s);
    partition_remember(p, 1030, 5);
    assert_int_equal(partition_past(p, 0), 150);
    assert_int_equal(partition_past(p, 30), 100);
    partition_rewind(p);
    partition_remember(p, 90000, 5);
    assert_int_equal(partition_past(p, 30), 100);
    partition_place(p, 70);
    assert_int_equal(partition_past(p, 30), 70);
}

static void test_commits_of_others(void **state)
{
    static const char *const foreign[] = {"",
                                          "NaN",
                                          "tg1",
                                          "tg1 ",
                                          "tg1 0",
                                          "tg1 x",
                                          "tg2 1",
                                          "tg1 1 2",
                                          "tg1 1 2 3",
                                          "tg1 1 2 GGGGGGGGGGGGGGGG",
                                          "tg1 1 -1 0000000000000abc",
                                          "tg1 1 2 00000000000000abc"};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        struct commit_note note;
        if (partition_parse_commit(slice_of(foreign[i]), &note) == 0)
            fail_msg("taken for ours: %s", foreign[i]);
        assert_true(note.generation == 1 && !note.before.known && note.past.count == 0);
    }
}

/* What a later version may say there: the rest holds. */
static void test_a_past_that_is_none(void **state)
{
    static const char *const texts[] = {"tg1 3 2 0000000000000abc ", "tg1 3 2 0000000000000abc 3",
                                        "tg1 3 2 0000000000000abc 0:5 x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct commit_note note;
        assert_int_equal(partition_parse_commit(slice_of(texts[i]), &note), 0);
        assert_true(note.generation == 3 && note.before.known && note.before.hash == 0xabc && note.past.count == 0);
    }
}

static void test_where_to_start(void **state)
{
    static const struct {
        int64_t committed;
        bool topic_has_commits;
        enum router_start start;
        int64_t expected;
    } cases[] = {
        {7, true, START_LATEST, 7},   {7, true, START_EARLIEST, 7},    {0, true, START_LATEST, 0},
        {-1, true, START_LATEST, 10}, {-1, true, START_BACK, 10},      {-1, false, START_LATEST, 30},
        {-1, false, START_BACK, 20},  {-1, false, START_EARLIEST, 10},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct lookup_row row = {.committed = cases[i].committed,
                                       .topic_has_commits = cases[i].topic_has_commits,
                                       .low = 10,
                                       .at_time = 20,
                                       .high = 30};
        assert_int_equal(start_offset(&row, false, cases[i].start), cases[i].expected);
        assert_int_equal(start_offset(&row, true, cases[i].start), row.committed >= 0 ? row.committed : 10);
    }
    const struct lookup_row another = {.committed = -1, .is_another = true, .low = 10, .high = 30};
    assert_int_equal(start_offset(&another, false, START_LATEST), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_positions_move_over_a_gapless_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_step_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_marker_vouches_past_a_dead_letter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_steps_of_an_old_round_count_for_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_unfinished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_where_it_stood, setup, teardown),
        cmocka_unit_test(test_commit_text),
        cmocka_unit_test(test_commits_of_others),
        cmocka_unit_test(test_a_past_that_is_none),
        cmocka_unit_test(test_where_to_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Plans from markers: what is awaited of whom, where reading starts, what a marker may be told. */
#include "router/refill_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct refill_plan plan;

static void add(const char *topic, int32_t id, uint64_t generation)
{
    struct partition *p = partition_new(topic, id);
    partition_know(p, generation, 0, NULL);
    refill_plan_add(&plan, p);
    partition_unref(p);
}

static int setup(void **state)
{
    plan = (struct refill_plan){.rows = NULL};
    add("t", 0, 1);
    add("t", 1, 2);
    return 0;
}

static int teardown(void **state)
{
    refill_plan_release(&plan);
    return 0;
}

#define WORDS_MAX   16
#define OLDEST_MS   1000
#define MARKER(...) ((const char *[]){__VA_ARGS__, NULL})

/* Takes a marker, field and value in turn; stale parts go to `stale` as one text. */
static void take(unsigned bucket, const char *const *words, char stale[256])
{
    redisReply cells[WORDS_MAX], *elements[WORDS_MAX];
    redisReply marker = {.type = REDIS_REPLY_ARRAY, .element = elements};
    for (; words[marker.elements] != NULL; marker.elements++) {
        char *text = (char *)(uintptr_t)words[marker.elements];
        cells[marker.elements] = (redisReply){.type = REDIS_REPLY_STRING, .str = text, .len = strlen(text)};
        elements[marker.elements] = &cells[marker.elements];
    }
    struct slice parts[4];
    size_t n = refill_plan_take(&plan, bucket, &marker, OLDEST_MS, parts, ARRAY_LEN(parts));
    stale[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(stale + strlen(stale), 256 - strlen(stale), "%.*s ", SLICE_ARG(parts[i]));
}

static void assert_need(size_t row, unsigned bucket, int64_t from, int64_t to)
{
    assert_int_equal(plan.rows[row].needs[bucket].from, from);
    assert_int_equal(plan.rows[row].needs[bucket].to, to);
}

static void what_a_marker_awaits(void **state)
{
    char stale[256];
    take(7, MARKER("epoch", "5", "since", "2000-5", "r:t#1/0", "100", "~t#1/0", "40", "r:t#2/1", "50", "t#1/0", "900"),
         stale);
    take(8, MARKER("epoch", "5", "since", "2000-5", "refilling", "0", "t#1/0", "900"), stale);
    take(9, MARKER("r:other#1/0", "50", "~other#1/0", "5"), stale);
    assert_string_equal(stale, "");
    assert_need(0, 7, 40, 100);
    assert_need(1, 7, 0, 50);
    assert_need(0, 8, 0, -1);
    assert_need(0, 9, 0, -1);
    assert_false(plan.unsettled);
    take(10, MARKER("r:t#1/0", "?", "r:t#2/1", "?"), stale);
    assert_true(plan.unsettled);
    assert_string_equal(stale, "");
}

static void what_nobody_can_refill(void **state)
{
    char stale[256];
    take(1, MARKER("since", "2000-5", "r:t#2/0", "?", "r:t#1/1", "70", "r:tt#1/1", "?", "r:t#1/2", "?", "r:odd", "?"),
         stale);
    assert_string_equal(stale, "t#2/0 t#1/1 ");
    assert_false(plan.unsettled);
    take(2, MARKER("r:tt#1/1", "?", "since", "999-5", "r:t#1/0", "100"), stale);
    assert_string_equal(stale, "tt#1/1 t#1/0 ");
    take(3, MARKER("since", "0", "r:t#1/0", "100"), stale);
    assert_string_equal(stale, "");
    for (unsigned bucket = 1; bucket < 3; bucket++)
        assert_need(0, bucket, 0, -1);
    take(4, MARKER("r:t#9/0", "1", "r:t#8/0", "1", "r:t#7/0", "1", "r:t#6/0", "1", "r:t#5/0", "1"), stale);
    assert_string_equal(stale, "t#9/0 t#8/0 t#7/0 t#6/0 ");
}

static void rows_that_nobody_awaits_are_dropped(void **state)
{
    char stale[256];
    take(3, MARKER("r:t#2/1", "0"), stale);
    refill_plan_trim(&plan);
    assert_int_equal(plan.count, 1);
    assert_string_equal(plan.rows[0].partition->part, "t#2/1");
    assert_ptr_equal(refill_plan_find(&plan, "t", 1), &plan.rows[0]);
    assert_null(refill_plan_find(&plan, "t", 0));
    assert_null(refill_plan_find(&plan, "tt", 1));
}

static void reading_starts_at_the_lowest_need(void **state)
{
    char stale[256];
    struct refill_row *row = &plan.rows[0];
    take(1, MARKER("r:t#1/0", "100", "~t#1/0", "40"), stale);
    take(2, MARKER("r:t#1/0", "200", "~t#1/0", "60"), stale);
    take(3, MARKER("r:t#1/0", "30"), stale);
    refill_row_begin(row, 10, 35);
    assert_int_equal(row->partition->next, 40);
    assert_int_equal(row->end, 200);
    assert_false(row->read || row->truncated);
    assert_int_equal(refill_plan_left(&plan), 160 + (uint64_t)plan.rows[1].end);
    assert_true(refill_row_needs(row, 1, 40) && refill_row_needs(row, 1, 99) && !refill_row_needs(row, 1, 100));
    assert_false(refill_row_needs(row, 2, 59) || refill_row_needs(row, 3, 20) || refill_row_needs(row, 4, 50));

    struct step s = partition_open(row->partition, 119, NULL);
    partition_finish(&s);
    assert_int_equal(refill_row_progress(row, 1), 100);
    assert_int_equal(refill_row_progress(row, 2), 120);
    assert_int_equal(refill_row_progress(row, 3), 30);
    assert_int_equal(refill_row_progress(row, 4), -1);
    assert_int_equal(refill_plan_buckets(&plan), 1);
    row->read = true;
    assert_int_equal(refill_row_progress(row, 2), 200);
    assert_int_equal(refill_plan_buckets(&plan), 0);
}

static void what_kafka_has_deleted(void **state)
{
    static const struct {
        const char *watermark, *bound;
        int64_t low, start;
        bool truncated, read;
    } cases[] = {
        {"0", "100", 0, 0, false, false},    /* the beginning of everything */
        {"0", "100", 50, 60, false, false},  /* what is older than the retention is there */
        {"0", "100", 50, 50, true, false},   /* the retention begins before the first record */
        {"60", "100", 50, 50, false, false}, /* but that had been refilled */
        {"40", "100", 50, 50, true, false},  /* or had not */
        {"0", "100", 100, 100, true, true},  /* nothing is left */
        {"0", "100", 0, 150, false, true},   /* all of it is too old */
        {"0", "0", 0, 0, false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char stale[256];
        refill_plan_clear(&plan);
        add("t", 0, 1);
        take(5, MARKER("r:t#1/0", cases[i].bound, "~t#1/0", cases[i].watermark), stale);
        refill_row_begin(&plan.rows[0], cases[i].low, cases[i].start);
        if (plan.rows[0].truncated != cases[i].truncated || plan.rows[0].read != cases[i].read)
            fail_msg("case %zu: truncated %d, read %d", i, plan.rows[0].truncated, plan.rows[0].read);
        assert_int_equal(refill_plan_is_read(&plan), cases[i].read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_marker_awaits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_can_refill, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_that_nobody_awaits_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_starts_at_the_lowest_need, setup, teardown),
        cmocka_unit_test_setup_teardown(what_kafka_has_deleted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

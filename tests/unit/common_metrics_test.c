/* What is counted in one instance or several is what the text says, to the byte; and a scrape may run while others
 * count. */
#include "common/base.h"

enum colour { RED, GREEN, COLOURS };
static const char *const colour_words[] = {"red", "green"};

#define METRICS_NAME test_metrics
#define METRICS_DEF  "tests/unit/common_metrics_test.def"
#include "common/metrics_struct.h"
#include "common/metrics_table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct metrics_table table = {METRICS_ROWS};

/* The scrape's part from a metric's HELP to the next one's. */
static void assert_part(const struct metrics *m, const char *name, const char *expected)
{
    struct buf out = {0};
    metrics_scrape(m, &out);
    buf_byte(&out, '\0');
    char *head = xasprintf("# HELP %s ", name);
    char *part = strstr(out.p, head);
    assert_non_null(part);
    char *next = strstr(part + 1, "# HELP ");
    if (next != NULL)
        *next = '\0';
    assert_string_equal(part, expected);
    free(head);
    buf_release(&out);
}

static void test_counters_of_all_instances_are_added(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m), *b = metrics_instance(&m);
    assert_int_equal((uintptr_t)a % 64, 0);
    counter_add(&a->things, 2);
    counter_add(&b->things, 40);
    assert_part(&m, "test_things_total",
                "# HELP test_things_total Things.\n# TYPE test_things_total counter\ntest_things_total 42\n");
    assert_int_equal(metrics_sum(&m, offsetof(struct test_metrics, things)), 42);
    metrics_release(&m);
}

static void test_labels_are_those_of_the_rows(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m);
    counter_add(&a->ends[END_BAD], 1);
    counter_add(&a->colours[RED], 3);
    assert_part(&m, "test_ends_total",
                "# HELP test_ends_total Ends.\n# TYPE test_ends_total counter\n"
                "test_ends_total{reason=\"good\"} 0\ntest_ends_total{reason=\"bad\"} 1\n");
    assert_part(&m, "test_colours_total",
                "# HELP test_colours_total Colours.\n# TYPE test_colours_total counter\n"
                "test_colours_total{colour=\"red\"} 3\ntest_colours_total{colour=\"green\"} 0\n");
    metrics_release(&m);
}

static void test_gauges_may_fall_in_another_instance(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m), *b = metrics_instance(&m);
    gauge_add(&a->open, 1);
    gauge_add(&b->open, -3);
    assert_part(&m, "test_open", "# HELP test_open Open now.\n# TYPE test_open gauge\ntest_open -2\n");
    gauge_set(&b->open, 0);
    assert_int_equal(metrics_sum(&m, offsetof(struct test_metrics, open)), 1);
    metrics_release(&m);
}

static void test_histogram_in_seconds(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m), *b = metrics_instance(&m);
    histogram_observe(&a->latency, 0);
    histogram_observe(&a->latency, 100);
    histogram_observe(&b->latency, 101);
    histogram_observe(&b->latency, 60000000);
    histogram_observe(&a->latency, 60000001);
    assert_part(&m, "test_latency_seconds",
                "# HELP test_latency_seconds Latency.\n# TYPE test_latency_seconds histogram\n"
                "test_latency_seconds_bucket{le=\"0.0001\"} 2\n"
                "test_latency_seconds_bucket{le=\"0.0002\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.0005\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.001\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.002\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.005\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.01\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.02\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.05\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.1\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.2\"} 3\n"
                "test_latency_seconds_bucket{le=\"0.5\"} 3\n"
                "test_latency_seconds_bucket{le=\"1\"} 3\n"
                "test_latency_seconds_bucket{le=\"2\"} 3\n"
                "test_latency_seconds_bucket{le=\"5\"} 3\n"
                "test_latency_seconds_bucket{le=\"10\"} 3\n"
                "test_latency_seconds_bucket{le=\"30\"} 3\n"
                "test_latency_seconds_bucket{le=\"60\"} 4\n"
                "test_latency_seconds_bucket{le=\"+Inf\"} 5\n"
                "test_latency_seconds_sum 120.000202\n"
                "test_latency_seconds_count 5\n");
    metrics_release(&m);
}

static void test_histogram_forgets(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m);
    histogram_observe(&a->sizes, 1);
    histogram_observe(&a->sizes, 4);
    histogram_forget(&a->sizes, 1);
    assert_part(&m, "test_sizes",
                "# HELP test_sizes Sizes.\n# TYPE test_sizes histogram\n"
                "test_sizes_bucket{le=\"1\"} 0\ntest_sizes_bucket{le=\"2\"} 0\ntest_sizes_bucket{le=\"3\"} 0\n"
                "test_sizes_bucket{le=\"5\"} 1\ntest_sizes_bucket{le=\"10\"} 1\ntest_sizes_bucket{le=\"20\"} 1\n"
                "test_sizes_bucket{le=\"50\"} 1\ntest_sizes_bucket{le=\"100\"} 1\ntest_sizes_bucket{le=\"200\"} 1\n"
                "test_sizes_bucket{le=\"1000\"} 1\ntest_sizes_bucket{le=\"+Inf\"} 1\n"
                "test_sizes_sum 4\ntest_sizes_count 1\n");
    metrics_release(&m);
}

static void append_lag(void *ctx, const char *name, struct buf *out)
{
    struct metric_label labels[] = {{"topic", SLICE("a\"b\\c\nd")}, {"partition", SLICE("7")}};
    metrics_line(out, name, labels, ARRAY_LEN(labels), *(int64_t *)ctx);
}

static void append_spent(void *ctx, const char *name, struct buf *out)
{
    metrics_line_in_parts(out, name, 1234567, 1000000);
}

static void sample_open(void *ctx)
{
    gauge_set(&((struct test_metrics *)ctx)->open, 9);
}

static void test_series_and_samples(void **state)
{
    struct metrics m;
    int64_t lag = -1;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m);
    assert_part(&m, "test_lag", "# HELP test_lag Lag.\n# TYPE test_lag gauge\n");
    metrics_source(&m, "test_lag", append_lag, &lag);
    metrics_source(&m, "test_spent_seconds_total", append_spent, NULL);
    metrics_on_scrape(&m, sample_open, a);
    assert_part(&m, "test_spent_seconds_total",
                "# HELP test_spent_seconds_total Spent.\n# TYPE test_spent_seconds_total counter\n"
                "test_spent_seconds_total 1.234567\n");
    assert_part(&m, "test_lag",
                "# HELP test_lag Lag.\n# TYPE test_lag gauge\n"
                "test_lag{topic=\"a\\\"b\\\\c\\nd\",partition=\"7\"} -1\n");
    assert_part(&m, "test_open", "# HELP test_open Open now.\n# TYPE test_open gauge\ntest_open 9\n");
    metrics_release(&m);
}

static void test_markdown(void **state)
{
    struct buf out = {0};
    metrics_markdown(&table, &out);
    buf_byte(&out, '\0');
    assert_non_null(strstr(out.p, "| `test_ends_total` | counter | `reason` | Ends. |\n"));
    assert_non_null(strstr(out.p, "| `test_lag` | gauge | | Lag. |\n"));
    buf_release(&out);
}

#define ROUNDS 20000

static void *count_up(void *instance)
{
    struct test_metrics *a = instance;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        counter_add(&a->things, 1);
        histogram_observe(&a->latency, i);
        gauge_add(&a->open, i % 2 == 0 ? 1 : -1);
    }
    return NULL;
}

static void test_scrapes_while_threads_count(void **state)
{
    struct metrics m;
    pthread_t threads[3];
    struct buf out = {0};
    int64_t seen = 0;
    metrics_init(&m, &table);
    void *instances[ARRAY_LEN(threads)];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        instances[i] = metrics_instance(&m);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, instances[i]), 0);
    for (int i = 0; i < 50; i++) {
        int64_t now = metrics_sum(&m, offsetof(struct test_metrics, things));
        assert_true(now >= seen);
        seen = now;
        buf_clear(&out);
        metrics_scrape(&m, &out);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_sum(&m, offsetof(struct test_metrics, things)), ROUNDS * ARRAY_LEN(threads));
    assert_int_equal(metrics_sum(&m, offsetof(struct test_metrics, open)), 0);
    buf_release(&out);
    metrics_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_of_all_instances_are_added),
        cmocka_unit_test(test_labels_are_those_of_the_rows),
        cmocka_unit_test(test_gauges_may_fall_in_another_instance),
        cmocka_unit_test(test_histogram_in_seconds),
        cmocka_unit_test(test_histogram_forgets),
        cmocka_unit_test(test_series_and_samples),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_scrapes_while_threads_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

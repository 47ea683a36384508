/* What is counted in one instance or several is what the text says, to the byte; and a scrape may run while others
 * count. */
#include "common/metrics_page.h"

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
static void assert_part_in(enum metrics_format format, const struct metrics *m, const char *name, const char *expected)
{
    struct buf out = {0};
    metrics_scrape(m, format, &out);
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

static void assert_part(const struct metrics *m, const char *name, const char *expected)
{
    assert_part_in(METRICS_TEXT, m, name, expected);
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

#define TRACE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TRACE_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define TRACE_C "cccccccccccccccccccccccccccccccc"

static void test_openmetrics_names_families_and_units(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m);
    metrics_source(&m, "test_spent_seconds_total", append_spent, NULL);
    counter_add(&a->ends[END_BAD], 1);
    gauge_set(&a->open, -1);
    assert_part_in(METRICS_OPENMETRICS, &m, "test_ends",
                   "# HELP test_ends Ends.\n# TYPE test_ends counter\n"
                   "test_ends_total{reason=\"good\"} 0\ntest_ends_total{reason=\"bad\"} 1\n");
    assert_part_in(METRICS_OPENMETRICS, &m, "test_open",
                   "# HELP test_open Open now.\n# TYPE test_open gauge\ntest_open -1\n");
    assert_part_in(METRICS_OPENMETRICS, &m, "test_spent_seconds",
                   "# HELP test_spent_seconds Spent.\n# TYPE test_spent_seconds counter\n"
                   "# UNIT test_spent_seconds seconds\ntest_spent_seconds_total 1.234567\n");
    assert_part_in(METRICS_OPENMETRICS, &m, "test_size_bytes",
                   "# HELP test_size_bytes Size.\n# TYPE test_size_bytes gauge\n# UNIT test_size_bytes bytes\n"
                   "test_size_bytes 0\n");
    metrics_release(&m);
}

static void test_a_page_has_an_end_where_it_needs_one(void **state)
{
    struct buf out = {0};
    metrics_end(METRICS_TEXT, &out);
    assert_int_equal(out.n, 0);
    metrics_end(METRICS_OPENMETRICS, &out);
    assert_true(slice_eq(buf_slice(&out), SLICE("# EOF\n")));
    buf_release(&out);
}

/* The last one of a bucket, and of two instances' the newer one. */
static void test_buckets_name_a_trace(void **state)
{
    struct metrics m;
    metrics_init(&m, &table);
    struct test_metrics *a = metrics_instance(&m), *b = metrics_instance(&m);
    histogram_observe(&a->latency, 90);
    histogram_exemplify(&a->latency, 90, SLICE(TRACE_A), 1700000000001);
    histogram_observe(&a->latency, 80);
    histogram_exemplify(&a->latency, 80, SLICE(TRACE_B), 1700000000002);
    histogram_observe(&a->latency, 2000000);
    histogram_exemplify(&a->latency, 2000000, SLICE(TRACE_B), 1700000000005);
    histogram_observe(&b->latency, 1500000);
    histogram_exemplify(&b->latency, 1500000, SLICE(TRACE_A), 1700000000004);
    histogram_observe(&b->latency, 70000000);
    histogram_exemplify(&b->latency, 70000000, SLICE(TRACE_C), 1700000000006);
    struct buf out = {0};
    metrics_scrape(&m, METRICS_OPENMETRICS, &out);
    buf_byte(&out, '\0');
    const char *lines[] = {
        "test_latency_seconds_bucket{le=\"0.0001\"} 2 # {trace_id=\"" TRACE_B "\"} 0.000080 1700000000.002\n",
        "test_latency_seconds_bucket{le=\"0.0002\"} 2\n",
        "test_latency_seconds_bucket{le=\"2.0\"} 4 # {trace_id=\"" TRACE_B "\"} 2.000000 1700000000.005\n",
        "test_latency_seconds_bucket{le=\"+Inf\"} 5 # {trace_id=\"" TRACE_C "\"} 70.000000 1700000000.006\n",
        "test_sizes_bucket{le=\"1000.0\"} 0\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (strstr(out.p, lines[i]) == NULL)
            fail_msg("%s is not in\n%s", lines[i], out.p);
    buf_clear(&out);
    metrics_scrape(&m, METRICS_TEXT, &out);
    buf_byte(&out, '\0');
    assert_null(strstr(out.p, "trace_id"));
    buf_release(&out);
    metrics_release(&m);
}

/* As Prometheus 2 and 3, curl and browsers ask. */
static void test_accept_chooses_the_format(void **state)
{
    static const struct {
        const char *accept;
        enum metrics_format format;
    } rows[] = {
        {NULL, METRICS_TEXT},
        {"", METRICS_TEXT},
        {"*/*", METRICS_TEXT},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", METRICS_TEXT},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         METRICS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         METRICS_OPENMETRICS},
        {"text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", METRICS_TEXT},
        {"application/openmetrics-text", METRICS_OPENMETRICS},
        {"Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=1", METRICS_OPENMETRICS},
        {"application/openmetrics-text, */*", METRICS_OPENMETRICS},
        {"application/openmetrics-text;version=0.0.1", METRICS_TEXT},
        {"application/openmetrics-text;version=2.0.0, text/plain;q=0.1", METRICS_TEXT},
        {"application/openmetrics-text;q=0", METRICS_TEXT},
        {"application/openmetrics-text;q=0.5, text/*;q=0.501", METRICS_TEXT},
        {"application/openmetrics-text;q=0.501, text/*;q=0.5", METRICS_OPENMETRICS},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.1, */*", METRICS_OPENMETRICS},
        {"application/openmetrics-text;q=2", METRICS_TEXT},
        {"application/openmetrics-text;q=0.12345", METRICS_TEXT},
        {"application/openmetrics-text;q=", METRICS_TEXT},
        {"application/openmetrics-text;q=x", METRICS_TEXT},
        {"application/openmetrics-text;q=10", METRICS_TEXT},
        {"application/*", METRICS_TEXT},
        {",;,=;q,", METRICS_TEXT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (metrics_format_for(slice_of(rows[i].accept)) != rows[i].format)
            fail_msg("Accept: %s", rows[i].accept);
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
        histogram_exemplify(&a->latency, i, SLICE(TRACE_A), i);
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
        metrics_scrape(&m, METRICS_OPENMETRICS, &out);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_sum(&m, offsetof(struct test_metrics, things)), ROUNDS * ARRAY_LEN(threads));
    assert_int_equal(metrics_sum(&m, offsetof(struct test_metrics, open)), 0);
    buf_release(&out);
    metrics_release(&m);
}

static void *name_two_traces(void *instance)
{
    struct test_metrics *a = instance;
    for (uint64_t i = 0; i < 20 * ROUNDS; i++)
        histogram_exemplify(&a->latency, i % 2, i % 2 == 0 ? SLICE(TRACE_A) : SLICE(TRACE_B), i % 2);
    counter_add(&a->things, 1);
    return NULL;
}

/* Half of one and half of another is none. */
static void test_a_trace_is_read_whole(void **state)
{
    struct metrics m;
    pthread_t thread;
    struct metrics_exemplar e;
    size_t read = 0;
    metrics_init(&m, &table);
    assert_int_equal(pthread_create(&thread, NULL, name_two_traces, metrics_instance(&m)), 0);
    while (metrics_sum(&m, offsetof(struct test_metrics, things)) == 0) {
        if (!metrics_exemplar(&m, offsetof(struct test_metrics, latency), 0, &e))
            continue;
        const char *expected = e.value == 0 ? TRACE_A : TRACE_B;
        assert_memory_equal(e.trace_id, expected, sizeof(e.trace_id));
        assert_int_equal(e.wall_ms, e.value);
        read++;
    }
    pthread_join(thread, NULL);
    assert_true(read > 0 || metrics_exemplar(&m, offsetof(struct test_metrics, latency), 0, &e));
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
        cmocka_unit_test(test_openmetrics_names_families_and_units),
        cmocka_unit_test(test_a_page_has_an_end_where_it_needs_one),
        cmocka_unit_test(test_buckets_name_a_trace),
        cmocka_unit_test(test_accept_chooses_the_format),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_scrapes_while_threads_count),
        cmocka_unit_test(test_a_trace_is_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

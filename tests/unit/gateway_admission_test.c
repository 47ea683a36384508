/* Admission: the rate by itself, from several threads, and the queue of a worker. The rate's clock is the test's. */
#include "gateway/admission.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

/* ---- the rate ---- */

static void a_burst_and_then_the_rate(void **state)
{
    struct admission_rate r;
    uint64_t now = 50 * S;
    admission_rate_init(&r, 100, 5, 30);
    for (int i = 0; i < 5; i++)
        assert_int_equal(admission_rate_take(&r, now), 0);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(admission_rate_take(&r, now), i * 10 * MS);
    for (int i = 0; i < 3; i++) /* a refusal takes no turn */
        assert_true(admission_rate_take(&r, now) == ADMISSION_REFUSED);
    assert_int_equal(admission_rate_take(&r, now + 10 * MS), 30 * MS);
    assert_true(admission_rate_take(&r, now + 10 * MS) == ADMISSION_REFUSED);
}

static void a_calm_gives_back_no_more_than_a_burst(void **state)
{
    struct admission_rate r;
    admission_rate_init(&r, 100, 5, 0);
    for (uint64_t now = S; now < 2000 * S; now += 900 * S) {
        for (int i = 0; i < 5; i++)
            assert_int_equal(admission_rate_take(&r, now), 0);
        assert_true(admission_rate_take(&r, now) == ADMISSION_REFUSED);
    }
}

static void no_rate_is_no_limit(void **state)
{
    struct admission_rate r;
    admission_rate_init(&r, 0, 1, 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(admission_rate_take(&r, 0), 0);
}

static void right_after_the_machine_started(void **state)
{
    struct admission_rate r;
    admission_rate_init(&r, 1, 10, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(admission_rate_take(&r, 2 * S), 0);
}

enum { THREADS = 4, TAKES = 20000 };

static void *take_many(void *arg)
{
    uint64_t most = 0;
    for (int i = 0; i < TAKES; i++) {
        uint64_t wait = admission_rate_take(arg, S);
        most = MAX(most, wait);
    }
    return (void *)(uintptr_t)most;
}

static void no_turn_is_taken_twice(void **state)
{
    struct admission_rate r;
    pthread_t threads[THREADS];
    uint64_t most = 0;
    admission_rate_init(&r, 1000, 1, 3600 * 1000);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &r), 0);
    for (int i = 0; i < THREADS; i++) {
        void *got;
        pthread_join(threads[i], &got);
        most = MAX(most, (uint64_t)(uintptr_t)got);
    }
    assert_int_equal(most, (THREADS * TAKES - 1) * MS);
}

/* ---- a worker's queue ---- */

static struct loop l; /* of which only the clock and the timers are used */
static struct metrics metrics;
static struct context ctx;
static struct admission_rate rate;
static struct admission a;
static unsigned admitted, dismissed;

static int start(void **state)
{
    l = (struct loop){.now_ms = 1000};
    list_init(&l.timers);
    metrics_init(&metrics, &gateway_metrics_table);
    ctx = (struct context){.loop = &l, .metrics = metrics_instance(&metrics)};
    admission_rate_init(&rate, 1, 1, 10000); /* one a second: the real clock, which the queue asks, moves no turn */
    admission_init(&a, &ctx, &rate);
    admitted = dismissed = 0;
    return 0;
}

static int stop(void **state)
{
    assert_int_equal(metrics_sum(&metrics, offsetof(struct gateway_metrics, admission_waiting)), 0);
    admission_release(&a);
    assert_true(list_empty(&l.timers));
    metrics_release(&metrics);
    return 0;
}

static void on_turn(struct admission_ticket *t, bool is_admitted)
{
    *(is_admitted ? &admitted : &dismissed) += 1;
    free(t);
}

static enum admission_answer ask(void)
{
    struct admission_ticket *t = calloc(1, sizeof(*t));
    enum admission_answer answer = admission_ask(&a, t, on_turn);
    if (answer != ADMISSION_LATER)
        free(t);
    return answer;
}

static void fire(uint64_t now_ms)
{
    l.now_ms = now_ms;
    assert_true(timer_is_armed(&a.timer) && a.timer.due_ms <= now_ms);
    timer_stop(&a.timer);
    a.timer.on_fire(&a.timer);
}

static void the_queue_is_served_in_turn(void **state)
{
    assert_int_equal(ask(), ADMISSION_NOW);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(), ADMISSION_LATER);
    assert_int_equal(metrics_sum(&metrics, offsetof(struct gateway_metrics, admission_waiting)), 3);
    fire(2000);
    assert_int_equal(admitted, 1);
    fire(4000);
    assert_int_equal(admitted, 3);
    assert_false(timer_is_armed(&a.timer));
    assert_int_equal(metrics_sum(&metrics, offsetof(struct gateway_metrics, admission_waited)), 3);
}

static void beyond_the_wait_nobody_is_queued(void **state)
{
    unsigned later = 0;
    assert_int_equal(ask(), ADMISSION_NOW);
    while (ask() == ADMISSION_LATER)
        later++;
    assert_true(later >= 10);
    admission_dismiss(&a);
    assert_int_equal(dismissed, later);
}

static void dismissed_when_it_goes_down(void **state)
{
    assert_int_equal(ask(), ADMISSION_NOW);
    assert_int_equal(ask(), ADMISSION_LATER);
    admission_dismiss(&a);
    assert_int_equal(dismissed, 1);
    assert_int_equal(admitted, 0);
    admission_dismiss(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_the_rate),
        cmocka_unit_test(a_calm_gives_back_no_more_than_a_burst),
        cmocka_unit_test(no_rate_is_no_limit),
        cmocka_unit_test(right_after_the_machine_started),
        cmocka_unit_test(no_turn_is_taken_twice),
        cmocka_unit_test_setup_teardown(the_queue_is_served_in_turn, start, stop),
        cmocka_unit_test_setup_teardown(beyond_the_wait_nobody_is_queued, start, stop),
        cmocka_unit_test_setup_teardown(dismissed_when_it_goes_down, start, stop),
    };
    return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}

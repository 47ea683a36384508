/* Devices' places: what moves them, and what is to be written. Redis is not there: writes fail and are kept. */
#include "gateway/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct loop l;
static struct gateway_config cfg;
static struct metrics metrics;
static struct context ctx;
static struct cursors cursors;
static struct redis_commands away; /* a link that is down */
static char pings[256];

static struct redis_commands *redis_of(void *arg, unsigned bucket)
{
    return &away;
}

static void ping(struct conn *c, struct slice payload)
{
    size_t n = strlen(pings);
    snprintf(pings + n, sizeof(pings) - n, "%.*s;", SLICE_ARG(payload));
}

static int start(void **state)
{
    cfg = (struct gateway_config){.cursor_interval = 1000, .device_ttl = 400000, .devices_max = 100};
    l = (struct loop){.now_ms = 1000000};
    list_init(&l.timers);
    metrics_init(&metrics, &gateway_metrics_table);
    ctx = (struct context){.loop = &l, .cfg = &cfg, .metrics = metrics_instance(&metrics)};
    cursors_init(&cursors, &ctx, redis_of, NULL, ping);
    pings[0] = '\0';
    return 0;
}

static int stop(void **state)
{
    cursors_release(&cursors);
    metrics_release(&metrics);
    return 0;
}

static void interval(void)
{
    pings[0] = '\0';
    l.now_ms += cfg.cursor_interval;
    cursors.timer.on_fire(&cursors.timer);
}

static struct device *device(const char *id)
{
    struct device *d = device_new(&cursors, (struct conn *)&cursors, slice_of(id)); /* who is never looked into */
    device_start(d, SLICE("u:1"), 5000, false);
    return d;
}

/* Gone, and written nowhere. */
static void lose(struct device *d)
{
    device_depart(d);
}

static bool is_dirty(const struct device *d)
{
    return !list_empty(&d->dirty);
}

static void clean(struct device *d)
{
    list_remove(&d->dirty);
}

static void ids(void **state)
{
    char longest[DEVICE_ID_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_true(device_id_valid(slice_make(longest, DEVICE_ID_MAX)));
    assert_false(device_id_valid(slice_make(longest, DEVICE_ID_MAX + 1)));
    assert_true(device_id_valid(SLICE("phone 1 \xc3\xa4")));
    const struct slice bad[] = {SLICE(""), SLICE("a\nb"), SLICE("\x7f"), SLICE("\xff"), SLICE("a\0b"), SLICE("\xc3")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(device_id_valid(bad[i]));
}

static void a_start_is_written(void **state)
{
    struct device *d = device("a");
    assert_true(is_dirty(d) && d->acked == 5000);
    lose(d);
    assert_int_equal(cursors.departed, 1);
}

static void acks_move_it(void **state)
{
    struct device *d = device("a");
    device_sent(d, 6000);
    device_sent(d, 7000);
    device_sent(d, 6500);
    clean(d);
    assert_int_equal(device_on_ack(d, 7001), DEVICE_ACK_AHEAD);
    assert_true(!is_dirty(d) && !d->acks);
    assert_int_equal(device_on_ack(d, 5000), DEVICE_ACK_OK); /* nothing new, but now it is known to ack */
    assert_true(is_dirty(d) && d->acks && d->acked == 5000);
    clean(d);
    assert_int_equal(device_on_ack(d, 6000), DEVICE_ACK_OK);
    assert_true(is_dirty(d) && d->acked == 6000);
    clean(d);
    assert_int_equal(device_on_ack(d, 6000), DEVICE_ACK_OK);
    assert_int_equal(device_on_ack(d, 5500), DEVICE_ACK_OK);
    assert_true(!is_dirty(d) && d->acked == 6000);
    lose(d);
    assert_int_equal(cursors.departed, 0); /* nothing was to be written: it is gone */
}

static void pongs_move_one_that_never_acked(void **state)
{
    struct device *d = device("a");
    char text[DEVICE_PING_SIZE];
    interval();
    assert_string_equal(pings, ""); /* nothing was sent */
    device_sent(d, 6000);
    device_sent(d, 7000);
    interval();
    assert_string_equal(pings, "7-0;");
    device_sent(d, 8000);
    interval();
    assert_string_equal(pings, ""); /* one is out */
    assert_true(slice_eq(device_ping(d, text), SLICE("7-0")));
    clean(d);
    device_on_pong(d, SLICE(""));
    device_on_pong(d, SLICE("8-0"));
    assert_true(d->acked == 5000 && !is_dirty(d));
    device_on_pong(d, SLICE("7-0"));
    assert_true(d->acked == 7000 && is_dirty(d));
    device_on_pong(d, SLICE("7-0"));
    assert_true(slice_eq(device_ping(d, text), SLICE("")));
    interval();
    assert_string_equal(pings, "8-0;");
    lose(d);
}

static void one_that_acks_is_not_asked(void **state)
{
    struct device *d = device("a"), *known;
    device_sent(d, 6000);
    interval();
    device_on_ack(d, 5000);
    device_on_pong(d, SLICE("6-0"));
    assert_int_equal(d->acked, 5000);
    device_sent(d, 7000);
    interval();
    assert_string_equal(pings, "");
    known = device_new(&cursors, (struct conn *)&cursors, SLICE("b"));
    device_start(known, SLICE("u:1"), 5000, true);
    device_sent(known, 6000);
    interval();
    assert_string_equal(pings, "");
    lose(d);
    lose(known);
}

static void what_cannot_be_written_is_kept(void **state)
{
    struct device *d = device("a"), *e = device("b");
    interval();
    assert_true(is_dirty(d) && is_dirty(e) && !d->writing);
    assert_int_equal(ctx.metrics->cursor_failures.n, 1); /* one call for the user */
    lose(d);
    interval();
    assert_int_equal(cursors.departed, 1);
    assert_int_equal(ctx.metrics->cursor_failures.n, 2);
    lose(e);
}

static void one_that_stays_is_written_now_and_then(void **state)
{
    struct device *d = device("a");
    clean(d);
    l.now_ms += cfg.device_ttl / 4 - cfg.cursor_interval - 1;
    interval();
    assert_false(is_dirty(d));
    interval();
    assert_true(is_dirty(d));
    lose(d);
}

#define CURSOR_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        CURSOR_TEST(a_start_is_written),
        CURSOR_TEST(acks_move_it),
        CURSOR_TEST(pongs_move_one_that_never_acked),
        CURSOR_TEST(one_that_acks_is_not_asked),
        CURSOR_TEST(what_cannot_be_written_is_kept),
        CURSOR_TEST(one_that_stays_is_written_now_and_then),
    };
    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}

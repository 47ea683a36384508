/* A node's pulse: its key is read over a real link from a server that answers what the test says; beats are the test's,
 * and so is the time that passes. */
#include "gateway/pulse.h"
#include "loopback.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY 86400000

static struct loop l;
static struct gateway_config cfg;
static struct metrics metrics;
static struct context ctx;
static struct endpoint endpoint;
static struct redis_commands rc;
static struct node_position position;
static struct pulse p;
static int listener, peer;
static unsigned drops, doubts;
static uint64_t sent;  /* bytes to the peer */
static uint64_t quiet; /* so long, whatever the clock says */

static void turn(void)
{
    p.beat_ms = l.now_ms - quiet;
    loop_turn(&l, 1);
}

static void on_deaf(struct pulse *pulse)
{
    drops++;
}

static void on_doubt(struct pulse *pulse)
{
    doubts++;
}

static const struct pulse_ops ops = {.on_deaf = on_deaf, .on_doubt = on_doubt};

static void hears(const char *word)
{
    char heard[4096] = "";
    for (int i = 0; i < LOOPBACK_TURNS && strstr(heard, word) == NULL; i++) {
        turn();
        size_t n = strlen(heard);
        (void)recv(peer, heard + n, sizeof(heard) - 1 - n, MSG_DONTWAIT);
    }
    if (strstr(heard, word) == NULL)
        fail_msg("%s was not heard", word);
}

static void say(const char *text)
{
    assert_int_equal(write(peer, text, strlen(text)), strlen(text));
    sent += strlen(text);
    for (int i = 0; i < LOOPBACK_TURNS && !loopback_took(peer, sent); i++)
        turn();
    turn();
}

static void beat(const char *id)
{
    pulse_on_beat(&p, slice_of(id));
    quiet = 0;
}

static int start(void **state)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&sa, &len) != 0)
        return -1;
    endpoint = (struct endpoint){.host = xstrdup("127.0.0.1"), .port = ntohs(sa.sin_port)};
    loop_init(&l);
    cfg = (struct gateway_config){.beat_timeout = DAY};
    metrics_init(&metrics, &gateway_metrics_table);
    ctx = (struct context){.loop = &l, .cfg = &cfg, .metrics = metrics_instance(&metrics)};
    position = (struct node_position){0};
    drops = doubts = 0;
    sent = quiet = 0;
    redis_commands_init(&rc, &l, &endpoint, NULL, NULL, NULL);
    peer = -1;
    for (int i = 0; i < LOOPBACK_TURNS && peer < 0; i++) {
        turn();
        peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    }
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    hears("PING");
    say("+OK\r\n+PONG\r\n");
    pulse_init(&p, &ctx, &rc, &position, &ops, NULL);
    assert_true(pulse_move(&p, 0));
    pulse_on_up(&p);
    quiet = 0;
    return redis_commands_is_up(&rc) ? 0 : -1;
}

static int stop(void **state)
{
    pulse_release(&p);
    redis_commands_release(&rc);
    loop_release(&l);
    metrics_release(&metrics);
    close(peer);
    close(listener);
    endpoint_release(&endpoint);
    return 0;
}

/* The pulse is so much older; its links are not. */
static void pass(uint64_t ms)
{
    quiet += ms;
    timer_start(&l, &p.timer, 0);
    for (int i = 0; i < 3; i++)
        turn();
    if (timer_is_armed(&p.timer))
        timer_start(&l, &p.timer, 3600000); /* never by itself */
}

/* Beats are a day late, and later each time. */
static void looks_and_finds(const char *reply)
{
    pass(2 * DAY);
    hears("GET");
    say(reply);
}

static void assert_nothing_asked(void)
{
    char heard[4096] = "";
    for (int i = 0; i < 5; i++)
        turn();
    (void)recv(peer, heard, sizeof(heard) - 1, MSG_DONTWAIT);
    assert_null(strstr(heard, "GET"));
}

static void beats_are_heard_and_nothing_is_asked(void **state)
{
    for (unsigned i = 1; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%u-0", i);
        pass(DAY / 2);
        beat(id);
        assert_int_equal(position.safe, i * 1000);
    }
    assert_nothing_asked();
    pulse_on_beat(&p, SLICE("what"));
    assert_int_equal(position.safe, 9000);
    assert_false(p.deaf || p.silent);
}

static void a_key_that_rises_unheard_is_a_deaf_link(void **state)
{
    beat("1-0");
    looks_and_finds("$4\r\n2000\r\n");
    assert_false(p.deaf); /* it may be on its way */
    looks_and_finds("$4\r\n2000\r\n");
    assert_true(p.deaf && !p.silent);
    assert_int_equal(drops, 1);
    assert_int_equal(ctx.metrics->deaf.n, 1);
    pulse_on_down(&p);
    pulse_on_up(&p);
    quiet = 0;
    assert_true(p.deaf); /* not before a beat is heard on the new one */
    beat("4-0");
    assert_false(p.deaf);
}

static void a_key_that_stands_is_a_world_without_routers(void **state)
{
    beat("1-0");
    pass(DAY - 1000);
    hears("GET");
    say("$4\r\n1000\r\n");
    assert_false(p.silent); /* not yet */
    looks_and_finds("$4\r\n1000\r\n");
    assert_true(p.silent && !p.deaf);
    assert_int_equal(doubts, 1);
    looks_and_finds("$-1\r\n"); /* flushed */
    assert_true(p.silent);
    assert_int_equal(doubts, 2);
    beat("2-0");
    assert_false(p.silent);
    assert_int_equal(drops, 0);
}

static void an_old_key_at_the_start_is_no_proof(void **state)
{
    for (unsigned i = 0; i < 5; i++)
        looks_and_finds("$4\r\n9000\r\n"); /* of routers long gone */
    assert_true(p.silent && !p.deaf);
    looks_and_finds("$5\r\n10000\r\n"); /* one is back, its beat is on its way */
    assert_int_equal(drops, 0);
    beat("10-0");
    assert_false(p.silent || p.deaf);
}

static void a_link_that_brings_events_is_late_not_deaf(void **state)
{
    beat("1-0");
    for (unsigned i = 1; i < 6; i++) {
        char reply[32];
        position_heard(&position, 1000 + i);
        snprintf(reply, sizeof(reply), "$4\r\n%u\r\n", 2000 + 1000 * i);
        looks_and_finds(reply);
        assert_false(p.deaf || p.silent);
    }
    looks_and_finds("$4\r\n9000\r\n");
    assert_true(p.deaf);
}

static void a_node_that_refuses_is_doubted(void **state)
{
    pass(DAY - 1000);
    hears("GET");
    say("-CLUSTERDOWN The cluster is down\r\n");
    assert_int_equal(doubts, 0);
    looks_and_finds("-CLUSTERDOWN The cluster is down\r\n");
    assert_int_equal(doubts, 1);
    assert_false(p.deaf || p.silent);
}

static void answers_for_an_earlier_link_do_not_count(void **state)
{
    pass(2 * DAY);
    hears("GET");
    say("$4\r\n1000\r\n");
    pass(DAY);
    hears("GET");
    pulse_on_down(&p);
    pulse_on_up(&p);
    quiet = 0;
    say("$4\r\n2000\r\n");
    assert_int_equal(p.looked, 0);
}

static void a_node_without_buckets_has_no_pulse(void **state)
{
    for (unsigned i = 0; i < 3; i++)
        looks_and_finds("$-1\r\n");
    assert_true(p.silent);
    assert_false(pulse_move(&p, TARGET_BUCKETS));
    assert_false(p.silent);
    assert_int_equal(pulse_channel(&p).n, 0);
    assert_nothing_asked();
    assert_false(timer_is_armed(&p.timer));
    assert_true(pulse_move(&p, 7));
    assert_false(pulse_move(&p, 7));
    pass(2 * DAY);
    hears("beat");
}

#define PULSE_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PULSE_TEST(beats_are_heard_and_nothing_is_asked),         PULSE_TEST(a_key_that_rises_unheard_is_a_deaf_link),
        PULSE_TEST(a_key_that_stands_is_a_world_without_routers), PULSE_TEST(an_old_key_at_the_start_is_no_proof),
        PULSE_TEST(a_link_that_brings_events_is_late_not_deaf),   PULSE_TEST(a_node_that_refuses_is_doubted),
        PULSE_TEST(answers_for_an_earlier_link_do_not_count),     PULSE_TEST(a_node_without_buckets_has_no_pulse),
    };
    return cmocka_run_group_tests_name("pulse", tests, NULL, NULL);
}

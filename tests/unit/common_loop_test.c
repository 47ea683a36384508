/* Timers, hooks, posts from other threads, and writes from hooks, on a real loop that never waits for long. */
#include "common/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop l;

static int start(void **state)
{
    loop_init(&l);
    return 0;
}

static int stop(void **state)
{
    loop_release(&l);
    return 0;
}

/* ---- timers ---- */

struct alarm_clock {
    struct timer timer;
    unsigned fired, again; /* arms itself again so often */
    struct alarm_clock *stops;
    char name;
};

static char order[16];
static size_t ordered;

static void on_fire(struct timer *t)
{
    struct alarm_clock *a = CONTAINER_OF(t, struct alarm_clock, timer);
    a->fired++;
    assert_false(timer_is_armed(t));
    if (ordered < sizeof(order))
        order[ordered++] = a->name;
    if (a->stops != NULL)
        timer_stop(&a->stops->timer);
    if (a->again > 0) {
        a->again--;
        timer_start(&l, t, 0);
    }
}

static struct alarm_clock alarm_of(char name)
{
    struct alarm_clock a = {.name = name};
    return a;
}

/* Moves the loop's own clock on, so that no test waits. */
static void turn_later(uint64_t ms)
{
    LIST_EACH (it, &l.timers)
        CONTAINER_OF(it, struct timer, link)->due_ms -= MIN(ms, CONTAINER_OF(it, struct timer, link)->due_ms);
    loop_turn(&l, 0);
}

static void timers_fire_in_the_order_of_their_time(void **state)
{
    struct alarm_clock a = alarm_of('a'), b = alarm_of('b'), c = alarm_of('c');
    struct alarm_clock *all[] = {&a, &b, &c};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        timer_init(&all[i]->timer, on_fire);
    ordered = 0;
    timer_start(&l, &a.timer, 3000);
    timer_start(&l, &b.timer, 1000);
    timer_start(&l, &c.timer, 2000);
    loop_turn(&l, 0);
    assert_int_equal(ordered, 0);
    turn_later(1500);
    assert_memory_equal(order, "b", 1);
    assert_int_equal(ordered, 1);
    timer_start(&l, &a.timer, 10000); /* later than it was */
    turn_later(5000);
    assert_memory_equal(order, "bc", 2);
    assert_int_equal(ordered, 2);
    turn_later(10000);
    assert_memory_equal(order, "bca", 3);
    assert_false(timer_is_armed(&a.timer));
}

static void a_timer_armed_again_by_itself_waits_for_the_next_turn(void **state)
{
    struct alarm_clock a = alarm_of('a');
    a.again = 2;
    timer_init(&a.timer, on_fire);
    timer_start(&l, &a.timer, 0);
    for (unsigned i = 1; i <= 3; i++) {
        loop_turn(&l, 0);
        assert_int_equal(a.fired, i);
    }
    loop_turn(&l, 0);
    assert_int_equal(a.fired, 3);
}

static void a_timer_may_stop_one_that_is_due_too(void **state)
{
    struct alarm_clock a = alarm_of('a'), b = alarm_of('b');
    a.stops = &b;
    timer_init(&a.timer, on_fire);
    timer_init(&b.timer, on_fire);
    timer_start(&l, &a.timer, 0);
    timer_start(&l, &b.timer, 0);
    loop_turn(&l, 0);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
    timer_stop(&b.timer); /* harmless */
}

/* ---- hooks ---- */

struct counting_hook {
    struct turn_hook hook;
    unsigned turns, more;
};

static bool on_turn(struct turn_hook *hook)
{
    struct counting_hook *c = CONTAINER_OF(hook, struct counting_hook, hook);
    c->turns++;
    return c->more > 0 && c->more-- > 0;
}

static void a_hook_with_more_to_do_is_not_kept_waiting(void **state)
{
    struct counting_hook c = {.more = 3};
    loop_add_hook(&l, &c.hook, on_turn);
    for (unsigned i = 1; i <= 3; i++)
        loop_turn(&l, 60 * 1000); /* would wait for a minute */
    assert_int_equal(c.turns, 3);
    list_remove(&c.hook.link);
}

/* ---- posts ---- */

#define POSTS_PER_THREAD 1000
#define THREADS          4

struct parcel {
    struct post post;
    unsigned thread, number;
};

static unsigned next_of[THREADS], arrived;

static void on_parcel(struct post *p)
{
    struct parcel *parcel = CONTAINER_OF(p, struct parcel, post);
    assert_int_equal(parcel->number, next_of[parcel->thread]);
    next_of[parcel->thread]++;
    if (++arrived == THREADS * POSTS_PER_THREAD)
        loop_stop(&l);
    free(parcel);
}

static void *send_parcels(void *arg)
{
    for (unsigned i = 0; i < POSTS_PER_THREAD; i++) {
        struct parcel *parcel = xcalloc(1, sizeof(*parcel));
        parcel->thread = *(unsigned *)arg;
        parcel->number = i;
        loop_post(&l, &parcel->post, on_parcel);
    }
    return NULL;
}

static void posts_of_a_thread_arrive_in_order(void **state)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_parcels, &numbers[i]), 0);
    }
    loop_run(&l);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(arrived, THREADS * POSTS_PER_THREAD);
}

/* ---- writes from hooks ---- */

struct writer {
    struct turn_hook hook;
    h2o_socket_t *sock;
    char bytes[128 * 1024];
    bool wanted, written;
};

static void on_written(h2o_socket_t *sock, const char *err)
{
    struct writer *w = sock->data;
    assert_null(err);
    w->written = true;
    loop_again(&l);
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
}

static bool write_once(struct turn_hook *hook)
{
    struct writer *w = CONTAINER_OF(hook, struct writer, hook);
    if (!w->wanted)
        return false;
    w->wanted = false;
    h2o_iovec_t v = h2o_iovec_init(w->bytes, sizeof(w->bytes));
    h2o_socket_read_start(w->sock, on_readable);
    h2o_socket_write(w->sock, &v, 1, on_written);
    return false;
}

/* The write fits into the socket's buffer but leaves it so full that epoll does not call the socket writable: h2o must
 * have been told of the end of such a write before it looks which sockets to watch, or it watches one that has nothing
 * to write, and aborts when that becomes writable. */
static void a_write_from_a_hook_is_done_before_the_loop_looks_again(void **state)
{
    int fds[2];
    struct writer w = {.wanted = true};
    char *sink = xmalloc(sizeof(w.bytes));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    w.sock = h2o_evloop_socket_create(l.h2o, fds[0], 0);
    w.sock->data = &w;
    loop_add_hook(&l, &w.hook, write_once);
    loop_turn(&l, 60 * 1000); /* would wait for a minute */
    assert_true(w.written);
    loop_turn(&l, 0);
    size_t got = 0;
    ssize_t n;
    while ((n = read(fds[1], sink, sizeof(w.bytes))) > 0)
        got += (size_t)n;
    assert_int_equal(got, sizeof(w.bytes));
    loop_turn(&l, 0);
    loop_turn(&l, 0);
    list_remove(&w.hook.link);
    h2o_socket_close(w.sock);
    close(fds[1]);
    free(sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_time, start, stop),
        cmocka_unit_test_setup_teardown(a_timer_armed_again_by_itself_waits_for_the_next_turn, start, stop),
        cmocka_unit_test_setup_teardown(a_timer_may_stop_one_that_is_due_too, start, stop),
        cmocka_unit_test_setup_teardown(a_hook_with_more_to_do_is_not_kept_waiting, start, stop),
        cmocka_unit_test_setup_teardown(posts_of_a_thread_arrive_in_order, start, stop),
        cmocka_unit_test_setup_teardown(a_write_from_a_hook_is_done_before_the_loop_looks_again, start, stop),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}

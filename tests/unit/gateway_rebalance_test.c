/* The decision fed with views one by one, and clusters that are nothing but counts: gateways of two workers each,
 * clients that come back, and balancers that choose for them. */
#include "gateway/rebalance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND   1000
#define TICK     100
#define WINDOW   (35 * SECOND)
#define GATEWAYS 8
#define WORKERS  2

static const struct rebalance_conf conf = {.on = true, .tolerance = 10, .window_ms = WINDOW};

/* ---- one worker that is all of its gateway ---- */

static struct rebalance r;
static uint64_t now;

static int start(void **state)
{
    rebalance_init(&r, &conf);
    now = 1000000;
    r.set = 7; /* these gateways have been there for long */
    r.since_ms = now;
    return 0;
}

static struct rebalance_view view(uint64_t here, uint64_t elsewhere)
{
    return (struct rebalance_view){.gateways = 2,
                                   .connections = here + elsewhere,
                                   .here = here,
                                   .movable = here,
                                   .own = here,
                                   .set = 7,
                                   .calm = true};
}

static enum rebalance_step step(struct rebalance_view v)
{
    now += SECOND;
    return rebalance_on_view(&r, &v, now);
}

/* The views of so many seconds; the last step, or the first that was something. */
static enum rebalance_step see(unsigned seconds, struct rebalance_view v)
{
    enum rebalance_step s = REBALANCE_REST;
    while (seconds-- > 0 && s == REBALANCE_REST)
        s = step(v);
    return s;
}

static void test_an_excess_must_settle(void **state)
{
    assert_int_equal(see(1, view(500, 500)), REBALANCE_REST);
    assert_int_equal(see(7, view(1000, 500)), REBALANCE_REST);
    assert_int_equal(see(1, view(1000, 500)), REBALANCE_BEGUN);
    assert_int_equal(r.left, 250);
}

static void test_the_least_excess_is_asked(void **state)
{
    assert_int_equal(see(1, view(500, 500)), REBALANCE_REST);
    assert_int_equal(see(4, view(1400, 100)), REBALANCE_REST);
    assert_int_equal(see(1, view(900, 600)), REBALANCE_REST);
    assert_int_equal(see(3, view(1400, 100)), REBALANCE_BEGUN);
    assert_int_equal(r.left, 150);
}

static void test_an_excess_that_goes_is_forgotten(void **state)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(see(7, view(1000, 500)), REBALANCE_REST);
        assert_int_equal(see(1, view(500, 500)), REBALANCE_REST);
    }
}

static void test_nothing_within_the_tolerance(void **state)
{
    assert_int_equal(see(60, view(1100, 900)), REBALANCE_REST);
    assert_int_equal(see(60, view(1101, 899)), REBALANCE_BEGUN);
}

static void test_nothing_for_a_handful(void **state)
{
    assert_int_equal(see(60, view(REBALANCE_LEAST * 2 - 2, 0)), REBALANCE_REST);
    assert_int_equal(see(60, view(REBALANCE_LEAST * 2, 0)), REBALANCE_BEGUN);
}

static void test_nothing_where_there_is_one_gateway(void **state)
{
    struct rebalance_view alone = view(1000, 0);
    alone.gateways = 1;
    assert_int_equal(see(60, alone), REBALANCE_REST);
}

static void test_nothing_when_it_is_off(void **state)
{
    r.conf.on = false;
    assert_int_equal(see(60, view(1000, 0)), REBALANCE_REST);
    assert_int_equal(rebalance_due(&r, now), 0);
}

static void test_nothing_below_the_mean(void **state)
{
    assert_int_equal(see(60, view(500, 1000)), REBALANCE_REST);
}

static void test_nothing_while_a_gateway_is_not_ready(void **state)
{
    struct rebalance_view draining = view(1000, 500);
    draining.calm = false;
    assert_int_equal(see(60, draining), REBALANCE_REST);
    assert_int_equal(see(15, view(1000, 500)), REBALANCE_REST);
    assert_int_equal(see(1, view(1000, 500)), REBALANCE_BEGUN);
    assert_int_equal(step(draining), REBALANCE_INTERRUPTED);
    assert_int_equal(rebalance_due(&r, now), 0);
}

static void test_another_set_of_gateways_interrupts(void **state)
{
    struct rebalance_view other = view(1000, 500);
    other.set = 8;
    assert_int_equal(see(60, view(1000, 500)), REBALANCE_BEGUN);
    assert_int_equal(step(other), REBALANCE_INTERRUPTED);
    assert_int_equal(see(15, other), REBALANCE_REST);
    assert_int_equal(see(1, other), REBALANCE_BEGUN);
}

/* Each step begins with a gateway that is new and empty. */
static void test_a_rolling_update_is_left_alone(void **state)
{
    struct rebalance_view v = view(1000, 500);
    for (v.set = 8; v.set < 20; v.set++)
        assert_int_equal(see(15, v), REBALANCE_REST);
}

/* Its clients are here at once, and for as long as its lease lives also there. */
static void test_a_killed_gateway_is_no_excess(void **state)
{
    struct rebalance_view v = view(1000, 1000);
    assert_int_equal(see(20, v), REBALANCE_REST);
    v = view(2000, 1000);
    assert_int_equal(see(7, v), REBALANCE_REST);
    v = view(2000, 0);
    v.gateways = 1;
    v.set = 8;
    assert_int_equal(see(60, v), REBALANCE_REST);
}

static void test_only_what_resumes_is_asked(void **state)
{
    struct rebalance_view v = view(1000, 500);
    v.movable = v.own = 40;
    assert_int_equal(see(60, v), REBALANCE_BEGUN);
    assert_int_equal(r.left, 40);
    start(state);
    v.movable = v.own = REBALANCE_LEAST - 1;
    assert_int_equal(see(60, v), REBALANCE_REST);
    v.movable = v.own = 0;
    assert_int_equal(see(60, v), REBALANCE_REST);
}

static void test_each_worker_asks_its_part(void **state)
{
    struct rebalance_view v = view(1000, 500);
    v.movable = 800;
    v.own = 200;
    assert_int_equal(see(60, v), REBALANCE_BEGUN);
    assert_int_equal(r.left, 250 * 200 / 800);
}

static uint64_t seed = 42;

static uint64_t some(void)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return seed >> 20;
}

static void test_the_pace(void **state)
{
    uint64_t asked = 0, begun;
    assert_int_equal(see(60, view(3000, 1000)), REBALANCE_BEGUN);
    for (begun = now; now < begun + WINDOW; now += TICK) {
        uint64_t due = rebalance_due(&r, now);
        assert_in_range(due, 0, 2 * 1000 * TICK / WINDOW + 1);
        rebalance_asked(&r, due);
        asked += due;
        r.seen_ms = now;
        if (now == begun + WINDOW / 2)
            assert_in_range(asked, 450, 550);
    }
    assert_in_range(asked, 990, 1000);
}

static void test_no_burst_behind_a_pause(void **state)
{
    assert_int_equal(see(60, view(3000, 1000)), REBALANCE_BEGUN);
    now += WINDOW - SECOND;
    assert_int_equal(rebalance_due(&r, now), 0);                   /* what was counted is long past */
    assert_int_equal(step(view(3000, 1000)), REBALANCE_UNDER_WAY); /* and nobody was asked who could have come back */
    start(state);
    assert_int_equal(see(60, view(3000, 1000)), REBALANCE_BEGUN);
    now += WINDOW - SECOND;
    r.seen_ms = now;
    assert_in_range(rebalance_due(&r, now), 1, 2 * 1000 * 2 * TICK / WINDOW + 1);
}

static void test_what_left_by_itself_is_not_asked(void **state)
{
    assert_int_equal(see(60, view(3000, 1000)), REBALANCE_BEGUN);
    assert_int_equal(step(view(2050, 1950)), REBALANCE_UNDER_WAY);
    assert_int_equal(r.left, 50);
    assert_int_equal(step(view(2000, 2000)), REBALANCE_DONE);
}

/* A balancer that sends everybody back to where he was. */
static uint64_t futile_run(struct rebalance_view v)
{
    uint64_t asked = 0;
    enum rebalance_step s = REBALANCE_UNDER_WAY;
    while (s != REBALANCE_FUTILE) {
        for (int i = 0; i < SECOND / TICK; i++, now += TICK) {
            uint64_t due = rebalance_due(&r, now);
            rebalance_asked(&r, due);
            asked += due;
        }
        s = rebalance_on_view(&r, &v, now);
    }
    return asked;
}

static void test_what_does_not_help_is_given_up(void **state)
{
    struct rebalance_view v = view(3000, 1000);
    for (uint64_t wait = REBALANCE_WAIT_MIN_MS; wait < 2 * REBALANCE_WAIT_MAX_MS; wait *= 2) {
        uint64_t expected = MIN(wait, REBALANCE_WAIT_MAX_MS);
        assert_int_equal(see(2 * REBALANCE_WAIT_MAX_MS / SECOND, v), REBALANCE_BEGUN);
        assert_in_range(futile_run(v), 1, 1000 / 3);
        assert_int_equal(see((unsigned)(expected / SECOND) - 1, v), REBALANCE_REST);
    }
    v.set++; /* other gateways: another try */
    assert_int_equal(see(17, v), REBALANCE_BEGUN);
}

/* A mover asks no more than so many at once, and some of those it looks at may not be asked: who stayed because nobody
 * asked him did not come back. */
static void test_only_those_who_were_asked_are_judged(void **state)
{
    uint64_t here = 11000, asked = 0;
    r.conf.window_ms = SECOND;
    assert_int_equal(see(60, view(here, 1000)), REBALANCE_BEGUN);
    assert_int_equal(r.left, 5000);
    for (int i = 0; i < SECOND / TICK; i++, now += TICK) {
        uint64_t due = MIN(rebalance_due(&r, now), 64);
        rebalance_asked(&r, due);
        asked += due;
    }
    now -= SECOND;
    assert_in_range(asked, 500, 640);
    here -= asked;
    enum rebalance_step s = see(60, view(here, 1000 + asked));
    assert_true(s == REBALANCE_UNDER_WAY || s == REBALANCE_DONE);
    while (s == REBALANCE_UNDER_WAY)
        s = step(view(here, 1000 + asked));
    assert_int_equal(s, REBALANCE_DONE);
    assert_int_equal(see(60, view(here, 1000 + asked)), REBALANCE_BEGUN);
}

/* ---- a cluster ---- */

enum balancer { LEAST_CONNECTIONS, ROUND_ROBIN, STICKY };

struct sim {
    enum balancer balancer;
    unsigned gateways, next;
    uint64_t set, now;
    bool dead[GATEWAYS];                                         /* since its lease ended */
    uint64_t count[GATEWAYS][WORKERS], fixed[GATEWAYS][WORKERS]; /* fixed: of these, those that do not resume */
    struct rebalance workers[GATEWAYS][WORKERS];
    struct {
        uint64_t at;
        unsigned from;
    } away[100000];
    size_t gone, back; /* of away */
    uint64_t moved[GATEWAYS];
    unsigned runs;
};
static struct sim sim;

static uint64_t count_of(unsigned g)
{
    return sim.count[g][0] + sim.count[g][1];
}

static uint64_t moved(void)
{
    uint64_t sum = 0;
    for (unsigned g = 0; g < GATEWAYS; g++)
        sum += sim.moved[g];
    return sum;
}

static void sim_start(enum balancer b, unsigned gateways, uint64_t each)
{
    memset(&sim, 0, sizeof(sim));
    sim.balancer = b;
    sim.gateways = gateways;
    sim.now = 1000000;
    for (unsigned g = 0; g < GATEWAYS; g++)
        for (unsigned w = 0; w < WORKERS; w++)
            rebalance_init(&sim.workers[g][w], &conf);
    for (unsigned g = 0; g < gateways; g++)
        for (unsigned w = 0; w < WORKERS; w++)
            sim.count[g][w] = each / WORKERS;
}

static unsigned choose(unsigned from)
{
    unsigned best = 0;
    switch (sim.balancer) {
    case STICKY:
        return from;
    case ROUND_ROBIN:
        return sim.next++ % sim.gateways;
    case LEAST_CONNECTIONS:
        for (unsigned g = 1; g < sim.gateways; g++)
            if (count_of(g) < count_of(best))
                best = g;
    }
    return best;
}

static struct rebalance_view sim_view(unsigned g, unsigned w)
{
    struct rebalance_view v = {.gateways = sim.gateways, .set = sim.set + sim.gateways, .calm = true};
    v.least = UINT64_MAX;
    for (unsigned i = 0; i < sim.gateways; i++) {
        v.connections += count_of(i);
        v.least = MIN(v.least, count_of(i));
    }
    v.here = count_of(g);
    v.own = sim.count[g][w] - sim.fixed[g][w];
    v.movable = v.here - sim.fixed[g][0] - sim.fixed[g][1];
    return v;
}

static void send_away(unsigned g, unsigned w)
{
    struct rebalance *it = &sim.workers[g][w];
    uint64_t due = rebalance_due(it, sim.now);
    due = MIN(due, sim.count[g][w] - sim.fixed[g][w]);
    rebalance_asked(it, due);
    sim.count[g][w] -= due;
    sim.moved[g] += due;
    for (uint64_t i = 0; i < due; i++) {
        sim.away[sim.gone].at = sim.now + 100 + sim.gone % 20 * TICK; /* all but in order */
        sim.away[sim.gone++].from = g;
    }
    assert_in_range(sim.gone, 0, ARRAY_LEN(sim.away) - 1);
}

static void sim_tick(void)
{
    sim.now += TICK;
    for (; sim.back < sim.gone && sim.away[sim.back].at <= sim.now; sim.back++)
        sim.count[choose(sim.away[sim.back].from)][some() % WORKERS]++;
    for (unsigned g = 0; g < sim.gateways; g++)
        for (unsigned w = 0; w < WORKERS; w++) {
            struct rebalance_view v = sim_view(g, w);
            if (sim.now / TICK % 10 == (g + w) % 10)
                sim.runs += rebalance_on_view(&sim.workers[g][w], &v, sim.now) == REBALANCE_BEGUN;
            send_away(g, w);
        }
}

static void sim_run(unsigned seconds)
{
    for (unsigned i = 0; i < seconds * (SECOND / TICK); i++)
        sim_tick();
}

static void expect_even(uint64_t mean, uint64_t percent)
{
    for (unsigned g = 0; g < sim.gateways; g++)
        assert_in_range(count_of(g), mean * (100 - percent) / 100, mean * (100 + percent) / 100);
}

static void test_scale_out_under_least_connections(void **state)
{
    sim_start(LEAST_CONNECTIONS, 2, 5000);
    sim_run(30);
    assert_int_equal(moved(), 0);
    sim.gateways = 4;
    sim_run(58);
    expect_even(2500, 2);
    assert_in_range(moved(), 4900, 5010); /* workers that see the counts at another moment round them otherwise */
    sim_run(600);
    expect_even(2500, 2);
    assert_in_range(moved(), 4900, 5010);
}

static void test_one_more_of_many(void **state)
{
    sim_start(LEAST_CONNECTIONS, 7, 8000);
    sim.gateways = 8;
    sim_run(300);
    expect_even(7000, 2);
    assert_in_range(moved(), 6900, 7000 * 105 / 100);
}

static void test_the_emptiest_gets_no_more_than_it_lets_in(void **state)
{
    sim_start(LEAST_CONNECTIONS, 7, 8000);
    for (unsigned g = 0; g < GATEWAYS; g++)
        for (unsigned w = 0; w < WORKERS; w++)
            sim.workers[g][w].conf.arrivals = 50;
    sim.gateways = 8;
    for (uint64_t before = 0; sim.now < 1000000 + (16 + 7000 / 50 + 10) * SECOND; before = count_of(7)) {
        sim_run(1);
        assert_in_range(count_of(7) - before, 0, 2 * 50); /* what it lets in; chance has its part */
    }
    expect_even(7000, 2);
    assert_in_range(moved(), 6900, 7000 * 105 / 100);
}

static void test_those_that_do_not_resume_stay(void **state)
{
    sim_start(LEAST_CONNECTIONS, 2, 5000);
    sim.fixed[0][0] = 2500; /* all of that worker */
    sim.fixed[1][0] = sim.fixed[1][1] = 2400;
    sim.gateways = 4;
    sim_run(300);
    assert_in_range(sim.moved[0], 2400, 2500); /* by the other one */
    assert_in_range(sim.moved[1], 190, 200);
    assert_int_equal(sim.count[0][0], 2500);
}

/* Half of those who go come back to the two that have too many, so it takes several runs, each for half of what was. */
static void test_scale_out_under_round_robin(void **state)
{
    sim_start(ROUND_ROBIN, 2, 5000);
    sim.gateways = 4;
    sim_run(58);
    assert_in_range(moved(), 4900, 5010);
    expect_even(2500, 52);
    sim_run(44);
    assert_in_range(moved(), 7300, 7600);
    sim_run(300);
    expect_even(2500, 10);
    assert_in_range(moved(), 8500, 9900);
}

/* One chance in eight to land where there is room: that is not worth it. Those that go on a little while others have
 * given up see it help. */
static void test_round_robin_to_one_more(void **state)
{
    sim_start(ROUND_ROBIN, 7, 8000);
    sim.gateways = 8;
    sim_run(150); /* time for three runs */
    assert_in_range(moved(), 1, 7000);
}

static void test_a_sticky_balancer(void **state)
{
    sim_start(STICKY, 2, 5000);
    sim.gateways = 4;
    sim_run(115);
    assert_in_range(moved(), 1, 5000 / 2);
    assert_int_equal(count_of(0), 5000);
    sim_run(3600);
    assert_in_range(moved(), 1, 8 * 5000 / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_excess_must_settle, start),
        cmocka_unit_test_setup(test_the_least_excess_is_asked, start),
        cmocka_unit_test_setup(test_an_excess_that_goes_is_forgotten, start),
        cmocka_unit_test_setup(test_nothing_within_the_tolerance, start),
        cmocka_unit_test_setup(test_nothing_for_a_handful, start),
        cmocka_unit_test_setup(test_nothing_where_there_is_one_gateway, start),
        cmocka_unit_test_setup(test_nothing_when_it_is_off, start),
        cmocka_unit_test_setup(test_nothing_below_the_mean, start),
        cmocka_unit_test_setup(test_nothing_while_a_gateway_is_not_ready, start),
        cmocka_unit_test_setup(test_another_set_of_gateways_interrupts, start),
        cmocka_unit_test_setup(test_a_rolling_update_is_left_alone, start),
        cmocka_unit_test_setup(test_a_killed_gateway_is_no_excess, start),
        cmocka_unit_test_setup(test_only_what_resumes_is_asked, start),
        cmocka_unit_test_setup(test_each_worker_asks_its_part, start),
        cmocka_unit_test_setup(test_the_pace, start),
        cmocka_unit_test_setup(test_no_burst_behind_a_pause, start),
        cmocka_unit_test_setup(test_what_left_by_itself_is_not_asked, start),
        cmocka_unit_test_setup(test_what_does_not_help_is_given_up, start),
        cmocka_unit_test_setup(test_only_those_who_were_asked_are_judged, start),
        cmocka_unit_test(test_scale_out_under_least_connections),
        cmocka_unit_test(test_one_more_of_many),
        cmocka_unit_test(test_the_emptiest_gets_no_more_than_it_lets_in),
        cmocka_unit_test(test_those_that_do_not_resume_stay),
        cmocka_unit_test(test_scale_out_under_round_robin),
        cmocka_unit_test(test_round_robin_to_one_more),
        cmocka_unit_test(test_a_sticky_balancer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

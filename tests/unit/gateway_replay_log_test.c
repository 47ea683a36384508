/* What a replay thinks of Redis's answers: where a log ends, what is missing, what to read anew. */
#include "gateway/replay_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct target target = {.name_n = 1};
static struct member member = {.target = &target};
static struct replay_target rt;
static struct replay_log *const live = &rt.logs[REPLAY_LIVE], *const second = &rt.logs[REPLAY_REFILLED];

static redisReply text(const char *s)
{
    return s == NULL ? (redisReply){.type = REDIS_REPLY_NIL}
                     : (redisReply){.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t)s, .len = strlen(s)};
}

static redisReply number(long long n)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = n};
}

#define ROW_MAX 8
static redisReply *row(redisReply *elements, size_t n)
{
    static redisReply reply;
    static redisReply *pointers[ROW_MAX];
    for (size_t i = 0; i < n; i++)
        pointers[i] = &elements[i];
    reply = (redisReply){.type = REDIS_REPLY_ARRAY, .elements = n, .element = pointers};
    return &reply;
}

/* A read is asked and answered: whether it was to the end, then envelopes. */
static int answer_read(struct replay_log *log, bool ended, const char *a, const char *b)
{
    redisReply elements[] = {number(ended), text(a), text(b)};
    replay_log_look(&rt, log);
    replay_log_ask(log);
    return replay_log_take(log, row(elements, 1 + (a != NULL) + (b != NULL)));
}

static void answer_marker(const char *epoch, const char *since, const char *from, const char *refilling)
{
    redisReply elements[] = {text(epoch), text(since), text(from), text(refilling)};
    assert_int_equal(replay_marker_parse(row(elements, 4), &rt.marker), 0);
}

static enum replay_verdict judge(const char *epoch, const char *since, const char *refilling)
{
    answer_marker(epoch, since, NULL, refilling);
    return replay_target_judge(&rt, REPLAY_ALL_WAIT);
}

static int start(void **state)
{
    target.last_id = 9000;
    replay_target_init(&rt, &member, 5000, 1000);
    return 0;
}

static int stop(void **state)
{
    replay_target_release(&rt);
    return 0;
}

static void markers(void **state)
{
    struct replay_marker m;
    redisReply none[] = {text(NULL), text(NULL), text(NULL), text(NULL)};
    assert_int_equal(replay_marker_parse(row(none, 4), &m), 0);
    assert_true(m.epoch == 0 && !m.refilling);
    redisReply whole[] = {text("7"), text("5-3"), text("1700"), text("2")};
    assert_int_equal(replay_marker_parse(row(whole, 4), &m), 0);
    assert_true(m.epoch == 7 && m.since == 5003 && m.from_ms == 1700 && m.refilling);
    redisReply done[] = {text("7"), text("0"), text(NULL), text("0")};
    assert_int_equal(replay_marker_parse(row(done, 4), &m), 0);
    assert_true(m.since == 0 && m.from_ms == 0 && !m.refilling);
    redisReply bad[] = {text("x"), text("0"), text(NULL), text(NULL)};
    assert_int_equal(replay_marker_parse(row(bad, 4), &m), -1);
    redisReply without_since[] = {text("7"), text(NULL), text(NULL), text(NULL)};
    assert_int_equal(replay_marker_parse(row(without_since, 4), &m), -1);
    assert_int_equal(replay_marker_parse(row(whole, 3), &m), -1);
    assert_int_equal(replay_marker_parse(&whole[0], &m), -1);
}

static void a_log_is_read_to_what_the_channel_has_heard(void **state)
{
    assert_true(replay_log_wants(&rt, live) && !second->on);
    assert_int_equal(answer_read(live, false, "6-0 4-0 a", "7-0 6-0 b"), 0);
    assert_int_equal(judge("7", "0", NULL), REPLAY_GOES_ON);
    assert_true(live->read == 7000 && !replay_log_at_end(&rt, live) && !replay_log_wants(&rt, live));
    piece_release(&live->piece);
    assert_true(replay_log_wants(&rt, live));
    target.last_id = 9500; /* heard while the read is under way, which was asked at 9000 */
    replay_log_look(&rt, live);
    target.last_id = 9600;
    replay_log_ask(live);
    redisReply elements[] = {number(1), text("9-0 7-0 c")};
    assert_int_equal(replay_log_take(live, row(elements, 2)), 0);
    assert_int_equal(live->read, 9500); /* between 9000 and there is nothing, or it was trimmed */
    assert_false(replay_log_at_end(&rt, live));
    piece_release(&live->piece);
    assert_int_equal(answer_read(live, true, NULL, NULL), 0);
    assert_true(replay_log_at_end(&rt, live) && live->read == 9600);
}

static void answers_that_are_none(void **state)
{
    redisReply one = number(1), ok = text("OK");
    replay_log_look(&rt, live);
    replay_log_ask(live);
    assert_int_equal(replay_log_take(live, &one), -1);
    assert_int_equal(replay_log_take(live, row(&ok, 1)), -1);
    assert_int_equal(replay_log_take(live, row(&one, 0)), -1);
    replay_target_undo(&rt);
    assert_true(live->read == 5000 && piece_is_empty(&live->piece) && !live->has_first);
}

static void entries_that_are_none_of_ours(void **state)
{
    assert_int_equal(answer_read(live, false, "nonsense", "6-0 0 a"), 0);
    assert_true(live->piece.count == 1 && live->read == 6000 && !live->ended);
    piece_release(&live->piece);
    assert_int_equal(answer_read(live, false, "7-0 6-0 b", "7-0 6-0 again"), 0);
    assert_true(live->piece.count == 1 && live->read == 7000);
    piece_release(&live->piece);
    assert_int_equal(answer_read(live, false, "nonsense", "more of it"), 0);
    assert_true(live->ended && replay_log_at_end(&rt, live) && piece_is_empty(&live->piece));
}

static void complete_if_nothing_is_missing_in_front(void **state)
{
    static const struct {
        const char *first;
        uint64_t head;
        bool complete;
    } cases[] = {
        {"6-0 5-0 x", 9000, true}, {"6-0 4-0 x", 9000, true},
        {"6-0 0 x", 9000, true},   {"6-0 5-1 x", 9000, false},
        {NULL, 5000, true},        {NULL, 4000, true},
        {NULL, 0, true},           {NULL, 5001, false}, /* it was there, and is not any more */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(NULL);
        target.last_id = cases[i].head;
        answer_read(live, true, cases[i].first, NULL);
        assert_int_equal(judge("7", "0", NULL), REPLAY_GOES_ON);
        assert_int_equal(replay_target_is_complete(&rt), cases[i].complete);
        target.last_id = 99000; /* what comes later is no part of it */
        assert_int_equal(replay_target_is_complete(&rt), cases[i].complete);
        stop(NULL);
    }
}

static void a_bucket_lost_before_is_read_whole(void **state)
{
    answer_read(live, true, "8-0 0 new", NULL);
    assert_int_equal(judge("8", "7-0", "3"), REPLAY_MUST_WAIT);
    assert_true(rt.waiting && second->on && piece_is_empty(&live->piece));
    assert_true(live->read == 1000 && second->read == 0 && !replay_log_wants(&rt, second));
    assert_int_equal(judge("8", "7-0", "1"), REPLAY_MUST_WAIT);
    assert_int_equal(judge("8", "7-0", "0"), REPLAY_STARTS_ANEW);
    assert_true(replay_log_wants(&rt, second) && replay_log_wants(&rt, live));
    answer_read(second, true, "8-5 0 old", NULL);
    answer_read(live, true, "8-0 0 new", NULL);
    assert_int_equal(judge("8", "7-0", "0"), REPLAY_GOES_ON);
    assert_true(replay_target_is_complete(&rt));
    assert_true(replay_log_at_end(&rt, second));
}

static void a_bucket_lost_earlier_is_not(void **state)
{
    answer_read(live, true, "8-0 5-0 new", NULL);
    assert_int_equal(judge("8", "5-0", "3"), REPLAY_GOES_ON);
    assert_true(!second->on && replay_target_is_complete(&rt));
}

static void incomplete_refills(void **state)
{
    static const struct {
        const char *since, *from, *refilling, *second, *live;
        bool complete;
    } cases[] = {
        {"7-0", NULL, "0", "8-0 0 x", "9-0 0 y", true},
        {"7-0", "4", "0", "8-0 0 x", "9-0 0 y", true},
        {"7-0", "6", "0", "8-0 0 x", "9-0 0 y", false},
        {"7-0", NULL, "1", "8-0 0 x", "9-0 0 y", false},
        {"7-0", NULL, "0", "8-0 7-0 x", "9-0 0 y", false},
        {"7-0", NULL, "0", "8-0 0 x", "9-0 8-0 y", false},
        {"7-0", NULL, "0", NULL, NULL, true},
        {"0-900", NULL, "0", NULL, NULL, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start(NULL);
        answer_marker("8", cases[i].since, cases[i].from, cases[i].refilling);
        if (rt.marker.since > rt.start)
            assert_int_equal(replay_target_judge(&rt, REPLAY_NONE_WAITS), REPLAY_STARTS_ANEW);
        answer_read(second, true, cases[i].second, NULL);
        target.last_id = cases[i].live != NULL ? 9000 : 5000;
        answer_read(live, true, cases[i].live, NULL);
        assert_int_equal(replay_target_judge(&rt, REPLAY_NONE_WAITS), REPLAY_GOES_ON);
        assert_int_equal(replay_target_is_complete(&rt), cases[i].complete);
        stop(NULL);
    }
}

/* Longer ago than events are kept: nobody can refill what came before. */
static void a_loss_beyond_the_retention(void **state)
{
    replay_target_init(&rt, &member, 500, 1000);
    assert_int_equal(judge("8", "0-900", NULL), REPLAY_STARTS_ANEW);
    answer_read(live, true, "6-0 0 x", NULL);
    assert_int_equal(judge("8", "0-900", NULL), REPLAY_GOES_ON);
    assert_false(replay_target_is_complete(&rt));
}

static void a_bucket_lost_in_the_midst_of_it(void **state)
{
    answer_read(live, false, "6-0 5-0 a", NULL);
    assert_int_equal(judge("7", "0", NULL), REPLAY_GOES_ON);
    piece_release(&live->piece);
    answer_read(live, true, NULL, NULL); /* already of an empty Redis */
    assert_int_equal(judge(NULL, NULL, NULL), REPLAY_MUST_WAIT);
    assert_true(live->read == 6000 && !live->ended); /* that end is not believed */
    answer_read(live, true, NULL, NULL);
    assert_int_equal(judge("8", "9-0", "1"), REPLAY_MUST_WAIT);
    assert_int_equal(judge("8", "9-0", "0"), REPLAY_STARTS_ANEW);
    assert_true(replay_log_wants(&rt, second) && live->read == 1000);
}

static void a_marker_that_nobody_makes(void **state)
{
    assert_int_equal(judge(NULL, NULL, NULL), REPLAY_MUST_WAIT);
    assert_int_equal(replay_target_judge(&rt, REPLAY_IT_WAITS), REPLAY_GOES_ON);
    assert_false(replay_target_is_complete(&rt));
    assert_true(rt.unmarked);
    answer_read(live, true, "6-0 5-0 a", NULL);
    assert_int_equal(replay_target_judge(&rt, REPLAY_IT_WAITS), REPLAY_GOES_ON);
    assert_true(rt.unmarked && piece_is_empty(&live->piece)); /* nothing of it is given */
    assert_int_equal(replay_target_judge(&rt, REPLAY_NONE_WAITS), REPLAY_GOES_ON);
    assert_false(rt.unmarked);
    answer_read(live, true, "6-0 5-0 a", NULL);
    assert_int_equal(judge(NULL, NULL, NULL), REPLAY_GOES_ON); /* in the end what there is; it is not asked again */
    assert_false(rt.unmarked || piece_is_empty(&live->piece));
    assert_int_equal(judge("8", "9-0", "1"), REPLAY_MUST_WAIT); /* unless there is one after all */
}

/* Lost once more while it was being refilled. */
static void a_marker_that_goes_again(void **state)
{
    assert_int_equal(judge("8", "9-0", "1"), REPLAY_MUST_WAIT);
    assert_int_equal(judge(NULL, NULL, NULL), REPLAY_MUST_WAIT);
    assert_int_equal(replay_target_judge(&rt, REPLAY_IT_WAITS), REPLAY_GOES_ON);
    assert_true(rt.unmarked);
    assert_false(replay_target_is_complete(&rt));
    assert_int_equal(judge("9", "12-0", "1"), REPLAY_MUST_WAIT);
    assert_int_equal(judge("9", "12-0", "0"), REPLAY_STARTS_ANEW);
    assert_true(!rt.unmarked && replay_log_wants(&rt, second));
}

static void a_marker_that_is_made_late(void **state)
{
    answer_marker(NULL, NULL, NULL, NULL);
    assert_int_equal(replay_target_judge(&rt, REPLAY_IT_WAITS), REPLAY_GOES_ON);
    assert_int_equal(judge("8", "9-0", "1"), REPLAY_MUST_WAIT);
    assert_false(rt.unmarked);
    assert_int_equal(judge("8", "9-0", "0"), REPLAY_STARTS_ANEW);
    assert_true(replay_log_wants(&rt, second));
}

static void counting(void **state)
{
    redisReply first[] = {number(2000), number(0), number(5000)}, more[] = {number(2000), number(70), number(6000)},
               last[] = {number(3000), number(8), number(0)};
    assert_int_equal(replay_log_take_count(live, row(first, 3)), 0);
    assert_true(live->opened && !live->counted && live->count_from == 5000);
    assert_int_equal(replay_log_take_count(live, row(more, 3)), 0);
    assert_true(!live->counted && live->count_from == 6000);
    assert_int_equal(replay_log_take_count(live, row(last, 3)), 0);
    assert_true(live->counted && live->count == 78 && live->oldest == 2000);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(markers),
        LOG_TEST(a_log_is_read_to_what_the_channel_has_heard),
        LOG_TEST(answers_that_are_none),
        LOG_TEST(entries_that_are_none_of_ours),
        LOG_TEST(complete_if_nothing_is_missing_in_front),
        LOG_TEST(a_bucket_lost_before_is_read_whole),
        LOG_TEST(a_bucket_lost_earlier_is_not),
        LOG_TEST(incomplete_refills),
        LOG_TEST(a_loss_beyond_the_retention),
        LOG_TEST(a_bucket_lost_in_the_midst_of_it),
        LOG_TEST(a_marker_that_nobody_makes),
        LOG_TEST(a_marker_that_is_made_late),
        LOG_TEST(a_marker_that_goes_again),
        LOG_TEST(counting),
    };
    return cmocka_run_group_tests_name("replay_log", tests, NULL, NULL);
}

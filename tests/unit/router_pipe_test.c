/* The pipe against a model of the function library that fails at random moments in every way it can: nothing is
 * skipped, nothing comes twice, nothing overtakes. The link is a stand-in for redis_commands_send, without a socket. */
#include "common/log.h"
#include "common/mp.h"
#include "router/pipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define CALLS 400

/* ---- the node ---- */

struct sent {
    char function[16];
    char pipe[40];
    uint64_t seq, epoch, offset;
};

enum mood { FINE, OUT_OF_MEMORY, NO_LIBRARY, MOVED, MOOD_COUNT };

static struct sent wire[4 * CALLS * 64];
static size_t wire_head, wire_tail;
static enum mood mood;
static char known_pipe[40];
static uint64_t known_seq, node_epoch;
static uint64_t applied[2 * CALLS];
static size_t applied_count, published, beats, marks;
static redis_reply_cb reply_to;
static void *reply_arg;

static struct slice header_of(const struct slice *argv, size_t argc)
{
    if (slice_eq(argv[1], SLICE("tg1_append")))
        return argv[argc - 3];
    return argv[argc - (slice_eq(argv[1], SLICE("tg1_publish")) ? 2 : 1)];
}

int redis_commands_send(struct redis_commands *rc, const struct slice *argv, size_t argc, redis_reply_cb cb, void *arg)
{
    struct sent *s = &wire[wire_tail++];
    struct slice header = header_of(argv, argc), name, part;
    uint64_t n, turn;
    assert_true(wire_tail < ARRAY_LEN(wire));
    snprintf(s->function, sizeof(s->function), "%.*s", SLICE_ARG(argv[1]));
    assert_int_equal(mp_read_str(&header, &name), 0);
    assert_int_equal(mp_read_uint(&header, &s->seq), 0);
    snprintf(s->pipe, sizeof(s->pipe), "%.*s", SLICE_ARG(name));
    if (slice_eq(argv[1], SLICE("tg1_append"))) {
        assert_int_equal(mp_read_uint(&header, &turn), 0);
        assert_int_equal(turn, 1);
        assert_int_equal(mp_read_uint(&header, &s->epoch), 0);
        assert_int_equal(mp_read_str(&header, &part), 0);
        assert_int_equal(mp_read_uint(&header, &n), 0);
        assert_int_equal(mp_read_uint(&header, &s->offset), 0);
    }
    reply_to = cb;
    reply_arg = arg;
    return 0;
}

static void answer_error(const char *text)
{
    redisReply reply = {.type = REDIS_REPLY_ERROR, .str = (char *)text, .len = strlen(text)};
    reply_to(reply_arg, &reply);
}

static void answer(long long value)
{
    redisReply reply = {.type = REDIS_REPLY_INTEGER, .integer = value};
    reply_to(reply_arg, &reply);
}

static void carry_out(const struct sent *s)
{
    strcpy(known_pipe, s->pipe);
    known_seq = s->seq;
    if (strcmp(s->function, "tg1_append") == 0) {
        assert_true(applied_count < ARRAY_LEN(applied));
        applied[applied_count++] = s->offset;
    }
    published += strcmp(s->function, "tg1_publish") == 0;
    beats += strcmp(s->function, "tg1_beat") == 0;
    marks += strcmp(s->function, "tg1_mark") == 0;
    answer(1000 + (long long)applied_count);
}

/* Carries out the next command as the node would. */
static void serve_one(void)
{
    const struct sent *s = &wire[wire_head++];
    bool known = strcmp(s->pipe, known_pipe) == 0;
    if (mood == OUT_OF_MEMORY)
        answer_error("OOM command not allowed when used memory > 'maxmemory'.");
    else if (mood == NO_LIBRARY)
        answer_error("ERR Function not found");
    else if (mood == MOVED)
        answer_error("MOVED 24 127.0.0.1:7001");
    else if (s->seq != (known ? known_seq : 0) + 1)
        answer_error("TGPIPE 1");
    else if (strcmp(s->function, "tg1_append") == 0 && s->epoch != node_epoch)
        answer_error("TGEPOCH 7");
    else
        carry_out(s);
}

/* ---- the router's side ---- */

static struct loop loop;
static struct redis_commands commands;
static char label[] = "test";
static uint64_t epochs[TARGET_BUCKETS];
static struct pipe p;
static struct partition *partition;
static size_t confirmed;
static uint64_t next_confirmed;
static bool steps_of_two; /* every other call went elsewhere */
static enum redis_fn_result closed_for;

static void on_confirmed(struct pipe *pipe, const struct pipe_call *call, bool duplicate, uint64_t latency_us)
{
    assert_false(duplicate);
    assert_int_equal(call->offset, next_confirmed);
    next_confirmed = call->offset + (steps_of_two ? 2 : 1);
    confirmed++;
}

static void on_open(struct pipe *pipe)
{
}

static void on_refused(struct pipe *pipe, enum redis_fn_result why)
{
}

static void on_closed(struct pipe *pipe, enum redis_fn_result why)
{
    closed_for = why;
}

static unsigned stills;

static void on_still(struct pipe *pipe)
{
    stills++;
}

static const struct pipe_ops ops = {.on_confirmed = on_confirmed,
                                    .on_open = on_open,
                                    .on_refused = on_refused,
                                    .on_closed = on_closed,
                                    .on_still = on_still};

static void repair(void)
{
    if (p.state != PIPE_CLOSED)
        return;
    if (closed_for == REDIS_FN_MISSING && mood == NO_LIBRARY)
        mood = FINE;
    for (size_t i = 0; i < TARGET_BUCKETS; i++)
        epochs[i] = node_epoch;
    pipe_open(&p);
}

static void fire_retry(void)
{
    if (!timer_is_armed(&p.retry))
        return;
    timer_stop(&p.retry);
    p.retry.on_fire(&p.retry);
}

static void push_to(unsigned bucket, uint64_t offset, enum pipe_kind kind)
{
    struct body *body = body_new(3);
    memcpy(body->bytes, "u:1", 3);
    partition_ref(partition);
    struct pipe_call call = {.kind = kind,
                             .bucket = bucket,
                             .target = {body->bytes, 3},
                             .envelope = {body->bytes, 3},
                             .body = body,
                             .step = {.partition = partition, .round = partition->round + 1}, /* of an old round */
                             .offset = offset,
                             .maxlen = 10,
                             .ttl_ms = 1000};
    pipe_push(&p, &call);
}

static void push(uint64_t offset, enum pipe_kind kind)
{
    push_to(1, offset, kind);
}

static uint64_t given[CALLS];
static size_t given_count;

static void give(void *arg, const struct pipe_call *call)
{
    struct pipe_call taken = *call;
    given[given_count++] = call->offset;
    body_unref(taken.body);
    partition_unref(taken.step.partition);
}

static int setup(void **state)
{
    wire_head = wire_tail = applied_count = published = beats = marks = confirmed = 0;
    next_confirmed = known_seq = 0;
    known_pipe[0] = '\0';
    mood = FINE;
    node_epoch = 5;
    loop = (struct loop){.now_ms = 1};
    list_init(&loop.timers);
    commands = (struct redis_commands){.link = {.label = label}};
    partition = partition_new("t", 0);
    pipe_init(&p, &loop, &commands, &ops, NULL, epochs);
    closed_for = REDIS_FN_OK;
    stills = 0;
    steps_of_two = false;
    given_count = 0;
    return 0;
}

static int teardown(void **state)
{
    pipe_release(&p);
    assert_int_equal(partition->refs, 1);
    partition_unref(partition);
    return 0;
}

static void serve_all(void)
{
    while (wire_head < wire_tail)
        serve_one();
}

static void test_a_name_starts_with_a_beat(void **state)
{
    repair();
    push(0, PIPE_APPEND);
    assert_int_equal(wire_tail, 1);
    assert_string_equal(wire[0].function, "tg1_beat");
    assert_int_equal(wire[0].seq, 1);
    assert_true(strlen(wire[0].pipe) >= 16);
    serve_one();
    assert_int_equal(wire_tail, 2);
    assert_int_equal(wire[1].seq, 2);
    serve_one();
    assert_int_equal(confirmed, 1);
    assert_int_equal(p.appends, 0);
    assert_int_equal(p.bytes, 0);
}

static void test_an_error_resends_from_the_call_that_failed(void **state)
{
    repair();
    serve_all();
    for (uint64_t i = 0; i < 10; i++)
        push(i, PIPE_APPEND);
    for (int i = 0; i < 4; i++)
        serve_one();
    mood = OUT_OF_MEMORY;
    serve_one();
    mood = FINE; /* what is behind it must not be carried out although the node could */
    serve_all();
    assert_int_equal(applied_count, 4);
    assert_true(p.refused);
    assert_memory_equal(p.refusal, "OOM", 3);
    char first_name[40];
    strcpy(first_name, p.name);
    fire_retry();
    assert_string_not_equal(p.name, first_name);
    serve_all();
    assert_int_equal(applied_count, 10);
    assert_int_equal(confirmed, 10);
    assert_false(p.refused);
}

static void test_marks_are_not_sent_again(void **state)
{
    const struct redis_fn_watermark mark = {.part = SLICE("t#1/0"), .offset = 1};
    assert_false(pipe_mark(&p, 3, &mark, 1));
    repair();
    serve_all();
    push(0, PIPE_APPEND);
    assert_true(pipe_mark(&p, 3, &mark, 1));
    push(1, PIPE_APPEND);
    mood = OUT_OF_MEMORY;
    serve_one();
    mood = FINE;
    serve_all();
    fire_retry();
    serve_all();
    assert_int_equal(applied_count, 2);
    assert_int_equal(marks, 0);
}

static void test_another_epoch_waits_for_the_owner(void **state)
{
    repair();
    serve_all();
    node_epoch = 7;
    push(0, PIPE_APPEND);
    push(1, PIPE_APPEND);
    serve_all();
    assert_int_equal(p.state, PIPE_CLOSED);
    assert_int_equal(closed_for, REDIS_FN_EPOCH);
    push(2, PIPE_APPEND);
    assert_int_equal(wire_head, wire_tail);
    repair();
    serve_all();
    assert_int_equal(applied_count, 3);
}

static void test_held_sends_nothing_new(void **state)
{
    repair();
    serve_all();
    push(0, PIPE_APPEND);
    pipe_hold(&p, true);
    push(1, PIPE_APPEND);
    serve_all();
    assert_int_equal(confirmed, 1);
    pipe_hold(&p, false);
    serve_all();
    assert_int_equal(confirmed, 2);
}

/* Bucket 1 stays, bucket 2 goes to another node. */
static void test_calls_go_with_their_bucket(void **state)
{
    uint16_t home[TARGET_BUCKETS] = {[2] = 1};
    repair();
    serve_all();
    for (uint64_t i = 0; i < 10; i++)
        push_to(1 + i % 2, i, PIPE_APPEND);
    pipe_calm(&p, true);
    assert_false(pipe_is_still(&p));
    for (uint64_t i = 10; i < 20; i++)
        push_to(1 + i % 2, i, PIPE_APPEND);
    const struct redis_fn_watermark mark = {.part = SLICE("t#1/0"), .offset = 1};
    assert_false(pipe_mark(&p, 3, &mark, 1));
    serve_all();
    assert_int_equal(stills, 1);
    assert_int_equal(confirmed, 10);
    pipe_give_away(&p, home, 0, give, NULL);
    assert_int_equal(given_count, 5);
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(given[i], 11 + 2 * i);
    assert_int_equal(p.appends, 5);
    assert_int_equal(p.bytes, 5 * 3);
    steps_of_two = true;
    pipe_calm(&p, false);
    serve_all();
    assert_int_equal(confirmed, 15);
    assert_int_equal(applied[14], 18);
}

/* The node refuses in the middle: all that is left of the bucket goes, in order, with what was refused first. */
static void test_refused_calls_go_with_their_bucket(void **state)
{
    uint16_t home[TARGET_BUCKETS] = {[2] = 1};
    repair();
    serve_all();
    for (uint64_t i = 0; i < 4; i++)
        push_to(1, i, PIPE_APPEND);
    for (uint64_t i = 4; i < 8; i++)
        push_to(2, i, PIPE_APPEND);
    for (int i = 0; i < 4; i++)
        serve_one();
    mood = MOVED;
    serve_one();
    mood = FINE;
    pipe_calm(&p, true);
    assert_false(pipe_is_still(&p)); /* replies of those behind are still to come */
    serve_all();
    assert_int_equal(stills, 1);
    pipe_give_away(&p, home, 0, give, NULL);
    assert_int_equal(given_count, 4);
    assert_int_equal(given[0], 4);
    assert_int_equal(p.count, 0);
    pipe_calm(&p, false);
    assert_int_equal(p.retry.due_ms - loop.now_ms, 50);
    fire_retry();
    serve_all();
    assert_int_equal(p.state, PIPE_OPEN);
    assert_int_equal(confirmed, 4);
}

static void test_closing_drops_all(void **state)
{
    repair();
    serve_all();
    for (uint64_t i = 0; i < 5; i++)
        push(i, PIPE_APPEND);
    pipe_close(&p);
    assert_int_equal(p.appends, 0);
    assert_int_equal(p.count, 0);
    wire_head = wire_tail;
    next_confirmed = 5;
    repair();
    push(5, PIPE_APPEND);
    serve_all();
    assert_int_equal(confirmed, 1);
}

static void test_abandoning_counts_replies_off(void **state)
{
    repair();
    pipe_abandon(&p); /* the beat is under way */
    assert_int_equal(p.state, PIPE_BROKEN);
    serve_all();
    assert_int_equal(p.state, PIPE_CLOSED);
    repair();
    serve_all();
    for (uint64_t i = 0; i < 5; i++)
        push(i, PIPE_APPEND);
    serve_one();
    serve_one();
    push(5, PIPE_APPEND);
    pipe_abandon(&p);
    assert_int_equal(p.appends, 0);
    node_epoch = 7; /* what is under way was sent for another one */
    push(2, PIPE_APPEND);
    closed_for = REDIS_FN_OK;
    serve_all();
    assert_int_equal(closed_for, REDIS_FN_MARKER);
    assert_int_equal(applied_count, 2);
    repair();
    serve_all();
    assert_int_equal(applied_count, 3);
    assert_int_equal(applied[2], 2);
    pipe_abandon(&p);
    assert_int_equal(p.state, PIPE_CLOSED);
}

static void shake(unsigned seed)
{
    static const enum mood moods[] = {FINE, FINE, FINE, OUT_OF_MEMORY, NO_LIBRARY};
    srandom(seed);
    uint64_t next = 0;
    size_t publishes = 0;
    const struct redis_fn_watermark mark = {.part = SLICE("t#1/0"), .offset = 1};
    for (unsigned steps = 0; confirmed < CALLS; steps++) {
        for (long k = random() % 5; k > 0 && next < CALLS; k--) {
            enum pipe_kind kind = random() % 8 == 0 ? PIPE_PUBLISH : PIPE_APPEND;
            publishes += kind == PIPE_PUBLISH;
            push(next++, kind);
        }
        if (random() % 10 == 0)
            pipe_mark(&p, 1, &mark, 1);
        if (random() % 20 == 0)
            known_pipe[0] = '\0'; /* the library was loaded anew: it knows no pipes */
        if (random() % 50 == 0)
            node_epoch++;
        for (long k = random() % 9; k > 0 && wire_head < wire_tail; k--) {
            mood = next < CALLS || confirmed < CALLS / 2 ? moods[(size_t)random() % ARRAY_LEN(moods)] : FINE;
            serve_one();
        }
        if (random() % 3 == 0)
            fire_retry();
        if (random() % 3 == 0)
            repair();
        assert_true(steps < 100000);
    }
    size_t appends = 0;
    assert_int_equal(published, publishes);
    assert_int_equal(applied_count + published, CALLS);
    for (size_t i = 1; i < applied_count; i++, appends++)
        assert_true(applied[i] > applied[i - 1]);
}

static void test_nothing_is_lost_repeated_or_overtaken(void **state)
{
    for (unsigned seed = 1; seed <= 40; seed++) {
        shake(seed);
        teardown(state);
        setup(state);
    }
}

int main(void)
{
    log_set_threshold(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_name_starts_with_a_beat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_error_resends_from_the_call_that_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marks_are_not_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_epoch_waits_for_the_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_held_sends_nothing_new, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_go_with_their_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_calls_go_with_their_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_drops_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abandoning_counts_replies_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_lost_repeated_or_overtaken, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

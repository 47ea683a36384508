/* Calls as bytes, and what replies mean. That Redis understands the calls is tested in system/test_redis_fn.py. */
#include "common/redis_fn.h"
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PIPE ((struct redis_fn_pipe){SLICE("p1"), 3})

static void assert_call(const struct redis_fn_call *call, const struct slice *expected, size_t n)
{
    assert_int_equal(call->argc, n);
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(call->argv[i], expected[i]))
            fail_msg("argument %zu is %.*s", i, SLICE_ARG(call->argv[i]));
    }
}
#define ASSERT_CALL(call, ...)                                                                                         \
    do {                                                                                                               \
        const struct slice expected_[] = {__VA_ARGS__};                                                                \
        assert_call((call), expected_, ARRAY_LEN(expected_));                                                          \
    } while (0)

static struct redis_fn_append an_append(void)
{
    return (struct redis_fn_append){
        .pipe = PIPE,
        .turn = 6,
        .target = SLICE("u:1"),
        .bucket = 0,
        .epoch = 7,
        .part = SLICE("t#0/1"),
        .offset = 300,
        .n = 2,
        .maxlen = 1000,
        .ttl_ms = 60000,
        .body = SLICE("BODY"),
    };
}

static void append_names_keys_then_header_channel_body(void **state)
{
    struct redis_fn_call call = {0};
    struct redis_fn_append a = an_append();
    redis_fn_append(&call, &a);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_append"), SLICE("3"), SLICE("tg:{46920}:l:u:1"),
                SLICE("tg:{46920}:m:u:1"), SLICE("tg:{46920}:b"),
                SLICE("\xa2p1\x03\x06\x07\xa5t#0/1\x02\xcd\x01\x2c\xa4"
                      "1000\xcd\xea\x60"),
                SLICE("tg:{46920}:c:u:1"), SLICE("BODY"));

    a.key = SLICE("K");
    a.window_ms = 5;
    a.kafka_ms = 6;
    redis_fn_append(&call, &a);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_append"), SLICE("4"), SLICE("tg:{46920}:l:u:1"),
                SLICE("tg:{46920}:m:u:1"), SLICE("tg:{46920}:b"), SLICE("tg:{46920}:k:u:1"),
                SLICE("\xa2p1\x03\x06\x07\xa5t#0/1\x02\xcd\x01\x2c\xa4"
                      "1000\xcd\xea\x60\xa1K\x05\x06"),
                SLICE("tg:{46920}:c:u:1"), SLICE("BODY"));
    redis_fn_call_release(&call);
}

static void a_refill_goes_to_the_second_log_of_a_part_of_its_own(void **state)
{
    struct redis_fn_call call = {0};
    struct redis_fn_append a = an_append();
    redis_fn_refill(&call, &a);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_refill"), SLICE("3"), SLICE("tg:{46920}:h:u:1"),
                SLICE("tg:{46920}:j:u:1"), SLICE("tg:{46920}:b"),
                SLICE("\xa2p1\x03\x06\x07\xa6~t#0/1\x02\xcd\x01\x2c\xa4"
                      "1000\xcd\xea\x60"),
                SLICE("BODY"));
    a.key = SLICE("K");
    redis_fn_refill(&call, &a);
    assert_true(slice_eq(call.argv[6], SLICE("tg:{46920}:i:u:1")));
    redis_fn_call_release(&call);
}

static void a_call_is_made_anew_each_time(void **state)
{
    struct redis_fn_call call = {0};
    struct redis_fn_append a = an_append();
    a.pipe = (struct redis_fn_pipe){SLICE(""), 0};
    a.part = SLICE("");
    a.maxlen = 18446744073709551615u;
    for (unsigned i = 0; i < 3; i++)
        redis_fn_append(&call, &a);
    assert_int_equal(call.argc, 9);
    assert_true(slice_eq(call.argv[6], SLICE("\xa0\x00\x06\x07\xa0\x02\xcd\x01\x2c\xb4"
                                             "18446744073709551615\xcd\xea\x60")));
    redis_fn_call_release(&call);
    assert_null(call.header.p);
}

static void the_other_calls(void **state)
{
    struct redis_fn_call call = {0};
    redis_fn_publish(&call, PIPE, 0, SLICE("u:1"), SLICE("BODY"));
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_publish"), SLICE("1"), SLICE("tg:{46920}:c:u:1"), SLICE("\xa2p1\x03"),
                SLICE("BODY"));

    const struct redis_fn_watermark marks[] = {{.part = SLICE("a#0/0"), .offset = 5},
                                               {.part = SLICE("b#0/0"), .offset = 200}};
    redis_fn_mark(&call, PIPE, 1, 9, REDIS_FN_SINCE_NOW, marks, 2);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_mark"), SLICE("1"), SLICE("tg:{50482}:b"),
                SLICE("\xa2p1\x03\x09\x01\xa5"
                      "a#0/0\x05\xa5"
                      "b#0/0\xcc\xc8"));
    const struct redis_fn_watermark fields[] = {{SLICE("a"), 5, REDIS_FN_BOUND},
                                                {SLICE("b"), 5, REDIS_FN_UNBOUND},
                                                {SLICE("c"), 6, REDIS_FN_REFILLED},
                                                {.offset = 7, .field = REDIS_FN_FROM}};
    redis_fn_mark(&call, PIPE, 1, 9, REDIS_FN_MUST_EXIST, fields, ARRAY_LEN(fields));
    assert_true(slice_eq(call.argv[4], SLICE("\xa2p1\x03\x09\x00\xa3r:a\x05\xa3r:b\xa1?\xa2~c\x06\xa4"
                                             "from\x07")));
    redis_fn_mark(&call, PIPE, 1, 9, REDIS_FN_MUST_EXIST, NULL, 0);
    assert_true(slice_eq(call.argv[4], SLICE("\xa2p1\x03\x09\x00")));

    redis_fn_beat(&call, PIPE, 1, 77);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_beat"), SLICE("1"), SLICE("tg:{50482}:beat"),
                SLICE("\xa2p1\x03\x4d"));

    redis_fn_version(&call);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_version"), SLICE("0"));
    redis_fn_load(&call, false);
    ASSERT_CALL(&call, SLICE("FUNCTION"), SLICE("LOAD"), redis_fn_source());
    redis_fn_load(&call, true);
    ASSERT_CALL(&call, SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"), redis_fn_source());
    redis_fn_call_release(&call);
}

static void reading_and_counting(void **state)
{
    struct redis_fn_call call = {0};
    redis_fn_read(&call, TARGET_LOG, 0, SLICE("u:1"), 300, 5, 6);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_read"), SLICE("1"), SLICE("tg:{46920}:l:u:1"),
                SLICE("\xcd\x01\x2c\x05\x06"));
    redis_fn_count(&call, TARGET_REFILLED, 0, SLICE("u:1"), 7, 8, 9);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_count"), SLICE("1"), SLICE("tg:{46920}:h:u:1"),
                SLICE("\x07\x08\x09"));
    redis_fn_call_release(&call);

    redisReply numbers[3], *row[3];
    for (unsigned i = 0; i < 3; i++) {
        numbers[i] = (redisReply){.type = REDIS_REPLY_INTEGER, .integer = i + 1};
        row[i] = &numbers[i];
    }
    redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = row};
    struct redis_fn_count counted;
    assert_int_equal(redis_fn_count_parse(&reply, &counted), 0);
    assert_true(counted.oldest == 1 && counted.count == 2 && counted.next == 3);
    numbers[1].integer = -1;
    assert_int_equal(redis_fn_count_parse(&reply, &counted), -1);
    reply.elements = 2;
    assert_int_equal(redis_fn_count_parse(&reply, &counted), -1);
    assert_int_equal(redis_fn_count_parse(&numbers[0], &counted), -1);
}

static void cursors(void **state)
{
    struct redis_fn_call call = {0};
    const struct redis_fn_device devices[] = {{SLICE("tv"), 5, false}, {SLICE("x"), 200, true}};
    redis_fn_cursor(&call, 0, SLICE("u:1"), 3, 4, devices, 2);
    ASSERT_CALL(&call, SLICE("FCALL"), SLICE("tg1_cursor"), SLICE("1"), SLICE("tg:{46920}:d:u:1"),
                SLICE("\x03\x04\xa2tv\x05\x00\xa1x\xcc\xc8\x01"));
    redis_fn_call_release(&call);

    struct redis_fn_cursor c;
    assert_int_equal(redis_fn_cursor_parse(SLICE("1700000000000-1 1700000000099 1"), &c), 0);
    assert_true(c.position == 1700000000000001 && c.seen_ms == 1700000000099 && c.acks);
    assert_int_equal(redis_fn_cursor_parse(SLICE("0 5 0"), &c), 0);
    assert_true(c.position == 0 && c.seen_ms == 5 && !c.acks);
    static const char *const bad[] = {"", "0", "0 5", "0 5 ", "0 x 0", "1 5 0", "0 5 0 0", " 0 5 0"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(redis_fn_cursor_parse(slice_of(bad[i]), &c), -1);
}

static void heads_are_resp(void **state)
{
    struct buf out = {0};
    const struct slice targets[] = {SLICE("u:1"), SLICE("g")};
    redis_fn_heads(&out, 0, targets, 2);
    assert_true(slice_eq(buf_slice(&out), SLICE("*5\r\n$5\r\nFCALL\r\n$9\r\ntg1_heads\r\n$1\r\n2\r\n"
                                                "$16\r\ntg:{46920}:m:u:1\r\n$14\r\ntg:{46920}:m:g\r\n")));
    buf_release(&out);
}

static void the_source_is_whole_and_versioned(void **state)
{
    struct slice source = redis_fn_source();
    assert_true(slice_starts(source, SLICE("#!lua name=" REDIS_FN_LIBRARY "\n")));
    assert_int_equal(source.p[source.n - 1], '\n');
    assert_int_equal(strlen(source.p), source.n);
    assert_true(redis_fn_source_version() >= 1);
    const char *functions[] = {"tg1_append", "tg1_refill", "tg1_publish", "tg1_mark",   "tg1_beat",
                               "tg1_heads",  "tg1_read",   "tg1_count",   "tg1_cursor", "tg1_version"};
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        assert_non_null(strstr(source.p, functions[i]));
}

static redisReply an_error(const char *text)
{
    return (redisReply){.type = REDIS_REPLY_ERROR, .str = (char *)(uintptr_t)text, .len = strlen(text)};
}

static redisReply an_integer(long long value)
{
    return (redisReply){.type = REDIS_REPLY_INTEGER, .integer = value};
}

static void only_an_older_library_is_replaced(void **state)
{
    long long ours = redis_fn_source_version();
    redisReply older = an_integer(ours - 1), same = an_integer(ours), newer = an_integer(ours + 1);
    redisReply missing = an_error("ERR Function not found"), loading = an_error("LOADING Redis is loading");
    assert_int_equal(redis_fn_after_version(&older), REDIS_FN_LOAD_REPLACE);
    assert_int_equal(redis_fn_after_version(&same), REDIS_FN_READY);
    assert_int_equal(redis_fn_after_version(&newer), REDIS_FN_READY);
    assert_int_equal(redis_fn_after_version(&missing), REDIS_FN_LOAD);
    assert_int_equal(redis_fn_after_version(&loading), REDIS_FN_FAILED);
    assert_int_equal(redis_fn_after_version(NULL), REDIS_FN_FAILED);

    redisReply loaded = {.type = REDIS_REPLY_STRING, .str = (char *)(uintptr_t) "tidegate", .len = 8};
    redisReply raced = an_error("ERR Library 'tidegate' already exists");
    redisReply oom = an_error("OOM command not allowed when used memory > 'maxmemory'.");
    assert_int_equal(redis_fn_after_load(&loaded), REDIS_FN_READY);
    assert_int_equal(redis_fn_after_load(&raced), REDIS_FN_ASK);
    assert_int_equal(redis_fn_after_load(&oom), REDIS_FN_FAILED);
    assert_int_equal(redis_fn_after_load(NULL), REDIS_FN_FAILED);
}

static void errors_are_told_apart(void **state)
{
    const struct {
        const char *text;
        enum redis_fn_result result;
        uint64_t value;
    } cases[] = {
        {"TGPIPE 4", REDIS_FN_PIPE, 4},
        {"TGEPOCH 9007199254740991", REDIS_FN_EPOCH, 9007199254740991},
        {"TGMARKER missing", REDIS_FN_MARKER, 0},
        {"ERR Function not found", REDIS_FN_MISSING, 0},
        {"OOM command not allowed when used memory > 'maxmemory'.", REDIS_FN_RETRY, 0},
        {"NOREPLICAS Not enough good replicas to write.", REDIS_FN_RETRY, 0},
        {"MISCONF Redis is configured to save RDB snapshots", REDIS_FN_RETRY, 0},
        {"READONLY You can't write against a read only replica.", REDIS_FN_RETRY, 0},
        {"LOADING Redis is loading the dataset in memory", REDIS_FN_RETRY, 0},
        {"BUSY Redis is busy running a script.", REDIS_FN_RETRY, 0},
        {"MASTERDOWN Link with MASTER is down", REDIS_FN_RETRY, 0},
        {"CLUSTERDOWN The cluster is down", REDIS_FN_RETRY, 0},
        {"TRYAGAIN Multiple keys request during rehashing of slot", REDIS_FN_RETRY, 0},
        {"MOVED 3999 127.0.0.1:6381", REDIS_FN_MOVED, 0},
        {"ASK 3999 127.0.0.1:6381", REDIS_FN_MOVED, 0},
        {"NOPERM this user has no permissions", REDIS_FN_REFUSED, 0},
        {"WRONGTYPE Operation against a key", REDIS_FN_REFUSED, 0},
        {"ERR something", REDIS_FN_REFUSED, 0},
        {"", REDIS_FN_REFUSED, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        redisReply r = an_error(cases[i].text);
        uint64_t value = 1;
        assert_int_equal(redis_fn_result(&r, &value), cases[i].result);
        assert_true(value == cases[i].value);
        assert_int_equal(redis_fn_result(&r, NULL), cases[i].result);
    }
}

static void successes_carry_a_value(void **state)
{
    redisReply id = an_integer(1700000000000123), duplicate = an_integer(0), odd = an_integer(-1);
    redisReply version = an_integer(5), text = {.type = REDIS_REPLY_STATUS, .str = NULL, .len = 0};
    redisReply *both[] = {&id, &version};
    redisReply beat = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = both};
    redisReply empty = {.type = REDIS_REPLY_ARRAY};
    uint64_t value;
    assert_int_equal(redis_fn_result(&id, &value), REDIS_FN_OK);
    assert_true(value == 1700000000000123);
    assert_int_equal(redis_fn_result(&beat, &value), REDIS_FN_OK);
    assert_true(value == 1700000000000123);
    assert_int_equal(redis_fn_beat_version(&beat), 5);
    assert_int_equal(redis_fn_beat_version(&id), 0);
    assert_int_equal(redis_fn_result(&duplicate, &value), REDIS_FN_DUPLICATE);
    assert_int_equal(redis_fn_result(NULL, &value), REDIS_FN_LOST);
    assert_int_equal(redis_fn_result(&odd, &value), REDIS_FN_REFUSED);
    assert_int_equal(redis_fn_result(&text, &value), REDIS_FN_REFUSED);
    assert_int_equal(redis_fn_result(&empty, &value), REDIS_FN_REFUSED);
}

static void every_result_has_a_word(void **state)
{
    for (unsigned r = REDIS_FN_OK; r <= REDIS_FN_REFUSED; r++)
        assert_non_null(redis_fn_result_word((enum redis_fn_result)r));
}

static struct buf a_meta(void)
{
    struct buf b = {0};
    mp_write_uint(&b, 1700000000000123);
    mp_write_uint(&b, 7);
    mp_write_uint(&b, 1700000060000);
    mp_write_str(&b, SLICE("new#0/1"));
    mp_write_uint(&b, 2);
    mp_write_uint(&b, 9007199254740991);
    mp_write_str(&b, SLICE("old#0/1"));
    mp_write_uint(&b, 0);
    mp_write_uint(&b, 5);
    return b;
}

static void a_meta_is_read(void **state)
{
    struct buf b = a_meta();
    struct redis_fn_meta meta;
    struct coordinate c;
    assert_int_equal(redis_fn_meta_parse(buf_slice(&b), &meta), 0);
    assert_true(meta.id == 1700000000000123 && meta.epoch == 7 && meta.expires_ms == 1700000060000);
    assert_int_equal(redis_fn_meta_next(&meta, &c), 1);
    assert_true(slice_eq(c.part, SLICE("new#0/1")) && c.n == 2 && c.offset == 9007199254740991);
    assert_int_equal(redis_fn_meta_next(&meta, &c), 1);
    assert_true(slice_eq(c.part, SLICE("old#0/1")) && c.n == 0 && c.offset == 5);
    assert_int_equal(redis_fn_meta_next(&meta, &c), 0);
    buf_release(&b);
}

/* 1 when the meta reads to its end, -1 when it is refused somewhere. */
static int read_all(struct slice bytes)
{
    struct redis_fn_meta meta;
    struct coordinate c;
    if (redis_fn_meta_parse(bytes, &meta) != 0)
        return -1;
    int rc;
    while ((rc = redis_fn_meta_next(&meta, &c)) == 1)
        ;
    return rc;
}

static void a_meta_cut_anywhere_is_refused(void **state)
{
    struct buf b = a_meta();
    unsigned whole = 0;
    for (size_t n = 0; n <= b.n; n++) {
        char *exact = xmalloc(n > 0 ? n : 1);
        memcpy(exact, b.p, n);
        whole += read_all(slice_make(exact, n)) == 0;
        free(exact);
    }
    assert_int_equal(whole, 3); /* none, one or two coordinates */
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_names_keys_then_header_channel_body),
        cmocka_unit_test(a_refill_goes_to_the_second_log_of_a_part_of_its_own),
        cmocka_unit_test(a_call_is_made_anew_each_time),
        cmocka_unit_test(the_other_calls),
        cmocka_unit_test(reading_and_counting),
        cmocka_unit_test(cursors),
        cmocka_unit_test(heads_are_resp),
        cmocka_unit_test(the_source_is_whole_and_versioned),
        cmocka_unit_test(only_an_older_library_is_replaced),
        cmocka_unit_test(errors_are_told_apart),
        cmocka_unit_test(successes_carry_a_value),
        cmocka_unit_test(every_result_has_a_word),
        cmocka_unit_test(a_meta_is_read),
        cmocka_unit_test(a_meta_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Targets, their names, and the ids and coordinates of events as text. */
#include "common/coordinate.h"
#include "common/event_id.h"
#include "common/hash.h"
#include "common/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef int (*append_fn)(struct buf *, struct slice);

static void assert_target(append_fn append, const char *text, const char *expected)
{
    struct buf b = {0};
    buf_lit(&b, "<");
    int rc = append(&b, slice_of(text));
    buf_byte(&b, '\0');
    assert_int_equal(rc, expected != NULL ? 0 : -1);
    assert_string_equal(b.p + 1, expected != NULL ? expected : "");
    if (expected != NULL)
        assert_true(target_valid(slice_of(expected)));
    buf_release(&b);
}

static void users_and_rooms_become_targets(void **state)
{
    assert_target(target_append_user, "1", "u:1");
    assert_target(target_append_user, "9007199254740993", "u:9007199254740993");
    assert_target(target_append_user, "a:b}{", "u:a:b}{");
    assert_target(target_append_user, "Zoë", "u:Zoë");
    assert_target(target_append_room, "survey:42", "r:survey:42");
    assert_target(target_append_room, "global", "g");
    assert_target(target_append_room, "user:7", "u:7");
    assert_target(target_append_room, "user:global", "u:global");
    assert_target(target_append_room, "users", "r:users");
}

static void what_names_nobody_is_refused(void **state)
{
    const char *bad[] = {"", "a\nb", "\x01", "a\x7f", "\xc2\x85", "\xff", "\xc3", "\xed\xa0\x80"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_target(target_append_user, bad[i], NULL);
        assert_target(target_append_room, bad[i], NULL);
    }
    assert_target(target_append_room, "user:", NULL);
    struct buf b = {0};
    assert_int_equal(target_append_user(&b, slice_make("a\0b", 3)), -1);
    buf_release(&b);
}

static void lengths_are_bounded(void **state)
{
    char text[TARGET_MAX];
    memset(text, 'x', sizeof(text));
    struct buf b = {0};
    assert_int_equal(target_append_room(&b, slice_make(text, TARGET_MAX - 1)), -1);
    assert_int_equal(target_append_room(&b, slice_make(text, TARGET_MAX - 2)), 0);
    assert_int_equal(b.n, TARGET_MAX);
    assert_true(target_valid(buf_slice(&b)));
    char name[TARGET_NAME_SIZE];
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        assert_true(target_name(TARGET_CHANNEL, bucket, buf_slice(&b), name).n <= sizeof(name));
    buf_byte(&b, 'x');
    assert_false(target_valid(buf_slice(&b)));
    buf_release(&b);
}

static void a_target_has_one_form(void **state)
{
    const char *bad[] = {"", "u", "u:", "r:", "g:", "gg", "x:1", "u1", "r:global", "r:user:1", "r:user:", "u:\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(target_valid(slice_of(bad[i])));
    const char *good[] = {"g", "u:1", "r:a", "r:globally", "r:users:1", "u:user:1"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(target_valid(slice_of(good[i])));
}

static void buckets_and_tags_never_change(void **state)
{
    assert_int_equal(target_bucket(SLICE("g")), hash_fnv1a(SLICE("g")) % 1024);
    assert_true(slice_eq(target_tag(0), SLICE("46920")));
    assert_true(slice_eq(target_tag(1), SLICE("50482")));
    assert_true(slice_eq(target_tag(1023), SLICE("18978")));
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        assert_int_equal(hash_crc16(target_tag(bucket)) % 16384, 16 * bucket + 8);
}

static void assert_name(struct slice name, const char *expected)
{
    assert_true(slice_eq(name, slice_of(expected)));
}

static void names_have_the_tag_first(void **state)
{
    char name[TARGET_NAME_SIZE];
    struct slice t = SLICE("u:}{x");
    assert_name(target_name(TARGET_LOG, 0, t, name), "tg:{46920}:l:u:}{x");
    assert_name(target_name(TARGET_META, 0, t, name), "tg:{46920}:m:u:}{x");
    assert_name(target_name(TARGET_REFILLED, 0, t, name), "tg:{46920}:h:u:}{x");
    assert_name(target_name(TARGET_CURSORS, 0, t, name), "tg:{46920}:d:u:}{x");
    assert_name(target_name(TARGET_IDEMPOTENCY, 0, t, name), "tg:{46920}:k:u:}{x");
    assert_name(target_name(TARGET_CHANNEL, 0, t, name), "tg:{46920}:c:u:}{x");
    assert_name(target_marker(1, name), "tg:{50482}:b");
    assert_name(target_beat(1, name), "tg:{50482}:beat");
}

static void channels_name_their_target(void **state)
{
    const char *targets[] = {"g", "u:1", "r:a}:c:u:2", "r:{1}"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        char name[TARGET_NAME_SIZE];
        struct slice target, channel = target_name(TARGET_CHANNEL, 5, slice_of(targets[i]), name);
        assert_int_equal(target_of_channel(channel, &target), 0);
        assert_name(target, targets[i]);
        assert_ptr_equal(target.p + target.n, channel.p + channel.n);
        for (size_t n = 0; n < channel.n - target.n; n++)
            assert_int_equal(target_of_channel(slice_make(channel.p, n), &target), -1);
    }
    const char *bad[] = {"", "tg:{1}:beat", "tg:{1}:l:g", "tg:{x}:c:g", "tg:{}:c:g", "tg:{1}:c:x:1", "xg:{1}:c:g"};
    struct slice target;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(target_of_channel(slice_of(bad[i]), &target), -1);
}

static void ids_have_one_text(void **state)
{
    const struct {
        uint64_t n;
        const char *text;
    } ids[] = {{0, "0"},
               {1, "0-1"},
               {999, "0-999"},
               {1000, "1-0"},
               {1700000000000123, "1700000000000-123"},
               {1700000000000012, "1700000000000-12"},
               {EVENT_ID_MAX, "9007199254740-991"}};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        char text[EVENT_ID_SIZE];
        struct slice s = event_id_format(ids[i].n, text);
        assert_string_equal(s.p, ids[i].text);
        assert_true(slice_eq(s, slice_of(ids[i].text)));
        uint64_t n = 77;
        assert_int_equal(event_id_parse(s, &n), 0);
        assert_true(n == ids[i].n);
    }
}

static void what_is_no_id_is_refused(void **state)
{
    const char *bad[] = {"",
                         "-",
                         "0-0",
                         "1",
                         "1-",
                         "-1",
                         "1-1000",
                         "1-01",
                         "01-1",
                         "1-1-1",
                         " 1-1",
                         "1-1 ",
                         "+1-1",
                         "1--1",
                         "00",
                         "9007199254740-992",
                         "9007199254741-0",
                         "18446744073709551615-0",
                         "18446744073709551616-0",
                         "1-0x1",
                         "$",
                         "*"};
    uint64_t n;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(event_id_parse(slice_of(bad[i]), &n), -1);
}

static void coordinates_there_and_back(void **state)
{
    struct buf part = {0}, key = {0};
    coordinate_append_part(&part, SLICE("task-updates"), 3, 4294967295);
    assert_true(slice_eq(buf_slice(&part), SLICE("task-updates#3/4294967295")));
    struct coordinate c = {.part = buf_slice(&part), .offset = 9007199254740991}, back;
    coordinate_append(&key, &c);
    assert_true(slice_eq(buf_slice(&key), SLICE("task-updates#3/4294967295/9007199254740991")));
    assert_int_equal(coordinate_parse(buf_slice(&key), &back), 0);
    assert_true(slice_eq(back.part, c.part) && back.offset == c.offset && back.n == 0);

    buf_clear(&key);
    c.n = 12;
    coordinate_append(&key, &c);
    assert_true(slice_eq(buf_slice(&key), SLICE("task-updates#3/4294967295/9007199254740991.12")));
    assert_int_equal(coordinate_parse(buf_slice(&key), &back), 0);
    assert_true(slice_eq(back.part, c.part) && back.offset == c.offset && back.n == 12);
    buf_release(&part);
    buf_release(&key);
}

static void what_is_no_coordinate_is_refused(void **state)
{
    const char *bad[] = {"",          "t",        "t#0",      "t#0/1",     "t#0/1/",     "t/0/1/2",         "#0/1/2",
                         "t#/1/2",    "t#0//2",   "t#0/1/2.", "t#0/1/2.0", "t#0/1/2.01", "t#0/1/02",        "t#0/01/2",
                         "t#0/1/2/3", "t #0/1/2", "t#0/1/2 ", "t#0/1/-2",  "t#x/1/2",    "t#0/4294967296/2"};
    struct coordinate c;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(coordinate_parse(slice_of(bad[i]), &c), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_and_rooms_become_targets),
        cmocka_unit_test(what_names_nobody_is_refused),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(a_target_has_one_form),
        cmocka_unit_test(buckets_and_tags_never_change),
        cmocka_unit_test(names_have_the_tag_first),
        cmocka_unit_test(channels_name_their_target),
        cmocka_unit_test(ids_have_one_text),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(coordinates_there_and_back),
        cmocka_unit_test(what_is_no_coordinate_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

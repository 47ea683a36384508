/* Envelopes there and back, in every form and cut at every byte. */
#include "common/envelope.h"
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct envelope plain = {
    .key = {"t#0/1/42", 8},
    .kafka_ms = 1700000000000,
    .event = {"task_update", 11},
    .targets = {{"u:1", 3}},
    .target_count = 1,
    .payload = {"{\"a\":1.10}", 10},
};

static struct envelope full(void)
{
    struct envelope e = plain;
    e.targets[1] = SLICE("r:survey:1");
    e.targets[2] = SLICE("g");
    e.target_count = 3;
    e.source_device = SLICE("phone");
    e.traceparent = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    e.conflate_key = SLICE("");
    e.flags = ENVELOPE_MEMBERS;
    e.coordinate = SLICE("task-updates#2/11/123456789012");
    return e;
}

static struct buf message_of(const struct envelope *e)
{
    struct buf b = {0};
    buf_lit(&b, "1700000000000-5 1700000000000-4 ");
    envelope_encode(&b, e);
    return b;
}

static void assert_optional(struct slice a, struct slice b)
{
    assert_true((a.p == NULL) == (b.p == NULL));
    if (a.p != NULL && b.p != NULL)
        assert_true(slice_eq(a, b));
}

static void assert_same(const struct envelope *a, const struct envelope *b)
{
    assert_true(slice_eq(a->key, b->key) && slice_eq(a->event, b->event) && slice_eq(a->payload, b->payload));
    assert_true(a->kafka_ms == b->kafka_ms && a->kind == b->kind && a->flags == b->flags);
    assert_int_equal(a->target_count, b->target_count);
    for (size_t i = 0; i < a->target_count; i++)
        assert_true(slice_eq(a->targets[i], b->targets[i]));
    assert_optional(a->source_device, b->source_device);
    assert_optional(a->traceparent, b->traceparent);
    assert_optional(a->conflate_key, b->conflate_key);
    assert_optional(a->coordinate, b->coordinate);
}

static void there_and_back(void **state)
{
    for (unsigned kind = ENVELOPE_JSON; kind <= ENVELOPE_BINARY; kind++) {
        struct envelope in[2] = {plain, full()};
        for (size_t i = 0; i < 2; i++) {
            in[i].kind = (enum envelope_kind)kind;
            struct buf b = message_of(&in[i]);
            struct envelope out;
            const char *why = "";
            assert_int_equal(envelope_decode(buf_slice(&b), &out, &why), 0);
            assert_true(out.id == 1700000000000005 && out.prev == 1700000000000004);
            assert_same(&in[i], &out);
            buf_release(&b);
        }
    }
}

/* Exact copies, so that the address sanitizer sees a byte read past the end. */
static void what_is_no_traceparent_is_absent(void **state)
{
    const char *none[] = {"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-00",
                          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\""};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct envelope in = plain, out;
        const char *why = "";
        in.traceparent = slice_of(none[i]);
        struct buf b = message_of(&in);
        assert_int_equal(envelope_decode(buf_slice(&b), &out, &why), 0);
        assert_null(out.traceparent.p);
        buf_release(&b);
    }
}

static void cut_anywhere_it_is_refused(void **state)
{
    struct envelope e = full();
    struct buf b = message_of(&e);
    for (size_t n = 0; n < b.n; n++) {
        char *copy = xmalloc(n + 1);
        memcpy(copy, b.p, n);
        char *exact = xrealloc(copy, n > 0 ? n : 1);
        struct envelope out;
        const char *why = NULL;
        assert_int_equal(envelope_decode(slice_make(exact, n), &out, &why), -1);
        assert_non_null(why);
        free(exact);
    }
    buf_release(&b);
}

static const char *why_refused(struct buf *b)
{
    struct envelope out;
    const char *why = NULL;
    int rc = envelope_decode(buf_slice(b), &out, &why);
    buf_release(b);
    assert_int_equal(rc, why == NULL ? 0 : -1);
    return why;
}

static void ids_stand_in_front(void **state)
{
    const char *bad[] = {"",
                         "1-1",
                         "1-1 ",
                         "1-1 0",
                         " 1-1 0 ",
                         "1-1  0 ",
                         "x 0 ",
                         "1 0 ",
                         "1-1 1 ",
                         "1-1000 0 ",
                         "0-0 0 ",
                         "1-1 0\t",
                         "1700000000000000000000000000000000-1 0 "};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b = {0};
        buf_append(&b, slice_of(bad[i]));
        envelope_encode(&b, &plain);
        assert_string_equal(why_refused(&b), "bad ids");
    }
    uint64_t id, prev;
    struct slice body;
    assert_int_equal(envelope_ids(SLICE("0 0 x"), &id, &prev, &body), 0);
    assert_true(id == 0 && prev == 0 && slice_eq(body, SLICE("x")));
    assert_int_equal(envelope_ids(SLICE("9007199254740-991 9007199254740-990 "), &id, &prev, &body), 0);
    assert_true(id == prev + 1 && body.n == 0);
}

/* The elements up to the flags, with one of them taken from `odd`. */
enum { NONE, AT_VERSION, AT_KEY, AT_TIME, AT_EVENT, AT_TARGETS, AT_KIND, AT_PAYLOAD, AT_SOURCE, AT_FLAGS };

static void write_odd(struct buf *b, int at, const struct buf *odd, int this, struct slice usual)
{
    buf_append(b, at == this ? buf_slice(odd) : usual);
}

static struct buf odd_at(int at, const struct buf *odd)
{
    struct buf b = {0};
    buf_lit(&b, "1-1 0 ");
    mp_write_array(&b, 11);
    write_odd(&b, at, odd, AT_VERSION, SLICE("\x01"));
    write_odd(&b, at, odd, AT_KEY, SLICE("\xa1k"));
    write_odd(&b, at, odd, AT_TIME, SLICE("\x05"));
    write_odd(&b, at, odd, AT_EVENT,
              SLICE("\xa1"
                    "e"));
    write_odd(&b, at, odd, AT_TARGETS, SLICE("\x91\xa1g"));
    write_odd(&b, at, odd, AT_KIND, SLICE("\x00"));
    write_odd(&b, at, odd, AT_PAYLOAD, SLICE("\xa2{}"));
    write_odd(&b, at, odd, AT_SOURCE, SLICE("\xc0"));
    buf_lit(&b, "\xc0\xc0");
    write_odd(&b, at, odd, AT_FLAGS, SLICE("\x00"));
    return b;
}

static void every_element_is_checked(void **state)
{
    const struct {
        int at;
        struct slice odd;
        const char *why;
    } cases[] = {
        {NONE, SLICE(""), NULL},
        {AT_VERSION, SLICE("\x02"), "unknown version"},
        {AT_VERSION, SLICE("\xa1\x31"), "not an envelope"},
        {AT_KEY, SLICE("\x01"), "bad key"},
        {AT_KEY, SLICE("\xa0"), "bad key"},
        {AT_TIME, SLICE("\xff"), "bad timestamp"},
        {AT_EVENT, SLICE("\xa0"), "bad event name"},
        {AT_TARGETS, SLICE("\x90"), "bad targets"},
        {AT_TARGETS, SLICE("\x91\xa0"), "bad targets"},
        {AT_TARGETS, SLICE("\x91\x01"), "bad targets"},
        {AT_TARGETS, SLICE("\xdc\xff\xff"), "bad targets"},
        {AT_KIND, SLICE("\x03"), "bad payload"},
        {AT_KIND, SLICE("\x02"), "bad payload"}, /* binary, but a str follows */
        {AT_PAYLOAD, SLICE("\xc4\x02{}"), "bad payload"},
        {AT_PAYLOAD, SLICE("\xc0"), "bad payload"},
        {AT_SOURCE, SLICE("\x01"), "bad optional element"},
        {AT_FLAGS, SLICE("\xc0"), "bad optional element"},
        {AT_FLAGS, SLICE("\x00\x00"), "bytes behind the end"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf odd = {0};
        buf_append(&odd, cases[i].odd);
        struct buf b = odd_at(cases[i].at, &odd);
        buf_release(&odd);
        const char *why = why_refused(&b);
        if (cases[i].why == NULL)
            assert_null(why);
        else
            assert_string_equal(why, cases[i].why);
    }
}

static void long_texts_are_refused(void **state)
{
    char text[ENVELOPE_TEXT_MAX + 1];
    memset(text, 'x', sizeof(text));
    const int at[] = {AT_KEY, AT_EVENT, AT_SOURCE};
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        for (size_t over = 0; over < 2; over++) {
            struct buf odd = {0};
            mp_write_str(&odd, slice_make(text, ENVELOPE_TEXT_MAX + over));
            struct buf b = odd_at(at[i], &odd);
            buf_release(&odd);
            assert_int_equal(why_refused(&b) != NULL, over);
        }
    }
}

static void targets_are_bounded(void **state)
{
    for (uint32_t count = ENVELOPE_TARGETS_MAX; count <= ENVELOPE_TARGETS_MAX + 1; count++) {
        struct buf odd = {0};
        mp_write_array(&odd, count);
        for (uint32_t i = 0; i < count; i++)
            mp_write_str(&odd, SLICE("g"));
        struct buf b = odd_at(AT_TARGETS, &odd);
        buf_release(&odd);
        assert_int_equal(why_refused(&b) != NULL, count > ENVELOPE_TARGETS_MAX);
    }
}

/* What a later version adds: elements at the end, bits in the flags. */
static void what_is_newer_is_ignored(void **state)
{
    struct buf body = {0}, b = {0};
    envelope_encode(&body, &plain);
    buf_lit(&b, "1-1 0 ");
    assert_int_equal((unsigned char)body.p[0], 0x9b);
    mp_write_array(&b, 14);
    buf_append(&b, slice_make(body.p + 1, body.n - 2));
    mp_write_uint(&b, 0xffffff00);
    mp_write_nil(&b);
    buf_lit(&b, "\x92\xa1x\xc0\x81\x01\x02");
    buf_release(&body);
    struct envelope out;
    const char *why = NULL;
    assert_int_equal(envelope_decode(buf_slice(&b), &out, &why), 0);
    assert_true(slice_eq(out.key, plain.key));
    assert_int_equal(out.flags & 0xff, 0);
    buf_release(&b);
}

static void a_publishers_key_stands_beside_the_coordinate(void **state)
{
    struct envelope e = plain;
    struct coordinate c;
    assert_int_equal(envelope_coordinate(&e, &c), -1);
    e.coordinate = SLICE("t#3/1/7.2");
    assert_int_equal(envelope_coordinate(&e, &c), 0);
    assert_true(slice_eq(c.part, SLICE("t#3/1")) && c.offset == 7 && c.n == 2);
    e.coordinate = SLICE("t#3");
    assert_int_equal(envelope_coordinate(&e, &c), -1);
    e.flags = ENVELOPE_COORDINATE;
    assert_int_equal(envelope_coordinate(&e, &c), 0);
    assert_true(slice_eq(c.part, SLICE("t#0/1")) && c.offset == 42 && c.n == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_traceparent_is_absent),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(cut_anywhere_it_is_refused),
        cmocka_unit_test(ids_stand_in_front),
        cmocka_unit_test(every_element_is_checked),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(targets_are_bounded),
        cmocka_unit_test(what_is_newer_is_ignored),
        cmocka_unit_test(a_publishers_key_stands_beside_the_coordinate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

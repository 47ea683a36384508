/* The JSON dialect, byte for byte. */
#include "gateway/dialect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct dialect *json(void)
{
    return dialects[DIALECT_ID_JSON];
}

/* *Takes* f. */
static void check_frame(struct frame *f, const char *want)
{
    assert_non_null(f);
    struct slice text = frame_payload(f);
    if (!slice_eq(text, slice_of(want)))
        fail_msg("got  %.*s\nwant %s", SLICE_ARG(text), want);
    frame_unref(f);
}

static void hello_keeps_the_ids_type(void **state)
{
    check_frame(json()->hello(&(struct welcome){.user_json = SLICE("1")}),
                "{\"type\":\"connected\",\"user_id\":1,\"message\":\"WebSocket connection established\"}");
    check_frame(json()->hello(&(struct welcome){.user_json = SLICE("\"1\"")}),
                "{\"type\":\"connected\",\"user_id\":\"1\",\"message\":\"WebSocket connection established\"}");
}

static void hello_says_what_follows(void **state)
{
    struct recovery r = {.recovered = true, .messages = 12, .oldest = 1700000000000001, .position = 1700000000000002};
    check_frame(json()->hello(&(struct welcome){.user_json = SLICE("1"), .recovery = &r}),
                "{\"type\":\"connected\",\"user_id\":1,\"message\":\"WebSocket connection established\","
                "\"recovered\":true,\"replay\":12,\"oldest\":\"1700000000000-1\",\"position\":\"1700000000000-2\"}");
    r = (struct recovery){0};
    check_frame(json()->encode_reply(&(struct reply){.kind = REPLY_RESUMED, .recovery = &r}),
                "{\"type\":\"resumed\",\"recovered\":false,\"replay\":0,\"oldest\":\"0\",\"position\":\"0\"}");
}

static void members_become_the_messages_own(void **state)
{
    struct envelope e = {.id = 1,
                         .key = SLICE("t#1/0/7"),
                         .event = SLICE("task_update"),
                         .kind = ENVELOPE_JSON,
                         .flags = ENVELOPE_MEMBERS,
                         .payload = SLICE("{\"task_id\":123456789012345678,\"n\":1.10,\"s\":\"\\u0041\"}")};
    check_frame(json()->encode_event(&e, 1700000000000001),
                "{\"type\":\"task_update\",\"task_id\":123456789012345678,\"n\":1.10,\"s\":\"\\u0041\","
                "\"id\":\"1700000000000-1\",\"key\":\"t#1/0/7\"}");
    e.payload = SLICE(" { } ");
    check_frame(json()->encode_event(&e, 1700000000000001),
                "{\"type\":\"task_update\",\"id\":\"1700000000000-1\",\"key\":\"t#1/0/7\"}");
}

static void a_trace_is_told(void **state)
{
    struct envelope e = {.key = SLICE("k"),
                         .event = SLICE("e"),
                         .kind = ENVELOPE_JSON,
                         .payload = SLICE("1"),
                         .traceparent = SLICE("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")};
    check_frame(json()->encode_event(&e, 0),
                "{\"type\":\"e\",\"data\":1,\"key\":\"k\","
                "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}");
}

static void members_that_are_none_go_under_data(void **state)
{
    static const char *const payloads[] = {"1", "[]", "null", "\"{}\""};
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        char want[64];
        struct envelope e = {
            .event = SLICE("e"), .kind = ENVELOPE_JSON, .flags = ENVELOPE_MEMBERS, .payload = slice_of(payloads[i])};
        snprintf(want, sizeof(want), "{\"type\":\"e\",\"data\":%s}", payloads[i]);
        check_frame(json()->encode_event(&e, 0), want);
    }
    struct envelope e = {
        .event = SLICE("e"), .kind = ENVELOPE_TEXT, .flags = ENVELOPE_MEMBERS, .payload = SLICE("{\"a\":1}")};
    check_frame(json()->encode_event(&e, 0), "{\"type\":\"e\",\"data\":\"{\\\"a\\\":1}\"}");
    e.payload = SLICE("");
    check_frame(json()->encode_event(&e, 0), "{\"type\":\"e\",\"data\":\"\"}");
}

static void other_payloads_go_under_data(void **state)
{
    struct envelope e = {.event = SLICE("a\"b"), .kind = ENVELOPE_JSON, .payload = SLICE("[1,2]")};
    check_frame(json()->encode_event(&e, 0), "{\"type\":\"a\\\"b\",\"data\":[1,2]}");
    e.kind = ENVELOPE_TEXT;
    e.payload = SLICE("say \"hi\"");
    check_frame(json()->encode_event(&e, 0), "{\"type\":\"a\\\"b\",\"data\":\"say \\\"hi\\\"\"}");
    e.kind = ENVELOPE_BINARY;
    assert_null(json()->encode_event(&e, 0));
}

static enum message_kind kind_of(const char *text)
{
    struct message m;
    json()->decode(slice_of(text), false, &m);
    bool refused = m.kind == MESSAGE_MALFORMED || m.kind == MESSAGE_UNKNOWN;
    assert_true(refused == (m.detail != NULL));
    return m.kind;
}

static void clients_messages(void **state)
{
    assert_int_equal(kind_of("{\"type\":\"ping\"}"), MESSAGE_PING);
    assert_int_equal(kind_of(" {\"a\":1,\"type\":\"p\\u0069ng\"} "), MESSAGE_PING);
    assert_int_equal(kind_of("{\"type\":\"pong\",\"x\":[]}"), MESSAGE_PONG);
    assert_int_equal(kind_of("{\"type\":\"foo\"}"), MESSAGE_UNKNOWN);
    assert_int_equal(kind_of("{\"type\":\"ack\",\"id\":\"1700000000000-1\"}"), MESSAGE_ACK);
    assert_int_equal(kind_of("{\"type\":\"resume\",\"last_id\":\"0\"}"), MESSAGE_RESUME);
    const char *malformed[] = {"{\"type\":\"ack\"}",
                               "{\"type\":\"ack\",\"id\":1}",
                               "{\"type\":\"ack\",\"id\":\"\"}",
                               "{\"type\":\"ack\",\"last_id\":\"0\"}",
                               "{\"type\":\"resume\",\"id\":\"0\"}",
                               "{\"type\":\"resume\",\"last_id\":\"1-1000\"}",
                               "{\"type\":\"resume\",\"last_id\":{}}",
                               "",
                               "nope",
                               "[]",
                               "\"ping\"",
                               "{}",
                               "{\"type\":1}",
                               "{\"type\":\"ping\"",
                               "{\"type\":\"a\",\"type\":\"b\"}"};
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        assert_int_equal(kind_of(malformed[i]), MESSAGE_MALFORMED);
    struct message m;
    json()->decode(SLICE("{\"type\":\"ack\",\"id\":\"1700000000000-1\"}"), false, &m);
    assert_true(m.id == 1700000000000001);
    json()->decode(SLICE("{\"type\":\"ping\"}"), true, &m);
    assert_int_equal(m.kind, MESSAGE_MALFORMED);
}

static void check_pong(const char *ping, const char *pong)
{
    struct message m;
    json()->decode(slice_of(ping), false, &m);
    check_frame(json()->encode_reply(&(struct reply){.kind = REPLY_PONG, .to = &m}), pong);
}

static void replies(void **state)
{
    check_pong("{\"type\":\"ping\"}", "{\"type\":\"pong\"}");
    check_pong("{\"type\":\"ping\",\"data\":{\"a\":1.0},\"timestamp\":\"2024-01-15T10:30:00Z\"}",
               "{\"type\":\"pong\",\"data\":{\"a\":1.0},\"timestamp\":\"2024-01-15T10:30:00Z\"}");
    check_frame(json()->encode_reply(&(struct reply){.kind = REPLY_PING}), "{\"type\":\"ping\",\"timestamp\":null}");
    check_frame(
        json()->encode_reply(&(struct reply){.kind = REPLY_ERROR, .code = "unknown_type", .detail = "No \"x\""}),
        "{\"type\":\"error\",\"code\":\"unknown_type\",\"message\":\"No \\\"x\\\"\"}");
}

static void echoes_keep_bytes_and_opcode(void **state)
{
    struct message m;
    const struct dialect *echo = dialects[DIALECT_ID_ECHO];
    echo->decode(SLICE("\0\xff"), true, &m);
    struct frame *f = echo->encode_reply(&(struct reply){.kind = REPLY_ECHO, .to = &m});
    assert_true(slice_eq(frame_bytes(f), SLICE("\x82\x02\0\xff")));
    frame_unref(f);
    assert_null(echo->encode_reply(&(struct reply){.kind = REPLY_PING}));
}

static void dialects_are_found_by_name(void **state)
{
    struct slice offered[DIALECT_ID_COUNT];
    assert_ptr_equal(dialect_by_name(SLICE("json")), json());
    assert_null(dialect_by_name(SLICE("xml")));
    assert_int_equal(dialect_subprotocols(offered), 1);
    assert_ptr_equal(dialect_by_subprotocol(offered[0]), json());
    assert_int_equal(frame_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_keeps_the_ids_type),
        cmocka_unit_test(hello_says_what_follows),
        cmocka_unit_test(members_become_the_messages_own),
        cmocka_unit_test(a_trace_is_told),
        cmocka_unit_test(members_that_are_none_go_under_data),
        cmocka_unit_test(other_payloads_go_under_data),
        cmocka_unit_test(clients_messages),
        cmocka_unit_test(replies),
        cmocka_unit_test(echoes_keep_bytes_and_opcode),
        cmocka_unit_test(dialects_are_found_by_name),
    };
    return cmocka_run_group_tests_name("dialect_json", tests, NULL, NULL);
}

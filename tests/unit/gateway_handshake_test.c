/* The opening handshake: one good request, and each way to spoil it. */
#include "gateway/handshake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct slice supported[] = {{"tidegate.v1.json", 16}, {"tidegate.v1.msgpack", 19}};

struct header {
    const char *name, *value;
};

#define MAX_HEADERS 8

static const struct header good[MAX_HEADERS] = {
    {"host", "server.example.com"},  {"upgrade", "websocket"},
    {"connection", "Upgrade"},       {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="},
    {"sec-websocket-version", "13"},
};

static struct handshake read_headers(const struct header *headers)
{
    struct handshake hs;
    handshake_init(&hs, supported, ARRAY_LEN(supported));
    for (size_t i = 0; i < MAX_HEADERS && headers[i].name != NULL; i++)
        handshake_header(&hs, slice_of(headers[i].name), slice_of(headers[i].value));
    return hs;
}

static enum handshake_result check(const struct header *headers)
{
    struct handshake hs = read_headers(headers);
    return handshake_check(&hs, SLICE("GET"), 0x101, false);
}

/* The good request with the value of one header exchanged; NULL leaves that header out. */
static enum handshake_result check_with(const char *name, const char *value)
{
    struct header headers[MAX_HEADERS] = {{NULL, NULL}};
    size_t n = 0;
    for (size_t i = 0; good[i].name != NULL; i++) {
        bool other = strcmp(good[i].name, name) != 0;
        if (other)
            headers[n++] = good[i];
        else if (value != NULL)
            headers[n++] = (struct header){name, value};
    }
    return check(headers);
}

/* The good request with one header more. */
static enum handshake_result check_and(const char *name, const char *value)
{
    struct header headers[MAX_HEADERS];
    memcpy(headers, good, sizeof(headers));
    headers[5] = (struct header){name, value};
    return check(headers);
}

static void the_example_of_section_1_3(void **state)
{
    char accept[HANDSHAKE_ACCEPT_LEN + 1];
    struct handshake hs = read_headers(good);
    assert_int_equal(handshake_check(&hs, SLICE("GET"), 0x101, false), HANDSHAKE_OK);
    handshake_accept(&hs, accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_int_equal(hs.protocol, -1);
    assert_null(hs.token.p);
}

static void the_request_line(void **state)
{
    struct handshake hs = read_headers(good);
    static const char *methods[] = {"POST", "HEAD", "get", "GE", ""};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        assert_int_equal(handshake_check(&hs, slice_of(methods[i]), 0x101, false), HANDSHAKE_BAD_METHOD);
    assert_int_equal(handshake_check(&hs, SLICE("GET"), 0x100, false), HANDSHAKE_OLD_HTTP);
    assert_int_equal(handshake_check(&hs, SLICE("GET"), 9, false), HANDSHAKE_OLD_HTTP);
    assert_int_equal(handshake_check(&hs, SLICE("GET"), 0x101, true), HANDSHAKE_HAS_BODY);
}

static void each_header_is_needed_and_judged(void **state)
{
    static const struct {
        const char *name, *value;
        enum handshake_result result;
    } cases[] = {
        {"upgrade", NULL, HANDSHAKE_NO_UPGRADE},
        {"upgrade", "", HANDSHAKE_NO_UPGRADE},
        {"upgrade", "h2c", HANDSHAKE_NO_UPGRADE},
        {"upgrade", "websockets", HANDSHAKE_NO_UPGRADE},
        {"upgrade", "WebSocket", HANDSHAKE_OK},
        {"upgrade", "h2c , websocket", HANDSHAKE_OK},
        {"connection", NULL, HANDSHAKE_NO_CONNECTION},
        {"connection", "keep-alive", HANDSHAKE_NO_CONNECTION},
        {"connection", "keep-alive upgrade", HANDSHAKE_NO_CONNECTION},
        {"connection", "keep-alive,\tUPGRADE ,,", HANDSHAKE_OK},
        {"sec-websocket-version", NULL, HANDSHAKE_BAD_VERSION},
        {"sec-websocket-version", "", HANDSHAKE_BAD_VERSION},
        {"sec-websocket-version", "8", HANDSHAKE_BAD_VERSION},
        {"sec-websocket-version", "013", HANDSHAKE_BAD_VERSION},
        {"sec-websocket-version", "13, 8", HANDSHAKE_BAD_VERSION},
        {"sec-websocket-version", " 13 ", HANDSHAKE_OK},
        {"sec-websocket-key", NULL, HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ===", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ===", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZR==", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQAA", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhlIHNhbXBsZSBub25j_Q==", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "dGhl HNhbXBsZSBub25jZQ==", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "SGVsbG8sIHdvcmxkIQ==", HANDSHAKE_BAD_KEY},
        {"sec-websocket-key", "/+AZaz09/+AZaz09/+AZaw==", HANDSHAKE_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (check_with(cases[i].name, cases[i].value) != cases[i].result)
            fail_msg("%s: %s", cases[i].name, cases[i].value != NULL ? cases[i].value : "absent");
}

static void headers_that_come_twice(void **state)
{
    assert_int_equal(check_and("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), HANDSHAKE_BAD_KEY);
    assert_int_equal(check_and("sec-websocket-version", "13"), HANDSHAKE_BAD_VERSION);
    assert_int_equal(check_and("Connection", "close"), HANDSHAKE_OK);
    assert_int_equal(check_and("UPGRADE", "h2c"), HANDSHAKE_OK);
    assert_int_equal(check_and("sec-websocket", "x"), HANDSHAKE_OK);
}

static void sub_protocols(void **state)
{
    static const struct {
        const char *first, *second; /* two headers */
        int protocol;
        const char *token;
    } cases[] = {
        {"tidegate.v1.json", NULL, 0, NULL},
        {"tidegate.v1.msgpack", NULL, 1, NULL},
        {"tidegate.v1.msgpack, tidegate.v1.json", NULL, 1, NULL},
        {"chat,tidegate.v1.json", NULL, 0, NULL},
        {"chat", "tidegate.v1.msgpack", 1, NULL},
        {"chat", NULL, -1, NULL},
        {"Tidegate.v1.json", NULL, -1, NULL},
        {"", " , ,", -1, NULL},
        {"bearer.a.b.c", NULL, -1, "a.b.c"},
        {"tidegate.v1.json, bearer.a.b-_c", NULL, 0, "a.b-_c"},
        {"bearer.a.b.c,tidegate.v1.json", NULL, 0, "a.b.c"},
        {"bearer.first", "bearer.second, tidegate.v1.json", 0, "first"},
        {"bearer.", NULL, -1, ""},
        {"bearer", "Bearer.x", -1, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct header headers[MAX_HEADERS] = {{"Sec-WebSocket-Protocol", cases[i].first}};
        if (cases[i].second != NULL)
            headers[1] = (struct header){"sec-websocket-protocol", cases[i].second};
        struct handshake hs = read_headers(headers);
        assert_int_equal(hs.protocol, cases[i].protocol);
        assert_true((hs.token.p == NULL) == (cases[i].token == NULL));
        assert_true(slice_eq(hs.token, slice_of(cases[i].token)));
    }
}

static void a_bearer_entry_is_never_selected(void **state)
{
    static const struct slice odd[] = {{"bearer.x", 8}};
    struct handshake hs;
    handshake_init(&hs, odd, 1);
    handshake_header(&hs, SLICE("sec-websocket-protocol"), SLICE("bearer.x"));
    assert_int_equal(hs.protocol, -1);
    assert_true(slice_eq(hs.token, SLICE("x")));
}

static void every_refusal_has_an_answer(void **state)
{
    static const struct {
        enum handshake_result result;
        unsigned status;
        bool offer_version;
    } cases[] = {
        {HANDSHAKE_BAD_METHOD, 405, false}, {HANDSHAKE_OLD_HTTP, 400, false},      {HANDSHAKE_HAS_BODY, 400, false},
        {HANDSHAKE_NO_UPGRADE, 426, true},  {HANDSHAKE_NO_CONNECTION, 400, false}, {HANDSHAKE_BAD_VERSION, 426, true},
        {HANDSHAKE_BAD_KEY, 400, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct handshake_refusal *refusal = handshake_refusal(cases[i].result);
        assert_int_equal(refusal->status, cases[i].status);
        assert_int_equal(refusal->offer_version, cases[i].offer_version);
        assert_true(strlen(refusal->reason) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_section_1_3),
        cmocka_unit_test(the_request_line),
        cmocka_unit_test(each_header_is_needed_and_judged),
        cmocka_unit_test(headers_that_come_twice),
        cmocka_unit_test(sub_protocols),
        cmocka_unit_test(a_bearer_entry_is_never_selected),
        cmocka_unit_test(every_refusal_has_an_answer),
    };
    return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}

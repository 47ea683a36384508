/* Heads of requests, given whole and byte by byte. */
#include "common/http_head.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MAX_HEAD 200

static enum http_head_result whole(const char *text)
{
    struct http_head_scan scan = {0};
    return http_head_scan(&scan, slice_of(text), MAX_HEAD);
}

/* The first answer that is not MORE when the bytes come one by one. */
static enum http_head_result bytewise(const char *text)
{
    struct http_head_scan scan = {0};
    size_t n = strlen(text);
    for (size_t i = 1; i <= n; i++) {
        enum http_head_result r = http_head_scan(&scan, slice_make(text, i), MAX_HEAD);
        if (r != HTTP_HEAD_MORE)
            return r;
    }
    return HTTP_HEAD_MORE;
}

static void check(const char *text, enum http_head_result want)
{
    assert_int_equal(whole(text), want);
    assert_int_equal(bytewise(text), want);
}

static void ordinary_heads_pass(void **state)
{
    check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_HEAD_OK);
    check("GET / HTTP/1.1\nHost: x\n\n", HTTP_HEAD_OK);
    check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", HTTP_HEAD_OK);
    check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_HEAD_OK);
    check("GET / HTTP/1.1\r\nX-Content-Length: 1\r\nContent-Length: 1\r\n\r\n", HTTP_HEAD_OK);
}

static void unfinished_heads_wait(void **state)
{
    check("", HTTP_HEAD_MORE);
    check("GET / HTTP/1.1\r\nHost: x\r\n", HTTP_HEAD_MORE);
    check("GET / HTTP/1.1\r\nHost: x\r\n\r", HTTP_HEAD_MORE);
    check("PRI * HTTP/", HTTP_HEAD_MORE);
}

static void two_lengths_are_ambiguous(void **state)
{
    check("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", HTTP_HEAD_AMBIGUOUS);
    check("POST / HTTP/1.1\r\ncontent-length: 3\r\nCONTENT-LENGTH : 4\r\n\r\n", HTTP_HEAD_AMBIGUOUS);
    check("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_HEAD_AMBIGUOUS);
    check("POST / HTTP/1.1\nTransfer-Encoding: x\nTransfer-Encoding: chunked\n\n", HTTP_HEAD_AMBIGUOUS);
    /* what stands in the body is no header */
    assert_int_equal(whole("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nContent-Length: 3\r\n\r\n"), HTTP_HEAD_OK);
}

static void the_preface_of_http2_is_known(void **state)
{
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_HEAD_HTTP2);
}

static void heads_are_bounded(void **state)
{
    char text[MAX_HEAD + 64] = "GET / HTTP/1.1\r\nX: ";
    size_t n = strlen(text);
    memset(text + n, 'a', sizeof(text) - n - 1);
    memcpy(text + MAX_HEAD - 4, "\r\n\r\n", 5);
    check(text, HTTP_HEAD_OK); /* exactly the limit */
    memset(text + n, 'a', sizeof(text) - n - 1);
    memcpy(text + MAX_HEAD - 3, "\r\n\r\n", 5);
    check(text, HTTP_HEAD_TOO_LARGE);
    memset(text + n, 'a', sizeof(text) - n - 1);
    check(text, HTTP_HEAD_TOO_LARGE); /* without an end */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_heads_pass),       cmocka_unit_test(unfinished_heads_wait),
        cmocka_unit_test(two_lengths_are_ambiguous), cmocka_unit_test(the_preface_of_http2_is_known),
        cmocka_unit_test(heads_are_bounded),
    };
    return cmocka_run_group_tests_name("http_head", tests, NULL, NULL);
}

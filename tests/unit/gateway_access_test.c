/* Who may come in: origins, addresses behind proxies, counts by address, messages in a window. */
#include "gateway/client_ip.h"
#include "gateway/limit.h"
#include "gateway/origin.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void origins(void **state)
{
    const char *list = "http://localhost:3000, https://app.example";
    assert_true(origin_allowed(list, (struct slice){NULL, 0}));
    assert_true(origin_allowed(list, SLICE("http://localhost:3000")));
    assert_true(origin_allowed(list, SLICE("https://APP.example")));
    assert_false(origin_allowed(list, SLICE("https://app.example.evil")));
    assert_false(origin_allowed(list, SLICE("http://localhost")));
    assert_false(origin_allowed(list, SLICE("null")));
    assert_false(origin_allowed(list, SLICE("")));
    assert_false(origin_allowed(NULL, SLICE("https://app.example")));
    assert_true(origin_allowed("*", SLICE("https://anything")));
}

static struct client_ip ip(const char *text)
{
    struct client_ip out;
    assert_int_equal(client_ip_parse(slice_of(text), &out), 0);
    return out;
}

static bool found(const char *peer, const char *forwarded, const char *trusted, const char *want)
{
    struct client_ip p = ip(peer), w = ip(want);
    struct client_ip f = client_ip_find(&p, slice_of(forwarded), trusted);
    return memcmp(&f, &w, sizeof(f)) == 0;
}

static void networks(void **state)
{
    struct client_ip a = ip("10.1.2.3");
    assert_true(client_ip_in(&a, "10.0.0.0/8"));
    assert_true(client_ip_in(&a, "192.168.0.1, 10.1.2.3"));
    assert_false(client_ip_in(&a, "10.1.2.0/31"));
    assert_true(client_ip_in(&a, "10.1.2.2/31"));
    assert_false(client_ip_in(&a, "::/128"));
    assert_true(client_ip_in(&a, "0.0.0.0/0"));
    assert_false(client_ip_in(&a, NULL));
    a = ip("fd00::1");
    assert_true(client_ip_in(&a, "fd00::/8"));
    assert_false(client_ip_in(&a, "0.0.0.0/0"));
    struct slice bad;
    assert_true(client_ip_list_valid("10.0.0.0/8,::1", &bad));
    assert_false(client_ip_list_valid("10.0.0.0/8,10.0.0.0/33", &bad));
    assert_true(slice_eq(bad, SLICE("10.0.0.0/33")));
    assert_false(client_ip_list_valid("localhost", &bad));
}

static void clients_behind_proxies(void **state)
{
    assert_true(found("1.2.3.4", "9.9.9.9", NULL, "1.2.3.4"));
    assert_true(found("1.2.3.4", "9.9.9.9", "10.0.0.0/8", "1.2.3.4"));
    assert_true(found("10.0.0.1", "9.9.9.9", "10.0.0.0/8", "9.9.9.9"));
    assert_true(found("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"));
    assert_true(found("10.0.0.1", "7.7.7.7, 9.9.9.9, 10.0.0.2", "10.0.0.0/8", "9.9.9.9"));
    /* what a client wrote in front of what the proxy appended is not believed */
    assert_true(found("10.0.0.1", "forged, 9.9.9.9", "10.0.0.0/8", "9.9.9.9"));
    assert_true(found("10.0.0.1", "forged", "10.0.0.0/8", "10.0.0.1"));
}

static void counts_by_address(void **state)
{
    struct limit l;
    struct limit_entry *a, *b, *c;
    limit_init(&l, 2);
    assert_int_equal(limit_enter(&l, SLICE("x"), &a), 0);
    assert_int_equal(limit_enter(&l, SLICE("x"), &b), 0);
    assert_int_equal(limit_enter(&l, SLICE("x"), &c), -1);
    assert_null(c);
    assert_int_equal(limit_enter(&l, SLICE("y"), &c), 0);
    limit_leave(&l, a);
    assert_int_equal(limit_enter(&l, SLICE("x"), &a), 0);
    limit_leave(&l, a);
    limit_leave(&l, b);
    limit_leave(&l, c);
    limit_leave(&l, NULL);
    assert_int_equal(l.entries.count, 0);
    limit_release(&l);
}

static void messages_in_a_window(void **state)
{
    struct limit_rate r = {0};
    for (int i = 0; i < 3; i++)
        assert_true(limit_rate_allows(&r, 1000 + (uint64_t)i, 100, 3));
    assert_false(limit_rate_allows(&r, 1099, 100, 3));
    assert_true(limit_rate_allows(&r, 1100, 100, 3));
    for (int i = 0; i < 1000; i++)
        assert_true(limit_rate_allows(&r, 1100, 100, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins),
        cmocka_unit_test(networks),
        cmocka_unit_test(clients_behind_proxies),
        cmocka_unit_test(counts_by_address),
        cmocka_unit_test(messages_in_a_window),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}

/* REDIS_URL in its forms, and a sentence for each mistake. */
#include "common/buf.h"
#include "common/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct redis_url parse(const char *text)
{
    struct redis_url u;
    const char *why = NULL;
    if (redis_url_parse(slice_of(text), &u, &why) != 0)
        fail_msg("%s: %s", text, why);
    return u;
}

static bool same(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static void check(const char *url, const char *host, unsigned port, const char *user, const char *password, unsigned db)
{
    struct redis_url u = parse(url);
    assert_int_equal(u.kind, REDIS_ONE);
    assert_int_equal(u.count, 1);
    assert_string_equal(u.hosts[0].host, host);
    assert_int_equal(u.hosts[0].port, port);
    assert_int_equal(u.data.db, db);
    assert_true(same(u.data.user, user) && same(u.data.password, password));
    redis_url_release(&u);
}

static void one_server(void **state)
{
    check("redis://localhost", "localhost", 6379, NULL, NULL, 0);
    check("redis://localhost:7000/3", "localhost", 7000, NULL, NULL, 3);
    check("localhost:7000", "localhost", 7000, NULL, NULL, 0);
    check("redis://:secret@h", "h", 6379, NULL, "secret", 0);
    check("redis://secret@h", "h", 6379, NULL, "secret", 0);
    check("redis://u:p%40s%2Fw%2C@h:1", "h", 1, "u", "p@s/w,", 0);
    check("redis://[::1]:7000/1", "::1", 7000, NULL, NULL, 1);
    check(" redis://h/ ", "h", 6379, NULL, NULL, 0);
    check("rediss://u:p@h", "h", 6379, "u", "p", 0);
}

static void check_hosts(const char *url, enum redis_kind kind, bool tls, const char *master, const char *const *hosts)
{
    struct redis_url u = parse(url);
    assert_int_equal(u.kind, kind);
    assert_int_equal(u.tls, tls);
    assert_true(same(u.master, master));
    for (size_t i = 0; i < u.count; i++) {
        char *label = endpoint_label(&u.hosts[i]);
        assert_string_equal(label, hosts[i]);
        free(label);
    }
    assert_null(hosts[u.count]);
    redis_url_release(&u);
}

static void several_hosts(void **state)
{
    const char *const several[] = {"a:6379", "b:7", "[::1]:8", NULL};
    check_hosts("redis://u:p@a,b:7,[::1]:8/2", REDIS_SEVERAL, false, NULL, several);
    check_hosts("rediss://a,b:7,[::1]:8", REDIS_SEVERAL, true, NULL, several);
    const char *const sentinels[] = {"a:26379", "b:7", NULL};
    check_hosts("redis+sentinel://u:p@a,b:7/my%2Fmaster/3", REDIS_SENTINEL, false, "my/master", sentinels);
    check_hosts("rediss+sentinel://a,b:7/m", REDIS_SENTINEL, true, "m", sentinels);
    const char *const seeds[] = {"a:6379", "b:6379", NULL};
    check_hosts("redis+cluster://a,b", REDIS_CLUSTER, false, NULL, seeds);
    check_hosts("rediss+cluster://a,b/", REDIS_CLUSTER, true, NULL, seeds);
}

static void mistakes(void **state)
{
    const char *bad[] = {"",
                         "redis://",
                         "redis://:7000",
                         "redis://h:0",
                         "redis://h:65536",
                         "redis://h:x",
                         "http://h",
                         "redis+http://h",
                         "redis://h/x",
                         "redis://[::1",
                         "redis://[::1]x",
                         "redis://u:%4@h",
                         "redis://%0@h",
                         "redis://u:%00@h",
                         "redis://a,,b",
                         "redis://a,b,",
                         "redis://a,b:6379,b",
                         "redis+sentinel://a,b",
                         "redis+sentinel://a,b/",
                         "redis+sentinel://a,b//0",
                         "redis+sentinel://a/m/x",
                         "redis+sentinel://a/%00",
                         "redis+cluster://a/1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct redis_url u;
        const char *why = NULL;
        if (redis_url_parse(slice_of(bad[i]), &u, &why) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(why);
        assert_null(u.hosts);
    }
}

static void no_more_hosts_than_nodes(void **state)
{
    struct buf text = {0};
    const char *why;
    struct redis_url u;
    for (int i = 0; i < REDIS_NODES_MAX; i++)
        buf_printf(&text, "%sh%d", i > 0 ? "," : "", i);
    assert_int_equal(redis_url_parse(buf_slice(&text), &u, &why), 0);
    assert_int_equal(u.count, REDIS_NODES_MAX);
    redis_url_release(&u);
    buf_lit(&text, ",more");
    assert_int_equal(redis_url_parse(buf_slice(&text), &u, &why), -1);
    buf_release(&text);
}

static void labels_hold_no_credential(void **state)
{
    struct redis_url u = parse("redis://u:p@[::1]:7");
    struct endpoint e = u.data;
    e.host = u.hosts[0].host;
    e.port = u.hosts[0].port;
    char *label = endpoint_label(&e);
    assert_string_equal(label, "[::1]:7");
    free(label);
    redis_url_release(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server),
        cmocka_unit_test(several_hosts),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(no_more_hosts_than_nodes),
        cmocka_unit_test(labels_hold_no_credential),
    };
    return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}

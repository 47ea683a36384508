/* REDIS_URL in its forms, and a sentence for each mistake. */
#include "common/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(const char *url, const char *host, unsigned port, const char *user, const char *password, unsigned db)
{
    struct endpoint e;
    const char *why = NULL;
    if (endpoint_parse_redis(slice_of(url), &e, &why) != 0)
        fail_msg("%s: %s", url, why);
    assert_string_equal(e.host, host);
    assert_int_equal(e.port, port);
    assert_int_equal(e.db, db);
    assert_true((e.user == NULL) == (user == NULL) && (user == NULL || strcmp(e.user, user) == 0));
    assert_true((e.password == NULL) == (password == NULL) && (password == NULL || strcmp(e.password, password) == 0));
    endpoint_release(&e);
}

static void forms(void **state)
{
    check("redis://localhost", "localhost", 6379, NULL, NULL, 0);
    check("redis://localhost:7000/3", "localhost", 7000, NULL, NULL, 3);
    check("localhost:7000", "localhost", 7000, NULL, NULL, 0);
    check("redis://:secret@h", "h", 6379, NULL, "secret", 0);
    check("redis://secret@h", "h", 6379, NULL, "secret", 0);
    check("redis://u:p%40s%2Fw@h:1", "h", 1, "u", "p@s/w", 0);
    check("redis://[::1]:7000/1", "::1", 7000, NULL, NULL, 1);
    check(" redis://h/ ", "h", 6379, NULL, NULL, 0);
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
                         "rediss://h",
                         "redis://h/x",
                         "redis://[::1",
                         "redis://[::1]x",
                         "redis://u:%4@h",
                         "redis://%0@h",
                         "redis://u:%00@h"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct endpoint e;
        const char *why = NULL;
        assert_int_equal(endpoint_parse_redis(slice_of(bad[i]), &e, &why), -1);
        assert_non_null(why);
        assert_null(e.host);
    }
}

static void labels_hold_no_credential(void **state)
{
    struct endpoint e;
    const char *why;
    assert_int_equal(endpoint_parse_redis(SLICE("redis://u:p@[::1]:7"), &e, &why), 0);
    char *label = endpoint_label(&e);
    assert_string_equal(label, "[::1]:7");
    free(label);
    endpoint_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(labels_hold_no_credential),
    };
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}

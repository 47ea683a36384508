/* The gateway's own table: what profiles change, what is refused, and what production refuses. */
#include "gateway/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECRET "JWT_SECRET_KEY=0123456789abcdef0123456789abcdef"

/* Up to seven variables and a NULL. */
#define VARIABLES(...) ((const char *const[8]){__VA_ARGS__})

/* --check under these variables: its exit code, and what it wrote to err; the values where wanted. */
static int check(const char *const *env, char **err_text, struct gateway_config *values)
{
    const char *const argv[] = {"tidegate-gateway", "--check", NULL};
    char *out_text;
    size_t out_size, err_size;
    FILE *out = open_memstream(&out_text, &out_size), *err = open_memstream(err_text, &err_size);
    struct config *cfg = config_new(&gateway_config_table, values);
    int code = config_start(cfg, 2, (char *const *)argv, (char *const *)env, out, err);
    config_free(cfg);
    fclose(out);
    fclose(err);
    free(out_text);
    return code;
}

static void assert_says(const char *const *env, int code, const char *line)
{
    struct gateway_config v;
    char *err;
    assert_int_equal(check(env, &err, &v), code);
    if (strcmp(err, line) != 0)
        print_error("%s", err);
    assert_string_equal(err, line);
    free(err);
}

static void test_a_key_is_all_it_needs(void **state)
{
    assert_says(VARIABLES(SECRET), 0, "");
    assert_says(VARIABLES("BETTER_AUTH_SECRET=0123456789abcdef0123456789abcdef"), 0, "");
    assert_says(VARIABLES(NULL), 2,
                "tidegate-gateway: error: JWT_SECRET_KEY (or JWT_SECRET, BETTER_AUTH_SECRET) is not set: no token can "
                "be checked\n");
}

static void test_examples_are_no_secrets(void **state)
{
    assert_says(VARIABLES("JWT_SECRET=your-secret-key-change-in-production"), 0,
                "tidegate-gateway: warning: JWT_SECRET_KEY is an example out of a document: anybody can make tokens\n");
    assert_says(VARIABLES("JWT_SECRET=your-secret-key-change-in-production", "NODE_ENV=production"), 2,
                "tidegate-gateway: error: JWT_SECRET_KEY is an example out of a document: anybody can make tokens "
                "(refused because ENVIRONMENT is production)\n");
    assert_says(VARIABLES(SECRET, "API_TOKEN=Change-Me", "NODE_ENV=production"), 2,
                "tidegate-gateway: error: API_TOKEN is an example out of a document: anybody can use it (refused "
                "because ENVIRONMENT is production)\n");
    assert_says(VARIABLES("JWT_SECRET=short", "ENVIRONMENT=production"), 0,
                "tidegate-gateway: warning: JWT_SECRET_KEY is shorter than 32 bytes and can be guessed\n");
}

static void test_production_refuses_open_doors(void **state)
{
    assert_says(VARIABLES("WS_AUTH=path", "PROFILE=skill"), 0,
                "tidegate-gateway: warning: WS_AUTH=path believes any user id that a client names\n");
    assert_says(VARIABLES(SECRET, "WS_AUTH=path", "CONFORMANCE=1", "PROFILE=todo", "ENVIRONMENT=production"), 2,
                "tidegate-gateway: error: WS_AUTH=path believes any user id that a client names (refused because "
                "ENVIRONMENT is production)\n"
                "tidegate-gateway: error: API_AUTH=open lets anybody publish and read statistics (refused because "
                "ENVIRONMENT is production)\n"
                "tidegate-gateway: error: CONFORMANCE=1 opens /echo to anybody (refused because ENVIRONMENT is "
                "production)\n");
}

static void test_options_that_contradict_each_other(void **state)
{
    assert_says(VARIABLES(SECRET, "IDLE_PING=1m"), 2,
                "tidegate-gateway: error: IDLE_PING must be shorter than CONNECTION_TIMEOUT, or every quiet client is "
                "closed\n");
    assert_says(VARIABLES(SECRET, "JWT_USER_CLAIMS=, ,"), 2,
                "tidegate-gateway: error: JWT_USER_CLAIMS names no claim\n");
    assert_says(VARIABLES(SECRET, "AUTH_CLOSE_CODE=1000"), 2,
                "tidegate-gateway: error: AUTH_CLOSE_CODE=1000 (in the environment) is not allowed: number, 1008 or "
                "4000 to 4999\n");
}

static void test_profiles(void **state)
{
    static const struct {
        const char *profile, *claims, *origins;
        int port, close_code, per_ip, per_user;
        enum config_api_auth api_auth;
        enum config_health_shape health;
    } rows[] = {
        {"none", "sub,user_id,userId", NULL, 8080, 4001, 0, 100, API_AUTH_REQUIRED, HEALTH_TIDEGATE},
        {"task-sync", "user_id,sub,userId", "*", 8000, 4001, 0, 100, API_AUTH_OPEN, HEALTH_TIDEGATE},
        {"todo", "sub,user_id,userId", "*", 8005, 4001, 0, 5, API_AUTH_OPEN, HEALTH_TODO},
        {"survey", "userId,sub,user_id", "http://localhost:3000,http://localhost:3001,http://localhost:3002", 3002,
         4001, 10, 0, API_AUTH_OPEN, HEALTH_SURVEY},
        {"notisync", "sub,user_id,userId", "*", 8080, 1008, 0, 100, API_AUTH_USER, HEALTH_NOTISYNC},
        {"skill", "sub", "*", 8005, 4001, 0, 100, API_AUTH_REQUIRED, HEALTH_SKILL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct gateway_config v;
        config_defaults(&gateway_config_table, rows[i].profile, &v);
        assert_string_equal(v.jwt_user_claims, rows[i].claims);
        assert_true(slice_eq(slice_of(v.allowed_origins), slice_of(rows[i].origins)));
        assert_int_equal(v.port, rows[i].port);
        assert_int_equal(v.auth_close_code, rows[i].close_code);
        assert_int_equal(v.max_connections_per_ip, rows[i].per_ip);
        assert_int_equal(v.max_connections_per_user, rows[i].per_user);
        assert_int_equal(v.api_auth, rows[i].api_auth);
        assert_int_equal(v.health_shape, rows[i].health);
        assert_int_equal(v.heartbeat_interval, 30000);
        assert_int_equal(v.rate_limit_max_messages, 100);
        assert_int_equal(v.rate_limit_window, 60000);
    }
}

static void test_bare_heartbeats(void **state)
{
    static const struct {
        const char *profile, *interval;
        uint64_t ms;
    } rows[] = {
        {"PROFILE=none", "HEARTBEAT_INTERVAL=25", 25000},      {"PROFILE=none", "HEARTBEAT_INTERVAL=25000", 25000},
        {"PROFILE=task-sync", "HEARTBEAT_INTERVAL=25", 25000}, {"PROFILE=todo", "HEARTBEAT_INTERVAL=1200", 1200000},
        {"PROFILE=survey", "HEARTBEAT_INTERVAL=500", 500},     {"PROFILE=notisync", "HEARTBEAT_INTERVAL=5", 5000},
        {"PROFILE=skill", "HEARTBEAT_INTERVAL=250ms", 250},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct gateway_config v;
        char *err;
        const char *const *env =
            VARIABLES(SECRET, rows[i].profile, rows[i].interval, "CONNECTION_TIMEOUT=45000", "RATE_LIMIT_WINDOW=1500");
        assert_int_equal(check(env, &err, &v), 0);
        assert_int_equal(v.heartbeat_interval, rows[i].ms);
        assert_int_equal(v.connection_timeout, 45000);
        assert_int_equal(v.rate_limit_window, 1500);
        free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_all_it_needs),
        cmocka_unit_test(test_examples_are_no_secrets),
        cmocka_unit_test(test_production_refuses_open_doors),
        cmocka_unit_test(test_options_that_contradict_each_other),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_bare_heartbeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The router's own table: what profiles change, what is refused, and how START is read. */
#include "router/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Up to seven variables and a NULL. */
#define VARIABLES(...) ((const char *const[8]){__VA_ARGS__})

static void assert_says(const char *const *env, int code, const char *line)
{
    const char *const argv[] = {"tidegate-router", "--check", NULL};
    char *out_text, *err_text;
    size_t out_size, err_size;
    FILE *out = open_memstream(&out_text, &out_size), *err = open_memstream(&err_text, &err_size);
    struct router_config v;
    struct config *cfg = config_new(&router_config_table, &v);
    assert_int_equal(config_start(cfg, 2, (char *const *)argv, (char *const *)env, out, err), code);
    config_free(cfg);
    fclose(out);
    fclose(err);
    assert_string_equal(err_text, line);
    free(out_text);
    free(err_text);
}

static void test_refusals(void **state)
{
    assert_says(VARIABLES(NULL), 0, "");
    assert_says(VARIABLES("START=yesterday"), 2,
                "tidegate-router: error: START=yesterday: must be latest, earliest or a time such as 30m, 12h or 7d\n");
    assert_says(VARIABLES("STATIC_MEMBERSHIP=1"), 2,
                "tidegate-router: error: STATIC_MEMBERSHIP=1 needs HOSTNAME, a name that no other router has\n");
    assert_says(VARIABLES("STATIC_MEMBERSHIP=1", "HOSTNAME=router-0"), 0, "");
    assert_says(VARIABLES("KAFKA_BROKERS=,"), 2, "tidegate-router: error: KAFKA_BROKERS names no broker\n");
    assert_says(VARIABLES("DAPR_INGEST=1"), 2,
                "tidegate-router: error: DAPR_INGEST=1 needs DAPR_PUBSUB, the name of the pub/sub component\n");
    assert_says(VARIABLES("DAPR_INGEST=1", "DAPR_PUBSUB_NAME=taskpubsub"), 0, "");
    assert_says(VARIABLES("DAPR_INGEST=1", "PROFILE=skill", "INGEST_TOPIC=task-updates"), 2,
                "tidegate-router: error: INGEST_TOPIC must differ from DAPR_TOPIC, or the sidecar delivers what it is "
                "given for ever\n");
}

static void test_profiles(void **state)
{
    static const struct {
        const char *profile, *pubsub, *app_id, *group;
    } rows[] = {
        {"none", NULL, NULL, "tidegate"},
        {"task-sync", "kafka-pubsub", "websocket-sync-service", "tidegate"},
        {"todo", "taskpubsub", "websocket-service", "tidegate"},
        {"survey", NULL, NULL, "websocket-consumers"},
        {"notisync", NULL, NULL, "tidegate"},
        {"skill", "taskpubsub", "websocket-service", "tidegate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct router_config v;
        config_defaults(&router_config_table, rows[i].profile, &v);
        assert_true(slice_eq(slice_of(v.dapr_pubsub), slice_of(rows[i].pubsub)));
        assert_true(slice_eq(slice_of(v.dapr_app_id), slice_of(rows[i].app_id)));
        assert_string_equal(v.kafka_group_id, rows[i].group);
        assert_string_equal(v.dapr_topic, "task-updates");
    }
}

static void test_start(void **state)
{
    enum router_start start;
    uint64_t back_ms;
    assert_int_equal(router_start_parse("Latest", &start, &back_ms), 0);
    assert_int_equal(start, START_LATEST);
    assert_int_equal(router_start_parse("earliest", &start, &back_ms), 0);
    assert_int_equal(start, START_EARLIEST);
    assert_int_equal(router_start_parse("12h", &start, &back_ms), 0);
    assert_int_equal(start, START_BACK);
    assert_int_equal(back_ms, 12 * 3600 * 1000);
    assert_int_equal(router_start_parse("12", &start, &back_ms), -1);
    assert_int_equal(router_start_parse("", &start, &back_ms), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

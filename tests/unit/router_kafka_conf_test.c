/* Properties for librdkafka: ours, the settings', the operator's, and those that nobody may change. */
#include "router/kafka_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct kafka_settings base = {
    .brokers = "b:1", .client_id = "c", .group_id = "g", .session_ms = 10000, .delivery_bound_ms = 30000};

static struct kafka_settings with(const struct kafka_property *property)
{
    struct kafka_settings s = base;
    s.properties = property;
    s.property_count = 1;
    return s;
}

static void assert_property(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
    char value[256] = "";
    size_t size = sizeof(value);
    assert_int_equal(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(value, expected);
}

static void test_what_delivery_rests_on(void **state)
{
    char *why = NULL;
    rd_kafka_conf_t *conf = kafka_conf_new(&base, KAFKA_CONSUMER, &why);
    assert_non_null(conf);
    assert_property(conf, "bootstrap.servers", "b:1");
    assert_property(conf, "group.id", "g");
    assert_property(conf, "partition.assignment.strategy", "cooperative-sticky");
    assert_property(conf, "enable.auto.commit", "false");
    assert_property(conf, "enable.auto.offset.store", "false");
    assert_property(conf, "session.timeout.ms", "10000");
    assert_property(conf, "max.poll.interval.ms", "30000");
    assert_property(conf, "queued.max.messages.kbytes", "65536");
    rd_kafka_conf_destroy(conf);

    conf = kafka_conf_new(&base, KAFKA_PRODUCER, &why);
    assert_non_null(conf);
    assert_property(conf, "enable.idempotence", "true");
    assert_property(conf, "message.timeout.ms", "30000");
    rd_kafka_conf_destroy(conf);
}

static void test_topics_that_vanish_are_told_of(void **state)
{
    char *why = NULL;
    rd_kafka_conf_t *conf = kafka_conf_new(&base, KAFKA_CONSUMER, &why);
    assert_property(conf, "debug", KAFKA_DEBUG);
    rd_kafka_conf_destroy(conf);
    struct kafka_settings s = with(&(struct kafka_property){SLICE("DEBUG"), "cgrp"});
    conf = kafka_conf_new(&s, KAFKA_CONSUMER, &why);
    assert_property(conf, "debug", KAFKA_DEBUG ",cgrp");
    rd_kafka_conf_destroy(conf);
}

static void test_static_membership(void **state)
{
    char *why = NULL;
    struct kafka_settings s = base;
    s.instance_id = "router-0";
    rd_kafka_conf_t *conf = kafka_conf_new(&s, KAFKA_CONSUMER, &why);
    assert_property(conf, "group.instance.id", "router-0");
    rd_kafka_conf_destroy(conf);
}

static void test_names_of_properties(void **state)
{
    static const struct kafka_property spellings[] = {{SLICE("FETCH_WAIT_MAX_MS"), "7"},
                                                      {SLICE("fetch.wait.max.ms"), "7"}};
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        char *why = NULL;
        struct kafka_settings s = with(&spellings[i]);
        rd_kafka_conf_t *conf = kafka_conf_new(&s, KAFKA_CONSUMER, &why);
        assert_non_null(conf);
        assert_property(conf, "fetch.wait.max.ms", "7");
        rd_kafka_conf_destroy(conf);
    }
}

static void assert_refused(struct kafka_property property, const char *expected)
{
    char *why = NULL;
    struct kafka_settings s = with(&property);
    assert_null(kafka_conf_new(&s, KAFKA_CONSUMER, &why));
    if (strstr(why, expected) == NULL)
        fail_msg("%s does not say %s", why, expected);
    free(why);
}

static void test_refusals(void **state)
{
    assert_refused((struct kafka_property){SLICE("NO_SUCH_THING"), "1"}, "no.such.thing");
    assert_refused((struct kafka_property){SLICE("SESSION_TIMEOUT_MS"), "soon"}, "session.timeout.ms");
    assert_refused((struct kafka_property){SLICE("ENABLE_AUTO_COMMIT"), "true"},
                   "enable.auto.commit cannot be changed: only what Redis holds is committed");
    assert_refused((struct kafka_property){SLICE("auto.offset.reset"), "latest"}, "START");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_delivery_rests_on),
        cmocka_unit_test(test_static_membership),
        cmocka_unit_test(test_topics_that_vanish_are_told_of),
        cmocka_unit_test(test_names_of_properties),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

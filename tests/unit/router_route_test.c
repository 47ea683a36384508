/* Routes: what a table says once it is read, and where and why a bad file is refused. */
#include "router/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *no_variables(void *arg, const char *name)
{
    return NULL;
}

static struct route_table *parse(struct slice text, const char *profile)
{
    char *why = NULL;
    struct route_source source = {.file = "routes.json", .text = text, .profile = profile, .env = no_variables};
    struct route_table *t = routes_parse(&source, &why);
    if (t == NULL)
        fail_msg("%s", why);
    return t;
}

static void assert_refused(const char *text, const char *expected)
{
    char *why = NULL;
    struct route_source source = {.file = "routes.json", .text = slice_of(text), .env = no_variables};
    assert_null(routes_parse(&source, &why));
    assert_string_equal(why, expected);
    free(why);
}

/* One row's members, put into a table that has a topic and a form; the row starts at 1:13. */
static void assert_row_refused(const char *members, const char *expected)
{
    char *text = xasprintf("{\"routes\": [{\"topic\": \"t\", \"form\": \"json\", %s}]}", members);
    assert_refused(text, expected);
    free(text);
}

static void assert_described(const struct route_table *t, const char *expected)
{
    struct buf b = {0};
    routes_describe(t, &b);
    buf_byte(&b, '\0');
    assert_string_equal(b.p, expected);
    buf_release(&b);
}

static void defaults_hold_tasks_always(void **state)
{
    struct route_table *t = parse(routes_default(), NULL);
    assert_int_equal(t->count, 1);
    assert_string_equal(t->rows[0].topic_text, "task-updates");
    assert_int_equal(t->rows[0].form, ROUTE_TASK);
    assert_true(t->rows[0].members);
    assert_false(t->rows[0].ephemeral);
    assert_ptr_equal(routes_find(t, SLICE("task-updates")), &t->rows[0]);
    assert_null(routes_find(t, SLICE("survey.responses")));
    routes_free(t);
}

static void defaults_hold_surveys_under_their_profile(void **state)
{
    struct route_table *t = parse(routes_default(), "survey");
    assert_described(
        t,
        "task-updates: task as \"task_update\" (members beside its type), to {target?} else user:{user_id}\n"
        "survey.responses: json as \"response.new\", to survey:{surveyId} and project:{metadata.projectId?}; payload: "
        "\"type\":\"response.new\", only surveyId, responseId, response, metadata, timestamp from timestamp or "
        "metadata.timestamp or the record's time\n"
        "survey.analytics: json as \"analytics.update\", to survey:{surveyId} and project:{projectId?}; payload: "
        "\"type\":\"analytics.update\", only surveyId, analytics, type as updateType, timestamp from timestamp or the "
        "record's time\n"
        "surveyor.locations: json as \"surveyor.location\", to survey:{surveyId} and project:{projectId?}; payload: "
        "\"type\":\"surveyor.location\", only surveyorId, surveyId, location, metadata, timestamp from timestamp or "
        "the record's time\n"
        "system.notifications: json as \"notification\", to user:{userId?} else global; payload: "
        "\"type\":\"notification\", only type as notificationType, title, message, priority, metadata, timestamp from "
        "timestamp or the record's time\n");
    routes_free(t);
}

static void rows_of_other_profiles_are_named_but_not_in_force(void **state)
{
    struct route_table *t = parse(SLICE("{\"routes\":["
                                        "{\"topic\":\"a\",\"profile\":\"p\",\"form\":\"json\",\"event\":\"e\","
                                        "\"targets\":[\"global\"]},"
                                        "{\"topic\":\"a\",\"profile\":\"q\",\"form\":\"text\",\"event\":\"e\","
                                        "\"targets\":[\"lobby\"],\"history\":\"none\"},"
                                        "{\"topic\":\"b\",\"form\":\"json\",\"event\":\"{kind}\",\"history\":\"keep\","
                                        "\"targets\":[\"user:{to}\"],\"key\":\"{id?}\",\"conflate\":\"{place}\","
                                        "\"source_device\":\"{device?}\",\"mapping\":{\"drop\":[\"to\",\"x\"],"
                                        "\"rename\":{\"a\":\"b\"}}}]}"),
                                  "q");
    assert_int_equal(t->count, 2);
    assert_true(routes_find(t, SLICE("a"))->ephemeral);
    assert_described(t, "a: text as \"e\", to lobby; not kept in history\n"
                        "b: json as \"{kind}\", to user:{to}; payload: the record, a as b, without to, x; key {id?}; "
                        "source device {device?}; conflated by {place}\n"
                        "a: not in force, only with PROFILE=p\n");
    routes_free(t);
}

static void rows_that_name_no_key_get_the_field(void **state)
{
    char *why = NULL;
    struct route_source source = {
        .file = "routes.json",
        .text = SLICE("{\"routes\":["
                      "{\"topic\":\"a\",\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"]},"
                      "{\"topic\":\"b\",\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"],\"key\":\"none\"},"
                      "{\"topic\":\"c\",\"form\":\"text\",\"event\":\"e\",\"targets\":[\"global\"]},"
                      "{\"topic\":\"d\",\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"],\"key\":\"{n}\"}]}"),
        .dedupe_field = SLICE("meta.id"),
        .env = no_variables};
    struct route_table *t = routes_parse(&source, &why);
    assert_non_null(t);
    assert_described(t, "a: json as \"e\", to global; key, if there is one, meta.id\n"
                        "b: json as \"e\", to global; keys are not looked for\n"
                        "c: text as \"e\", to global\n"
                        "d: json as \"e\", to global; key {n}\n");
    routes_free(t);
    source.dedupe_field = SLICE("a..b");
    assert_null(routes_parse(&source, &why));
    assert_non_null(strstr(why, "DEDUPE_FIELD: a field is a name"));
    free(why);
}

static const char *some_variables(void *arg, const char *name)
{
    if (strcmp(name, "SET") == 0)
        return "orders";
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void assert_topic(const char *written, const char *expected)
{
    char *text = xasprintf(
        "{\"routes\":[{\"topic\":\"%s\",\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"]}]}", written);
    char *why = NULL;
    struct route_source source = {.file = "f", .text = slice_of(text), .env = some_variables};
    struct route_table *t = routes_parse(&source, &why);
    assert_string_equal(t != NULL ? t->rows[0].topic_text : why, expected);
    routes_free(t);
    free(why);
    free(text);
}

static void topics_take_variables(void **state)
{
    assert_topic("${SET:-other}", "orders");
    assert_topic("${SET}", "orders");
    assert_topic("${UNSET:-other}", "other");
    assert_topic("${UNSET:other}", "other");
    assert_topic("${EMPTY:-other}", "other");
    assert_topic("eu.${SET:-x}.v${UNSET:-1}", "eu.orders.v1");
    assert_topic("$plain", "f:1:21: routes[0].topic: \"$plain\" is no topic: 1 to 249 of A-Z a-z 0-9 . _ -");
    assert_topic("${UNSET}", "f:1:21: routes[0].topic: ${UNSET} is not set and has no default");
    assert_topic("${:-x}", "f:1:21: routes[0].topic: ${} is not set and has no default");
    assert_topic("${SET", "f:1:21: routes[0].topic: \"${\" without \"}\"");
    assert_topic("${UNSET:-}", "f:1:21: routes[0].topic: \"\" is no topic: 1 to 249 of A-Z a-z 0-9 . _ -");
    assert_topic("..", "f:1:21: routes[0].topic: \"..\" is no topic: 1 to 249 of A-Z a-z 0-9 . _ -");
}

static void bad_json_is_refused_at_its_place(void **state)
{
    assert_refused("", "routes.json:1:1: the text ends too early");
    assert_refused("{\n  \"routes\": [\n    {,\n", "routes.json:3:6: a key must be a string");
    assert_refused("[]", "routes.json:1:1: must be an object");
    assert_refused("{}", "routes.json:1:1: \"routes\" is missing");
    assert_refused("{\"routes\": []}", "routes.json:1:12: routes: must have 1 to 256 elements");
    assert_refused("{\"routes\": {}}", "routes.json:1:12: routes: must be an array");
    assert_refused("{\"routes\": [7]}", "routes.json:1:13: routes[0]: must be an object");
    assert_refused("{\"routes\": [{}],\n \"other\": 1}", "routes.json:2:2: unknown member \"other\"");
    assert_refused("{\"routes\": [{}], \"routes\": [{}]}", "routes.json:1:18: \"routes\" comes twice");
}

static void rows_are_checked(void **state)
{
    assert_row_refused("\"event\": \"e\"", "routes.json:1:13: routes[0]: \"targets\" is missing");
    assert_row_refused("\"evnt\": \"e\"", "routes.json:1:44: routes[0]: unknown member \"evnt\"");
    assert_row_refused("\"event\": 5, \"targets\": [\"global\"]",
                       "routes.json:1:53: routes[0].event: must be a string");
    assert_row_refused("\"event\": \"{e?}\", \"targets\": [\"global\"]",
                       "routes.json:1:53: routes[0].event: every event has a name: no \"?\" here");
    assert_row_refused("\"event\": \"e\", \"targets\": []",
                       "routes.json:1:69: routes[0].targets: must have 1 to 16 elements");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"g\"], \"key\": \"k\"",
                       "routes.json:1:83: routes[0].key: must have a field, or be \"none\": all records would be one");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"user:{a\"]",
                       "routes.json:1:70: routes[0].targets[0]: an opening brace without a closing one");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"user:a}\"]",
                       "routes.json:1:70: routes[0].targets[0]: a closing brace without an opening one");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"g\", \"user:{a..b}\"]",
                       "routes.json:1:75: routes[0].targets[1]: a field is a name, or names with dots between them, "
                       "and perhaps a question mark at the end");
    assert_row_refused("\"event\": \"e\", \"targets\": [[\"user:{a}\", \"global\"]]",
                       "routes.json:1:83: routes[0].targets[0][1]: never reached: what stands before it has no "
                       "optional field");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"\"]",
                       "routes.json:1:70: routes[0].targets[0]: a template has 1 to 259 bytes");
    assert_row_refused("\"event\": \"a\\nb\", \"targets\": [\"g\"]",
                       "routes.json:1:53: routes[0].event: control characters");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"g\"], \"history\": \"some\"",
                       "routes.json:1:87: routes[0].history: must be \"keep\" or \"none\"");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"g\"], \"members\": 1",
                       "routes.json:1:87: routes[0].members: must be true or false");
    assert_row_refused("\"event\": \"e\", \"targets\": [\"g\"], \"profile\": \"\"",
                       "routes.json:1:87: routes[0].profile: must not be empty");
}

static void forms_are_checked(void **state)
{
    assert_refused("{\"routes\": [{\"topic\": \"t\", \"form\": \"xml\"}]}",
                   "routes.json:1:36: routes[0].form: must be task, json, text or binary");
    assert_refused("{\"routes\": [{\"topic\": \"t\", \"form\": \"text\", \"event\": \"e\", \"targets\": [\"{a}\"]}]}",
                   "routes.json:1:70: routes[0].targets[0]: the form text has no fields");
    assert_refused("{\"routes\": [{\"topic\": \"t\", \"form\": \"text\", \"event\": \"{id}\", \"targets\": [\"a\"]}]}",
                   "routes.json:1:53: routes[0].event: the form text has no fields");
    assert_refused("{\"routes\": [{\"topic\": \"t\", \"form\": \"binary\", \"event\": \"e\", \"targets\": [\"a\"],"
                   " \"members\": true}]}",
                   "routes.json:1:13: routes[0]: the form binary has no members");
    assert_refused("{\"routes\": [{\"topic\": \"t\", \"form\": \"task\", \"event\": \"e\", \"targets\": [\"a\"],"
                   " \"mapping\": {}}]}",
                   "routes.json:1:13: routes[0]: the form task has no mapping");
}

static void a_topic_has_one_route_in_force(void **state)
{
    assert_refused("{\"routes\": [\n"
                   "{\"topic\": \"t\", \"form\": \"json\", \"event\": \"e\", \"targets\": [\"g\"]},\n"
                   "{\"topic\": \"${X:-t}\", \"form\": \"json\", \"event\": \"e\", \"targets\": [\"g\"]}]}",
                   "routes.json:3:1: routes[1]: a second route for the topic t");
}

static void assert_mapping_refused(const char *mapping, const char *expected)
{
    char *members = xasprintf("\"event\": \"e\", \"targets\": [\"g\"], \"mapping\": %s", mapping);
    assert_row_refused(members, expected);
    free(members);
}

static void mappings_are_checked(void **state)
{
    assert_mapping_refused("[]", "routes.json:1:87: routes[0].mapping: must be an object");
    assert_mapping_refused("{\"set\": 1}", "routes.json:1:95: routes[0].mapping.set: must be an object");
    assert_mapping_refused("{\"keep\": [\"a\", 1]}", "routes.json:1:102: routes[0].mapping.keep[1]: must be a string");
    assert_mapping_refused("{\"keep\": [\"a\"], \"drop\": [\"b\"]}",
                           "routes.json:1:111: routes[0].mapping.drop: beside \"keep\": what is not kept is dropped "
                           "anyway");
    assert_mapping_refused("{\"keep\": [\"a\"], \"rename\": {\"b\": \"c\"}}",
                           "routes.json:1:114: routes[0].mapping.rename: \"b\" is not among the fields that are kept");
    assert_mapping_refused("{\"rename\": {\"b\": \"c\", \"b\": \"d\"}}",
                           "routes.json:1:109: routes[0].mapping.rename: \"b\" comes twice");
    assert_mapping_refused("{\"set\": {\"a\": 1}, \"keep\": [\"a\"]}",
                           "routes.json:1:87: routes[0].mapping: the payload would have \"a\" twice");
    assert_mapping_refused("{\"keep\": [\"timestamp\"], \"timestamp\": []}",
                           "routes.json:1:87: routes[0].mapping: the payload would have \"timestamp\" twice");
    assert_mapping_refused("{\"timestamp\": [\"a\", \"b.\"]}",
                           "routes.json:1:107: routes[0].mapping.timestamp[1]: a field is a name, or names with dots "
                           "between them, and perhaps a question mark at the end");
    assert_mapping_refused("{\"timestamp\": [\"a\", \"b\", \"c\", \"d\", \"e\"]}",
                           "routes.json:1:101: routes[0].mapping.timestamp: must have 0 to 4 elements");
}

static void sets_of_fields_are_bounded(void **state)
{
    struct buf b = {0};
    buf_lit(&b, "{\"routes\": [{\"topic\": \"t\", \"form\": \"json\", \"event\": \"e\", \"targets\": [");
    for (int i = 0; i < 9; i++) {
        buf_append(&b, i > 0 ? SLICE(",\"") : SLICE("\""));
        for (int j = 0; j < 8; j++)
            buf_printf(&b, "{f%d_%d}", i, j);
        buf_byte(&b, '"');
    }
    buf_lit(&b, "]}]}");
    buf_byte(&b, '\0');
    char *why = NULL;
    struct route_source source = {.file = "f", .text = slice_of(b.p), .env = no_variables};
    assert_null(routes_parse(&source, &why));
    assert_non_null(strstr(why, "the route names too many fields"));
    free(why);
    buf_release(&b);
}

static void names_may_have_escapes(void **state)
{
    struct route_table *t = parse(SLICE("{\"rout\\u0065s\":[{\"topic\":\"\\u0074\",\"form\":\"js\\u006fn\","
                                        "\"event\":\"\\\"e\\\"\",\"targets\":[\"r\\u006f\\u006fm\"]}]}"),
                                  NULL);
    assert_described(t, "t: json as \"\"e\"\", to room\n");
    routes_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_tasks_always),
        cmocka_unit_test(defaults_hold_surveys_under_their_profile),
        cmocka_unit_test(rows_of_other_profiles_are_named_but_not_in_force),
        cmocka_unit_test(rows_that_name_no_key_get_the_field),
        cmocka_unit_test(topics_take_variables),
        cmocka_unit_test(bad_json_is_refused_at_its_place),
        cmocka_unit_test(rows_are_checked),
        cmocka_unit_test(forms_are_checked),
        cmocka_unit_test(a_topic_has_one_route_in_force),
        cmocka_unit_test(mappings_are_checked),
        cmocka_unit_test(sets_of_fields_are_bounded),
        cmocka_unit_test(names_may_have_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

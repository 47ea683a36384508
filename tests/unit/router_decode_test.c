/* From records to events, compared byte for byte: the forms of task events, mappings, targets, limits and refusals. */
#include "router/route.h"
#include "router_decode_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOON 1767434400000 /* 2026-01-03T10:00:00.000Z */

static struct route_table *table;
static struct decoder decoder;

static void use_routes(struct slice text, const char *profile)
{
    char *why = NULL;
    struct route_source source = {
        .file = "routes", .text = text, .profile = profile, .dedupe_field = SLICE("event_id")};
    if (table != NULL)
        decoder_release(&decoder);
    routes_free(table);
    table = routes_parse(&source, &why);
    if (table == NULL)
        fail_msg("%s", why);
    decoder_init(&decoder, &(struct decoder_conf){
                               .routes = table, .ingest_topic = SLICE("ingest"), .value_max = 4096, .depth_max = 8});
}

static int start(void **state)
{
    use_routes(routes_default(), "survey");
    return 0;
}

static int stop(void **state)
{
    decoder_release(&decoder);
    routes_free(table);
    table = NULL;
    return 0;
}

/* One row, topic t. */
static void use_row(const char *members)
{
    char *text = xasprintf("{\"routes\":[{\"topic\":\"t\",%s}]}", members);
    use_routes(slice_of(text), NULL);
    free(text);
}

static void assert_bytes_decode(const char *topic, struct slice value, const char *expected)
{
    char *copy = exact_copy(value);
    char *got = decode_text(&decoder,
                            &(struct record){.topic = slice_of(topic), .timestamp_ms = NOON, .value = {copy, value.n}});
    assert_string_equal(got, expected);
    free(got);
    free(copy);
}

static void assert_decodes(const char *topic, const char *value, const char *expected)
{
    assert_bytes_decode(topic, slice_of(value), expected);
}

static void assert_task(const char *value, const char *expected)
{
    assert_decodes("task-updates", value, expected);
}

/* The publish line of the task-sync service, as it stands in its manual. */
static void sync_events_become_the_union(void **state)
{
    assert_task("{\n"
                "    \"event_id\": \"test-999\",\n"
                "    \"schema_version\": \"1.0\",\n"
                "    \"event_type\": \"task.sync\",\n"
                "    \"timestamp\": \"2026-01-03T10:00:00Z\",\n"
                "    \"user_id\": 1,\n"
                "    \"operation\": \"create\",\n"
                "    \"task_id\": 123,\n"
                "    \"task_snapshot\": {\n"
                "      \"title\": \"Buy milk\",\n"
                "      \"status\": \"pending\",\n"
                "      \"updated_at\": \"2026-01-03T10:00:00Z\"\n"
                "    }\n"
                "  }",
                "task_update to u:1: {\"operation\":\"create\",\"task_id\":123,\"event\":\"task.created\",\"task\":{\n"
                "      \"title\": \"Buy milk\",\n"
                "      \"status\": \"pending\",\n"
                "      \"updated_at\": \"2026-01-03T10:00:00Z\"\n"
                "    },\"timestamp\":\"2026-01-03T10:00:00Z\"} key=test-999");
}

static void task_events_become_the_union(void **state)
{
    assert_task("{\"event_type\":\"task.created\",\"user_id\":\"user-456\",\"task\":{\"id\":123,\"title\":\"Buy\"}}",
                "task_update to u:user-456: {\"operation\":\"create\",\"task_id\":123,\"event\":\"task.created\","
                "\"task\":{\"id\":123,\"title\":\"Buy\"},\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
    assert_task("{\"event_type\":\"task.updated\",\"user_id\":\"7\",\"task\":{\"id\":\"a-b\"}}",
                "task_update to u:7: {\"operation\":\"update\",\"task_id\":\"a-b\",\"event\":\"task.updated\","
                "\"task\":{\"id\":\"a-b\"},\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
    assert_task("{\"event_type\":\"task.completed\",\"user_id\":7,\"task\":{\"id\":1},\"timestamp\":5}",
                "task_update to u:7: {\"operation\":\"update\",\"task_id\":1,\"event\":\"task.completed\","
                "\"task\":{\"id\":1},\"timestamp\":5}");
    assert_task("{\"event_type\":\"task.deleted\",\"user_id\":7,\"task\":{\"id\":1},\"operation\":\"delete\"}",
                "task_update to u:7: {\"operation\":\"delete\",\"task_id\":1,\"event\":\"task.deleted\","
                "\"task\":{\"id\":1},\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
}

static void operations_and_events_translate(void **state)
{
    assert_task("{\"event_type\":\"task.sync\",\"operation\":\"update\",\"user_id\":1,\"task_id\":\"t\","
                "\"task_snapshot\":{}}",
                "task_update to u:1: {\"operation\":\"update\",\"task_id\":\"t\",\"event\":\"task.updated\","
                "\"task\":{},\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
    assert_task("{\"operation\":\"delete\",\"user_id\":1,\"task_id\":9007199254740993,\"task_snapshot\":null,"
                "\"timestamp\":null}",
                "task_update to u:1: {\"operation\":\"delete\",\"task_id\":9007199254740993,\"event\":\"task.deleted\","
                "\"task\":{\"id\":9007199254740993},\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
    assert_task("{\"event_type\":\"task.sync\",\"operation\":\"upd\\u0061te\",\"user_id\":1,"
                "\"task\":{\"id\":5},\"task_snapshot\":{\"id\":6}}",
                "task_update to u:1: {\"operation\":\"update\",\"task_id\":6,\"event\":\"task.updated\","
                "\"task\":{\"id\":6},\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
}

static void bytes_pass_unchanged(void **state)
{
    assert_task(
        "{\"event_type\":\"task.updated\",\"user_id\":7,\"task_id\":123456789012345678,"
        "\"task\":{\"id\":123456789012345678,\"price\":1.10,\"e\":1E+2,\"z\":-0,\"t\":\"\\u00e9\\/\\ud83d\\ude00"
        "\\ud800 \xc3\xa9\", \"id\" : 2 },\"timestamp\":\"2026\\u002d01\"}",
        "task_update to u:7: {\"operation\":\"update\",\"task_id\":123456789012345678,\"event\":"
        "\"task.updated\",\"task\":{\"id\":123456789012345678,\"price\":1.10,\"e\":1E+2,\"z\":-0,\"t\":"
        "\"\\u00e9\\/\\ud83d\\ude00\\ud800 \xc3\xa9\", \"id\" : 2 },\"timestamp\":\"2026\\u002d01\"}");
}

#define CREATED(user) "{\"event_type\":\"task.created\",\"task\":{\"id\":1}," user "}"
#define CREATED_PAYLOAD                                                                                                \
    "{\"operation\":\"create\",\"task_id\":1,\"event\":\"task.created\",\"task\":{\"id\":1},"                          \
    "\"timestamp\":\"2026-01-03T10:00:00.000Z\"}"

static void a_user_is_a_text(void **state)
{
    assert_task(CREATED("\"user_id\":1"), "task_update to u:1: " CREATED_PAYLOAD);
    assert_task(CREATED("\"user_id\":\"1\""), "task_update to u:1: " CREATED_PAYLOAD);
    assert_task(CREATED("\"user_id\":\"\\u0031\""), "task_update to u:1: " CREATED_PAYLOAD);
    assert_task(CREATED("\"user_id\":\"007\""), "task_update to u:007: " CREATED_PAYLOAD);
    assert_task(CREATED("\"user_id\":12345678901234567890123"),
                "task_update to u:12345678901234567890123: " CREATED_PAYLOAD);
    assert_task(CREATED("\"user_id\":\"global\""), "task_update to u:global: " CREATED_PAYLOAD);
    assert_task(CREATED("\"user_id\":\"a:b\\n\""), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":\"\""), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":1.0"), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":1e3"), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":true"), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":[1]"), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":\"\\ud800\""), "bad_field: user_id");
    assert_task(CREATED("\"user_id\":null"), "missing_field: user_id");
    assert_task(CREATED("\"other\":1"), "missing_field: user_id");
}

static void a_record_may_name_everybody(void **state)
{
    assert_task(CREATED("\"target\":\"global\""), "task_update to g: " CREATED_PAYLOAD);
    assert_task(CREATED("\"target\":\"global\",\"user_id\":1"), "task_update to g: " CREATED_PAYLOAD);
    assert_task(CREATED("\"target\":\"user:5\""), "task_update to u:5: " CREATED_PAYLOAD);
    assert_task(CREATED("\"target\":null,\"user_id\":1"), "task_update to u:1: " CREATED_PAYLOAD);
    assert_task(CREATED("\"target\":{},\"user_id\":1"), "bad_field: target");
}

static void a_route_may_name_everybody(void **state)
{
    use_row("\"form\":\"task\",\"event\":\"task_update\",\"targets\":[\"global\",\"user:{user_id?}\"]");
    assert_decodes("t", CREATED("\"user_id\":1"), "task_update to g,u:1: " CREATED_PAYLOAD);
    assert_decodes("t", CREATED("\"user\":1"), "task_update to g: " CREATED_PAYLOAD);
    start(NULL);
}

static void tasks_that_say_too_little_are_refused(void **state)
{
    assert_task("{\"user_id\":1}", "missing_field: operation");
    assert_task("{\"user_id\":1,\"event_type\":\"task.sync\"}", "missing_field: operation");
    assert_task("{\"user_id\":1,\"event_type\":\"task.archived\"}", "unknown_event_type: event_type");
    assert_task("{\"user_id\":1,\"event_type\":5}", "unknown_event_type: event_type");
    assert_task("{\"user_id\":1,\"operation\":\"upsert\"}", "unknown_operation: operation");
    assert_task("{\"user_id\":1,\"operation\":\"create\",\"event_type\":\"task.deleted\"}",
                "unknown_operation: operation");
    assert_task("{\"user_id\":1,\"operation\":\"create\",\"task_id\":1}", "missing_field: task");
    assert_task("{\"user_id\":1,\"operation\":\"create\",\"task_id\":1,\"task\":\"x\"}", "bad_field: task");
    assert_task("{\"user_id\":1,\"operation\":\"create\",\"task\":{}}", "missing_field: task_id");
    assert_task("{\"user_id\":1,\"operation\":\"delete\"}", "missing_field: task_id");
    assert_task("{\"user_id\":1,\"operation\":\"delete\",\"task_id\":{}}", "bad_field: task_id");
}

/* The four records of the survey service's manual, and the client events it documents. */
static void survey_records_become_the_documented_events(void **state)
{
    assert_decodes("survey.responses",
                   "{\"surveyId\":\"survey123\",\"responseId\":\"response456\",\"response\":{\"q\":1.10},"
                   "\"metadata\":{\"projectId\":\"project789\",\"timestamp\":\"2024-01-01T00:00:00.000Z\"}}",
                   "response.new to r:survey:survey123,r:project:project789: {\"type\":\"response.new\","
                   "\"surveyId\":\"survey123\",\"responseId\":\"response456\",\"response\":{\"q\":1.10},\"metadata\":"
                   "{\"projectId\":\"project789\",\"timestamp\":\"2024-01-01T00:00:00.000Z\"},\"timestamp\":"
                   "\"2024-01-01T00:00:00.000Z\"}");
    assert_decodes("survey.analytics",
                   "{\"surveyId\":\"survey123\",\"projectId\":\"project789\",\"analytics\":{\"n\":2},"
                   "\"type\":\"realtime\"}",
                   "analytics.update to r:survey:survey123,r:project:project789: {\"type\":\"analytics.update\","
                   "\"surveyId\":\"survey123\",\"analytics\":{\"n\":2},\"updateType\":\"realtime\",\"timestamp\":"
                   "\"2026-01-03T10:00:00.000Z\"}");
    assert_decodes("surveyor.locations",
                   "{\"surveyorId\":\"surveyor123\",\"surveyId\":\"survey456\",\"projectId\":\"project789\","
                   "\"location\":{\"coordinates\":{\"latitude\":25.2048,\"longitude\":55.2708},\"accuracy\":10},"
                   "\"metadata\":{}}",
                   "surveyor.location to r:survey:survey456,r:project:project789: {\"type\":\"surveyor.location\","
                   "\"surveyorId\":\"surveyor123\",\"surveyId\":\"survey456\",\"location\":{\"coordinates\":"
                   "{\"latitude\":25.2048,\"longitude\":55.2708},\"accuracy\":10},\"metadata\":{},\"timestamp\":"
                   "\"2026-01-03T10:00:00.000Z\"}");
    assert_decodes(
        "system.notifications",
        "{\"userId\":\"user123\",\"type\":\"info\",\"title\":\"T\",\"message\":\"M\",\"priority\":\"normal\","
        "\"metadata\":{}}",
        "notification to u:user123: {\"type\":\"notification\",\"notificationType\":\"info\",\"title\":\"T\","
        "\"message\":\"M\",\"priority\":\"normal\",\"metadata\":{},\"timestamp\":"
        "\"2026-01-03T10:00:00.000Z\"}");
}

static void optional_targets_may_be_absent(void **state)
{
    /* from the manual's console producer */
    assert_decodes("survey.responses",
                   "{\"surveyId\":\"test123\",\"responseId\":\"resp456\",\"response\":{\"question1\":\"answer1\"},"
                   "\"metadata\":{}}",
                   "response.new to r:survey:test123: {\"type\":\"response.new\",\"surveyId\":\"test123\","
                   "\"responseId\":\"resp456\",\"response\":{\"question1\":\"answer1\"},\"metadata\":{},\"timestamp\":"
                   "\"2026-01-03T10:00:00.000Z\"}");
    assert_decodes("system.notifications", "{\"title\":\"All\"}",
                   "notification to g: {\"type\":\"notification\",\"title\":\"All\",\"timestamp\":"
                   "\"2026-01-03T10:00:00.000Z\"}");
    assert_decodes("survey.responses", "{\"metadata\":{\"projectId\":\"p\"}}", "missing_field: surveyId");
    assert_decodes("survey.responses", "{\"surveyId\":1,\"metadata\":{\"projectId\":{}}}",
                   "bad_field: metadata.projectId");
    assert_decodes("survey.responses", "{\"surveyId\":1,\"metadata\":\"none\"}",
                   "response.new to r:survey:1: {\"type\":\"response.new\",\"surveyId\":1,\"metadata\":\"none\","
                   "\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
}

static void what_is_not_listed_may_be_kept(void **state)
{
    use_row("\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"],\"mapping\":{\"set\":{\"type\":\"x\","
            "\"v\":[1, 1.10]},\"drop\":[\"secret\"],\"rename\":{\"type\":\"kind\"},\"timestamp\":[\"at\"]}");
    assert_decodes("t",
                   "{\"b\":2,\"type\":\"t\",\"a\":1.10,\"secret\":3,\"v\":4,\"kind\":5,\"timestamp\":6,\"at\":\"now\","
                   "\"s\\u0065cret\":7}",
                   "e to g: {\"type\":\"x\",\"v\":[1, 1.10],\"b\":2,\"kind\":\"t\",\"a\":1.10,\"at\":\"now\","
                   "\"timestamp\":\"now\"}");
    assert_decodes("t", "{}", "e to g: {\"type\":\"x\",\"v\":[1, 1.10],\"timestamp\":\"2026-01-03T10:00:00.000Z\"}");
    use_row("\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"],\"mapping\":{}");
    assert_decodes("t", "{}", "e to g: {}");
    assert_decodes("t", "{ \"a\" : 1 }", "e to g: {\"a\":1}");
    use_row("\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"],\"mapping\":{\"keep\":[\"a\",\"b\"]}");
    assert_decodes("t", "{\"b\":null,\"c\":1,\"a\":[]}", "e to g: {\"a\":[],\"b\":null}");
    assert_decodes("t", "{\"c\":1}", "e to g: {}");
    start(NULL);
}

static void without_mapping_the_record_is_the_payload(void **state)
{
    use_row("\"form\":\"json\",\"event\":\"{kind}\",\"targets\":[\"room:{a.b.c}-{n}\"],\"key\":\"{id?}\","
            "\"source_device\":\"{device?}\",\"conflate\":\"{a.b.c}\"");
    assert_decodes("t", " {\"kind\":\"k\", \"a\":{\"b\":{\"c\":\"x\"}},\"n\":-5,\"id\":\"i\",\"device\":\"d\"}\n",
                   "k to r:room:x--5: {\"kind\":\"k\", \"a\":{\"b\":{\"c\":\"x\"}},\"n\":-5,\"id\":\"i\","
                   "\"device\":\"d\"} key=i device=d conflate=x");
    assert_decodes("t", "{\"kind\":\"k\",\"a\":{\"b\":{\"c\":\"x\"}},\"n\":0}",
                   "k to r:room:x-0: {\"kind\":\"k\",\"a\":{\"b\":{\"c\":\"x\"}},\"n\":0} conflate=x");
    assert_decodes("t", "{\"kind\":\"k\",\"a\":{\"b\":{}},\"n\":0}", "missing_field: a.b.c");
    assert_decodes("t", "{\"kind\":\"k\",\"a\":{\"b\":{\"c\":\"x\"}}}", "missing_field: n");
    assert_decodes("t", "{\"a\":{\"b\":{\"c\":\"x\"}},\"n\":0}", "missing_field: kind");
    start(NULL);
}

static void targets_are_different_and_at_least_one(void **state)
{
    use_row("\"form\":\"json\",\"event\":\"e\",\"targets\":[\"{a?}\",\"{b?}\",[\"{c?}\",\"{d?}\"]]");
    assert_decodes("t", "{\"a\":\"user:1\",\"b\":\"global\",\"c\":\"user:1\",\"d\":\"x\"}",
                   "e to u:1,g: {\"a\":\"user:1\",\"b\":\"global\",\"c\":\"user:1\",\"d\":\"x\"}");
    assert_decodes("t", "{\"d\":\"x\"}", "e to r:x: {\"d\":\"x\"}");
    assert_decodes("t", "{\"e\":\"x\"}", "no_target");
    assert_decodes("t", "{\"a\":\"user:\"}", "bad_field: {a?}: no name of a target comes of it");
    start(NULL);
}

static void names_are_bounded(void **state)
{
    use_row("\"form\":\"json\",\"event\":\"e\",\"targets\":[\"user:{id}\"],\"mapping\":{\"keep\":[\"x\"]}");
    char value[8192], expected[600];
    for (int n = 253; n <= 4000; n++) { /* the target has two bytes more */
        snprintf(value, sizeof(value), "{\"id\":\"%0*d\"}", n, 7);
        snprintf(expected, sizeof(expected), "e to u:%0*d: {}", MIN(n, 255), 7);
        assert_decodes("t", value, n <= 254 ? expected : "bad_field: id");
        n += n > 260 ? 500 : 0;
    }
    start(NULL);
}

static void all_targets_may_be_long(void **state)
{
    struct buf row = {0}, value = {0}, expected = {0};
    buf_lit(&row, "\"form\":\"json\",\"event\":\"{n}\",\"key\":\"{n}\",\"conflate\":\"{n}\",\"source_device\":\"{n}\","
                  "\"mapping\":{\"keep\":[\"x\"]},\"targets\":[");
    buf_lit(&value, "{\"n\":\"");
    for (int i = 0; i < 245; i++)
        buf_lit(&value, "n");
    buf_lit(&value, "\"}");
    struct slice name = slice_make(value.p + 6, 245);
    buf_printf(&expected, "%.*s to ", SLICE_ARG(name));
    for (int i = 0; i < EVENT_TARGETS_MAX; i++) {
        buf_printf(&row, "%s\"%02d{n}\"", i > 0 ? "," : "", i);
        buf_printf(&expected, "%sr:%02d%.*s", i > 0 ? "," : "", i, SLICE_ARG(name));
    }
    buf_printf(&expected, ": {} key=%.*s device=%.*s conflate=%.*s", SLICE_ARG(name), SLICE_ARG(name), SLICE_ARG(name));
    buf_lit(&row, "]");
    buf_byte(&row, '\0');
    buf_byte(&value, '\0');
    buf_byte(&expected, '\0');
    use_row(row.p);
    assert_decodes("t", value.p, expected.p);
    buf_release(&row);
    buf_release(&value);
    buf_release(&expected);
    start(NULL);
}

static void texts_and_bytes_are_passed_whole(void **state)
{
    use_row("\"form\":\"text\",\"event\":\"say\",\"targets\":[\"global\"]");
    assert_decodes("t", "hello", "say to g: hello");
    assert_decodes("t", "{\"a\":", "say to g: {\"a\":");
    assert_decodes("t", "", "say to g: ");
    assert_decodes("t", "\xff", "invalid_utf8");
    use_row("\"form\":\"binary\",\"event\":\"say\",\"targets\":[\"global\"]");
    assert_decodes("t", "\xff\x01", "say to g: \xff\x01");
    start(NULL);
}

static void what_is_no_event_is_refused(void **state)
{
    assert_task("", "malformed_json: the text ends too early");
    assert_task("{\"a\":1,}", "malformed_json: a key must be a string, at byte 7");
    assert_task("{\"a\":1}x", "malformed_json: something follows the value, at byte 7");
    assert_task("hello", "malformed_json: not a JSON value");
    assert_task("[1]", "not_an_object: not an object");
    assert_task("[1", "malformed_json: the text ends too early, at byte 2");
    assert_task("{\"a\":\"\xff\"}", "invalid_utf8: not UTF-8, at byte 6");
    assert_task("{\"user_id\":1,\"user_id\":2}", "duplicate_field: a key came twice, at byte 13");
    assert_task("{\"a\":[[[[[[[[1]]]]]]]]}", "too_deep: nested too deeply, at byte 12");
    assert_decodes("nowhere", "{}", "unknown_topic");
}

static void size_and_depth_have_limits(void **state)
{
    struct buf b = {0};
    buf_lit(&b, CREATED("\"user_id\":1"));
    while (b.n < 4096)
        buf_byte(&b, ' ');
    assert_bytes_decode("task-updates", buf_slice(&b), "task_update to u:1: " CREATED_PAYLOAD);
    buf_byte(&b, ' ');
    assert_bytes_decode("task-updates", buf_slice(&b), "too_large");
    buf_release(&b);
    assert_decodes("task-updates", CREATED("\"user_id\":1,\"x\":[[[[[[[]]]]]]]"),
                   "task_update to u:1: " CREATED_PAYLOAD);
}

static void tombstones_are_neither_event_nor_refusal(void **state)
{
    struct event ev;
    struct record r = {.topic = SLICE("task-updates"), .key = SLICE("k"), .value = {NULL, 0}};
    enum decode_outcome outcome = decode_record(&decoder, &r, &ev);
    assert_int_equal(outcome, DECODE_TOMBSTONE);
    assert_false(decode_is_refusal(outcome));
    assert_string_equal(decode_outcome_word(outcome), "tombstone");
    assert_true(decode_is_refusal(DECODE_NO_TARGET));
    assert_false(decode_is_refusal(DECODE_EVENT));
    for (int i = 0; i < DECODE_OUTCOME_COUNT; i++)
        assert_non_null(decode_outcome_word((enum decode_outcome)i));
}

static void assert_header_decodes(const char *topic, const char *name, const char *value, const char *expected)
{
    struct record_header header = {slice_of(name), slice_of(value)};
    char *got = decode_text(&decoder, &(struct record){.topic = slice_of(topic),
                                                       .timestamp_ms = NOON,
                                                       .value = SLICE(CREATED("\"user_id\":1")),
                                                       .headers = &header,
                                                       .header_count = 1});
    assert_string_equal(got, expected);
    free(got);
}

static struct slice dedupe_key_of(const char *value)
{
    struct event ev;
    const struct record r = {.topic = SLICE("t"), .timestamp_ms = NOON, .value = slice_of(value)};
    assert_int_equal(decode_record(&decoder, &r, &ev), DECODE_EVENT);
    return ev.dedupe_key;
}

/* A field that is a key by custom never makes a record a dead letter. */
static void a_field_may_hold_the_key(void **state)
{
    use_row("\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"]");
    assert_decodes("t", "{\"event_id\":\"a b\"}", "e to g: {\"event_id\":\"a b\"} key=a b");
    assert_decodes("t", "{\"event_id\":17}", "e to g: {\"event_id\":17} key=17");
    const char *none[] = {"{}",
                          "{\"event_id\":null}",
                          "{\"event_id\":\"\"}",
                          "{\"event_id\":1.5}",
                          "{\"event_id\":true}",
                          "{\"event_id\":{\"a\":1}}",
                          "{\"event_id\":[\"a\"]}",
                          "{\"event_id\":\"a\\u0000b\"}",
                          "{\"Event_Id\":\"a\"}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        char *expected = xasprintf("e to g: %s", none[i]);
        assert_decodes("t", none[i], expected);
        assert_null(dedupe_key_of(none[i]).p);
        free(expected);
    }
    assert_true(slice_eq(dedupe_key_of("{\"event_id\":\"a\"}"), SLICE("a t")));
    char *longest = xasprintf("{\"event_id\":\"%0259d\"}", 5), *longer = xasprintf("{\"event_id\":\"%0260d\"}", 5);
    assert_int_equal(dedupe_key_of(longest).n, 261);
    assert_null(dedupe_key_of(longer).p);
    free(longest);
    free(longer);
    start(NULL);
}

/* The innermost says what it means: the data's field goes before the envelope's id. */
static void a_row_says_where_its_key_is(void **state)
{
#define WRAPPED                                                                                                        \
    "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\",\"id\":\"i\",\"data\":{\"n\":7,\"event_id\":\"a\"}}"
#define DATA "e to g: {\"n\":7,\"event_id\":\"a\"}"
#define ROW  "\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"]"
    use_row(ROW);
    assert_decodes("t", WRAPPED, DATA " key=a");
    use_row(ROW ",\"key\":\"n-{n}\"");
    assert_decodes("t", WRAPPED, DATA " key=n-7");
    assert_true(slice_eq(dedupe_key_of(WRAPPED), SLICE("n-7")));
    assert_decodes("t", "{\"event_id\":\"a\"}", "missing_field: n");
    use_row(ROW ",\"key\":\"{n?}\"");
    assert_decodes("t", "{\"event_id\":\"a\"}", "e to g: {\"event_id\":\"a\"}");
    use_row(ROW ",\"key\":\"none\"");
    assert_decodes("t", WRAPPED, DATA);
    start(NULL);
}

static void headers_carry_key_topic_and_trace(void **state)
{
    const char *plain = "task_update to u:1: " CREATED_PAYLOAD;
    const char *trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_header_decodes("task-updates", "tidegate-key", "k 1", "task_update to u:1: " CREATED_PAYLOAD " key=k 1");
    assert_header_decodes("task-updates", "Tidegate-Key", "", "bad_field: tidegate-key");
    assert_header_decodes("task-updates", "tidegate-key", "a\nb", "bad_field: tidegate-key");
    assert_header_decodes("task-updates", "tidegate-key", "\xff", "bad_field: tidegate-key");
    assert_header_decodes("task-updates", "other", "x", plain);
    assert_header_decodes("task-updates", "traceparent", trace,
                          "task_update to u:1: " CREATED_PAYLOAD
                          " trace=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_header_decodes("task-updates", "traceparent", "nonsense",
                          "task_update to u:1: " CREATED_PAYLOAD " bad_trace");
    assert_header_decodes("task-updates", "traceparent", "00-00000000000000000000000000000000-0000000000000000-00",
                          plain);
    assert_header_decodes("ingest", "tidegate-topic", "task-updates", plain);
    assert_header_decodes("ingest", "tidegate-topic", "ingest", "unknown_topic");
    assert_header_decodes("ingest", "other", "x", "unknown_topic");
    assert_header_decodes("task-updates", "tidegate-topic", "nowhere", plain);
}

static void events_say_the_rest(void **state)
{
    struct event ev;
    struct record r = {.topic = SLICE("task-updates"), .timestamp_ms = NOON, .value = SLICE(CREATED("\"user_id\":1"))};
    assert_int_equal(decode_record(&decoder, &r, &ev), DECODE_EVENT);
    assert_int_equal(ev.time_ms, NOON);
    assert_int_equal(ev.flags, ENVELOPE_MEMBERS);
    assert_int_equal(ev.kind, ENVELOPE_JSON);
    assert_ptr_equal(ev.route, routes_find(table, SLICE("task-updates")));
    r.topic = SLICE("system.notifications");
    r.timestamp_ms = -1;
    assert_int_equal(decode_record(&decoder, &r, &ev), DECODE_EVENT);
    assert_int_equal(ev.time_ms, 0);
    assert_int_equal(ev.flags, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sync_events_become_the_union),
        cmocka_unit_test(task_events_become_the_union),
        cmocka_unit_test(operations_and_events_translate),
        cmocka_unit_test(bytes_pass_unchanged),
        cmocka_unit_test(a_user_is_a_text),
        cmocka_unit_test(a_record_may_name_everybody),
        cmocka_unit_test(a_route_may_name_everybody),
        cmocka_unit_test(tasks_that_say_too_little_are_refused),
        cmocka_unit_test(survey_records_become_the_documented_events),
        cmocka_unit_test(optional_targets_may_be_absent),
        cmocka_unit_test(what_is_not_listed_may_be_kept),
        cmocka_unit_test(without_mapping_the_record_is_the_payload),
        cmocka_unit_test(targets_are_different_and_at_least_one),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(all_targets_may_be_long),
        cmocka_unit_test(texts_and_bytes_are_passed_whole),
        cmocka_unit_test(what_is_no_event_is_refused),
        cmocka_unit_test(size_and_depth_have_limits),
        cmocka_unit_test(tombstones_are_neither_event_nor_refusal),
        cmocka_unit_test(headers_carry_key_topic_and_trace),
        cmocka_unit_test(a_field_may_hold_the_key),
        cmocka_unit_test(a_row_says_where_its_key_is),
        cmocka_unit_test(events_say_the_rest),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

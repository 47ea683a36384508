/* CloudEvents: the same task event in every wrapping that Dapr and others give it. */
#include "router/cloudevents.h"
#include "router/route.h"
#include "router_decode_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOON  1767434400000 /* 2026-01-03T10:00:00.000Z */
#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define ZEROS "00-00000000000000000000000000000000-0000000000000000-00"

/* keys sorted, as Dapr writes them */
#define TASK "{\"event_type\":\"task.updated\",\"task\":{\"id\":123456789012345678,\"p\":1.10},\"user_id\":1}"
#define TASK_STRING                                                                                                    \
    "\"{\\\"event_type\\\":\\\"task.updated\\\",\\\"task\\\":{\\\"id\\\":123456789012345678,\\\"p\\\":1.10},"          \
    "\\\"user_id\\\":1}\""
#define TASK_BASE64                                                                                                    \
    "\"eyJldmVudF90eXBlIjoidGFzay51cGRhdGVkIiwidGFzayI6eyJpZCI6MTIzNDU2Nzg5MDEyMzQ1Njc4LCJwIjoxLjEwfSwidXNlcl9pZCI6MX" \
    "0"                                                                                                                \
    "=\""
#define UNION(time)                                                                                                    \
    "task_update to u:1: {\"operation\":\"update\",\"task_id\":123456789012345678,\"event\":\"task.updated\","         \
    "\"task\":{\"id\":123456789012345678,\"p\":1.10},\"timestamp\":\"" time "\"}"
#define OURS   "2026-11-21T11:27:04Z"
#define KAFKAS "2026-01-03T10:00:00.000Z"

/* What Dapr puts around data, before and behind it. */
#define BEHIND(type, trace)                                                                                            \
    ",\"datacontenttype\":\"" type "\",\"id\":\"db91e33b-643e-4c94-8905-7b89a3fd2455\",\"pubsubname\":\"red\","        \
    "\"source\":\"task-service\",\"specversion\":\"1.0\",\"time\":\"" OURS "\",\"topic\":\"task-updates\","            \
    "\"traceid\":\"" trace "\",\"traceparent\":\"" trace "\",\"tracestate\":\"\",\"type\":\"com.dapr.event.sent\"}"

#define DAPRS_KEY " key=task-service db91e33b-643e-4c94-8905-7b89a3fd2455"

static struct route_table *table;
static struct decoder decoder;

static int start(void **state)
{
    char *why = NULL;
    struct route_source source = {
        .file = "routes",
        .text = SLICE("{\"routes\":[{\"topic\":\"task-updates\",\"form\":\"task\",\"event\":\"task_update\","
                      "\"targets\":[\"user:{user_id}\"]},"
                      "{\"topic\":\"any\",\"form\":\"json\",\"event\":\"e\",\"targets\":[\"room:{type}\"]},"
                      "{\"topic\":\"text\",\"form\":\"text\",\"event\":\"e\",\"targets\":[\"global\"]},"
                      "{\"topic\":\"bytes\",\"form\":\"binary\",\"event\":\"e\",\"targets\":[\"global\"]}]}")};
    table = routes_parse(&source, &why);
    if (table == NULL)
        fail_msg("%s", why);
    decoder_init(&decoder, &(struct decoder_conf){.routes = table, .value_max = 4096, .depth_max = 8});
    return 0;
}

static int stop(void **state)
{
    decoder_release(&decoder);
    routes_free(table);
    return 0;
}

/* Headers end with a name of NULL. */
static void assert_record(const char *topic, const char *value, const char *const (*headers)[2], const char *expected)
{
    struct record_header list[16];
    size_t count = 0;
    for (; headers != NULL && headers[count][0] != NULL; count++)
        list[count] = (struct record_header){slice_of(headers[count][0]), slice_of(headers[count][1])};
    char *copy = exact_copy(slice_of(value));
    char *got = decode_text(&decoder, &(struct record){.topic = slice_of(topic),
                                                       .timestamp_ms = NOON,
                                                       .value = {copy, strlen(value)},
                                                       .headers = list,
                                                       .header_count = count});
    assert_string_equal(got, expected);
    free(got);
    free(copy);
}

static void assert_task(const char *value, const char *expected)
{
    assert_record("task-updates", value, NULL, expected);
}

static void daprs_envelope_is_opened(void **state)
{
    assert_task("{\"data\":" TASK BEHIND("application/json", ZEROS), UNION(OURS) DAPRS_KEY);
    assert_task("{\"data\":" TASK BEHIND("application/json", TRACE), UNION(OURS) DAPRS_KEY " trace=" TRACE);
    assert_task(" { \"data\" : " TASK BEHIND("application/json", ZEROS) "\n", UNION(OURS) DAPRS_KEY);
}

static void a_string_of_json_is_unescaped_once(void **state)
{
    assert_task("{\"data\":" TASK_STRING BEHIND("text/plain", ZEROS), UNION(OURS) DAPRS_KEY);
    assert_task("{\"data\":" TASK_STRING BEHIND("application/json", ZEROS), UNION(OURS) DAPRS_KEY);
    assert_task("{\"data\":\"plain\"" BEHIND("text/plain", ZEROS), "malformed_json: not a JSON value");
    assert_task("{\"data\":\"\\ud800\"" BEHIND("text/plain", ZEROS),
                "bad_cloudevent: data: no Base64, or a string that is no text");
    /* the inner text's own escapes are the payload's */
    assert_record("any", "{\"data\":\"{\\\"type\\\":\\\"a\\\\u0062\\\\n\\\"}\"" BEHIND("text/plain", ZEROS), NULL,
                  "bad_field: type");
    assert_record("any", "{\"data\":\"{\\\"type\\\":\\\"a\\\\u0062\\\"}\"" BEHIND("text/plain", ZEROS), NULL,
                  "e to r:room:ab: {\"type\":\"a\\u0062\"}" DAPRS_KEY);
}

static void base64_is_decoded(void **state)
{
    assert_task("{\"data_base64\":" TASK_BASE64 BEHIND("application/octet-stream", ZEROS), UNION(OURS) DAPRS_KEY);
    assert_task("{\"data_base64\":\"eyI=x\"" BEHIND("application/octet-stream", ZEROS),
                "bad_cloudevent: data: no Base64, or a string that is no text");
    assert_record("bytes", "{\"data_base64\":\"\\/\\u002b8B\"" BEHIND("application/octet-stream", ZEROS), NULL,
                  "e to g: \xff\xef\x01" DAPRS_KEY);
}

static void attributes_may_stand_in_any_order(void **state)
{
    assert_task("{\"type\":\"t\",\"specversion\":\"1.0\",\"source\":\"s\",\"id\":\"i\",\"data\":" TASK "}",
                UNION(KAFKAS) " key=s i");
    assert_task("{\"id\":\"i\",\"data\":" TASK ",\"source\":\"s\",\"time\":7,\"type\":\"t\",\"specversion\":\"1.0\"}",
                UNION(KAFKAS) " key=s i");
}

static void a_records_own_time_goes_first(void **state)
{
    assert_task("{\"data\":{\"operation\":\"delete\",\"task_id\":1,\"user_id\":2,\"timestamp\":3}" BEHIND(
                    "application/json", ZEROS),
                "task_update to u:2: {\"operation\":\"delete\",\"task_id\":1,\"event\":\"task.deleted\",\"task\":"
                "{\"id\":1},\"timestamp\":3}" DAPRS_KEY);
}

static void data_must_be_there_and_an_object(void **state)
{
    assert_task("{\"data\":null" BEHIND("application/json", ZEROS), "missing_field: data");
    assert_task("{\"datas\":1" BEHIND("application/json", ZEROS), "missing_field: data");
    assert_task("{\"data\":[1]" BEHIND("application/json", ZEROS), "not_an_object: not an object");
    assert_task("{\"data\":{\"user_id\":1,\"user_id\":2}" BEHIND("application/json", ZEROS),
                "duplicate_field: a key came twice, at byte 13");
}

static void what_lacks_an_attribute_is_plain(void **state)
{
    /* without specversion it is a record like any other, and its type a field of its own */
    assert_record("any", "{\"type\":\"t\",\"source\":\"s\",\"id\":\"i\",\"data\":{\"type\":\"inner\"}}", NULL,
                  "e to r:room:t: {\"type\":\"t\",\"source\":\"s\",\"id\":\"i\",\"data\":{\"type\":\"inner\"}}");
    assert_record("any", "{\"type\":\"t\",\"source\":\"s\",\"id\":5,\"specversion\":\"1.0\"}", NULL,
                  "e to r:room:t: {\"type\":\"t\",\"source\":\"s\",\"id\":5,\"specversion\":\"1.0\"}");
    assert_record(
        "any", "{\"type\":\"t\",\"source\":\"s\",\"id\":\"i\",\"specversion\":\"1.0\",\"data\":{\"type\":\"inner\"}}",
        NULL, "e to r:room:inner: {\"type\":\"inner\"} key=s i");
}

static void content_type_demands_an_envelope(void **state)
{
    const char *const headers[][2] = {{"Content-Type", "application/cloudevents+json; charset=UTF-8"}, {NULL}};
    assert_record("task-updates", "{\"data\":" TASK BEHIND("application/json", ZEROS), headers, UNION(OURS) DAPRS_KEY);
    assert_record("task-updates", TASK, headers,
                  "bad_cloudevent: specversion: missing, or not what CloudEvents 1.0 asks for");
    assert_record("task-updates", "{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"\",\"id\":\"i\",\"data\":{}}",
                  headers, "bad_cloudevent: source: missing, or not what CloudEvents 1.0 asks for");
    assert_record("text", "plain", headers, "malformed_json: not a JSON value");
    const char *const json[][2] = {{"content-type", "application/json"}, {NULL}};
    assert_record("task-updates", TASK, json, UNION(KAFKAS));
}

static void another_version_is_refused(void **state)
{
    assert_task("{\"specversion\":\"0.3\",\"type\":\"t\",\"source\":\"s\",\"id\":\"i\",\"data\":" TASK "}",
                "bad_cloudevent: specversion: missing, or not what CloudEvents 1.0 asks for");
}

static void binary_mode_is_read_from_headers(void **state)
{
    const char *const headers[][2] = {{"ce_specversion", "1.0"},
                                      {"ce_type", "t"},
                                      {"ce_source", "/s"},
                                      {"ce_id", "i"},
                                      {"ce_time", OURS},
                                      {"ce_traceparent", TRACE},
                                      {"traceparent", ZEROS},
                                      {"content-type", "application/json"},
                                      {NULL}};
    assert_record("task-updates", TASK, headers, UNION(OURS) " key=/s i trace=" TRACE);
    const char *const hop[][2] = {{"ce_specversion", "1.0"},
                                  {"ce_type", "t"},
                                  {"ce_source", "/s"},
                                  {"ce_id", "i"},
                                  {"ce_traceparent", "x" TRACE},
                                  {"traceparent", TRACE},
                                  {NULL}};
    assert_record("task-updates", TASK, hop, UNION(KAFKAS) " key=/s i trace=" TRACE);
    const char *const http[][2] = {{"Ce-Specversion", "1.0"},   {"CE-Type", "t"},
                                   {"ce-source", "/s"},         {"ce-id", "i"},
                                   {"ce-time", "not a \"time"}, {NULL}};
    assert_record("task-updates", TASK, http, UNION(KAFKAS) " key=/s i");
    const char *const half[][2] = {{"ce_specversion", "1.0"}, {"ce_type", "t"}, {"ce_source", "/s"}, {NULL}};
    assert_record("task-updates", TASK, half, "bad_cloudevent: id: the header is missing");
    const char *const old[][2] = {
        {"ce_specversion", "0.3"}, {"ce_type", "t"}, {"ce_source", "/s"}, {"ce_id", "i"}, {NULL}};
    assert_record("task-updates", TASK, old, "bad_cloudevent: specversion: not 1.0");
    assert_record("bytes", "\xff", headers, "e to g: \xff key=/s i trace=" TRACE);
}

/* What cannot be a key is none: nothing is refused for it. */
static void source_and_id_are_the_key(void **state)
{
    const char *const odd[][2] = {
        {"ce_specversion", "1.0"}, {"ce_type", "t"}, {"ce_source", "/s"}, {"ce_id", "a\tb"}, {NULL}};
    assert_record("task-updates", TASK, odd, UNION(KAFKAS));
    char *long_id =
        xasprintf("{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\",\"id\":\"%0510d\",\"data\":" TASK "}", 7);
    char *key = xasprintf(UNION(KAFKAS) " key=s %0510d", 7);
    assert_task(long_id, key);
    char *longer =
        xasprintf("{\"specversion\":\"1.0\",\"type\":\"t\",\"source\":\"s\",\"id\":\"%0511d\",\"data\":" TASK "}", 7);
    assert_task(longer, UNION(KAFKAS));
    free(longer);
    free(key);
    free(long_id);
}

static void raw_payloads_need_no_envelope(void **state)
{
    assert_task(TASK, UNION(KAFKAS));
}

static void texts_come_out_of_envelopes(void **state)
{
    assert_record("text", "{\"data\":\"pl\\u0061in\"" BEHIND("text/plain", ZEROS), NULL, "e to g: plain" DAPRS_KEY);
    assert_record("text", "{\"data\":{\"a\":1.10}" BEHIND("application/json", ZEROS), NULL,
                  "e to g: {\"a\":1.10}" DAPRS_KEY);
    assert_record("text", "{\"a\":1}", NULL, "e to g: {\"a\":1}");
    assert_record("text", "{\"data_base64\":\"/w==\"" BEHIND("application/octet-stream", ZEROS), NULL, "invalid_utf8");
}

static void assert_base64(const char *text, const char *expected)
{
    struct buf scratch = {0};
    char *json = xasprintf("\"%s\"", text);
    struct json_value members[CE_MEMBER_COUNT] = {[CE_DATA_BASE64] = {JSON_STRING, slice_of(json)}}, value;
    struct slice out;
    enum cloudevent_data kind = cloudevent_data(members, &scratch, &value, &out);
    assert_int_equal(kind, expected != NULL ? CE_DATA_TEXT : CE_DATA_BAD);
    if (expected != NULL)
        assert_true(slice_eq(out, slice_of(expected)));
    buf_release(&scratch);
    free(json);
}

static void base64_is_strict(void **state)
{
    assert_base64("", "");
    assert_base64("Zg==", "f");
    assert_base64("Zm8=", "fo");
    assert_base64("Zm9v", "foo");
    assert_base64("Zm9vYg==", "foob");
    assert_base64("Zm9vYmE=", "fooba");
    assert_base64("Zm9vYmFy", "foobar");
    const char *bad[] = {"Z",    "Zg",   "Zg=",      "Zg===", "=",    "====", "Zh==",
                         "Zm9=", "Z===", "Zg==Zg==", "Zm 9",  "Zm9-", "Zm9_", "\xc3\xa9Zg"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_base64(bad[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(daprs_envelope_is_opened),
        cmocka_unit_test(a_string_of_json_is_unescaped_once),
        cmocka_unit_test(base64_is_decoded),
        cmocka_unit_test(attributes_may_stand_in_any_order),
        cmocka_unit_test(a_records_own_time_goes_first),
        cmocka_unit_test(data_must_be_there_and_an_object),
        cmocka_unit_test(what_lacks_an_attribute_is_plain),
        cmocka_unit_test(content_type_demands_an_envelope),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(binary_mode_is_read_from_headers),
        cmocka_unit_test(source_and_id_are_the_key),
        cmocka_unit_test(raw_payloads_need_no_envelope),
        cmocka_unit_test(texts_come_out_of_envelopes),
        cmocka_unit_test(base64_is_strict),
    };
    return cmocka_run_group_tests(tests, start, stop);
}

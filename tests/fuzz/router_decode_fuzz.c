/* Any bytes as a record. The first byte chooses topic and headers, what stands before the first line's end is the
 * headers' value, the rest is the record's. An event must be what the envelope takes; a refusal must have a reason. */
#include "common/json.h"
#include "common/target.h"
#include "router/decode.h"
#include "router/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice routes =
    SLICE("{\"routes\":["
          "{\"topic\":\"task\",\"form\":\"task\",\"event\":\"task_update\",\"members\":true,"
          "\"targets\":[[\"{target?}\",\"user:{user_id}\"]]},"
          "{\"topic\":\"listed\",\"form\":\"json\",\"event\":\"{type}\",\"key\":\"{key?}\",\"conflate\":\"{c?}\","
          "\"source_device\":\"{d?}\",\"targets\":[\"room:{a.b}\",\"{c?}\",[\"user:{d?}\",\"global\"]],"
          "\"mapping\":{\"set\":{\"x\":1},\"keep\":[\"a\",\"type\"],\"rename\":{\"a\":\"z\"},\"timestamp\":[\"t.u\"]}},"
          "{\"topic\":\"all\",\"form\":\"json\",\"event\":\"e\",\"targets\":[\"global\"],"
          "\"mapping\":{\"drop\":[\"a\"],\"rename\":{\"b\":\"c\"},\"timestamp\":[]}},"
          "{\"topic\":\"text\",\"form\":\"text\",\"event\":\"e\",\"targets\":[\"global\"]},"
          "{\"topic\":\"bytes\",\"form\":\"binary\",\"event\":\"e\",\"targets\":[\"global\"]}]}");

static const struct slice topics[] = {SLICE("task"),  SLICE("listed"), SLICE("all"), SLICE("text"),
                                      SLICE("bytes"), SLICE("ingest"), SLICE("none")};

static struct decoder *make_decoder(void)
{
    static struct decoder d;
    char *why = NULL;
    struct route_source source = {.file = "routes", .text = routes, .dedupe_field = SLICE("event_id")};
    struct route_table *table = routes_parse(&source, &why);
    if (table == NULL)
        BUG("%s", why);
    decoder_init(&d, &(struct decoder_conf){
                         .routes = table, .ingest_topic = SLICE("ingest"), .value_max = 1 << 20, .depth_max = 64});
    return &d;
}

/* Bit 3: structured mode by content type. Bit 4: binary mode. Bit 5: the router's own headers. */
static size_t make_headers(unsigned choice, struct slice value, struct record_header *out)
{
    size_t n = 0;
    if (choice & 8)
        out[n++] = (struct record_header){SLICE("content-type"), SLICE("application/cloudevents+json")};
    if (choice & 16) {
        out[n++] = (struct record_header){SLICE("ce_specversion"), SLICE("1.0")};
        out[n++] = (struct record_header){SLICE("ce_id"), SLICE("i")};
        out[n++] = (struct record_header){SLICE("ce_type"), SLICE("t")};
        out[n++] = (struct record_header){SLICE("ce_source"), value};
        out[n++] = (struct record_header){SLICE("ce_time"), value};
    }
    if (choice & 32) {
        out[n++] = (struct record_header){SLICE("tidegate-topic"), topics[value.n % ARRAY_LEN(topics)]};
        out[n++] = (struct record_header){SLICE("tidegate-key"), value};
        out[n++] = (struct record_header){SLICE("traceparent"), value};
    }
    return n;
}

static void check_text(struct slice s)
{
    if (s.p != NULL && (s.n == 0 || s.n > ENVELOPE_TEXT_MAX))
        BUG("a text of %zu bytes", s.n);
}

static void check_event(const struct event *ev)
{
    struct json_value v;
    struct json_error err;
    if (ev->target_count == 0 || ev->target_count > EVENT_TARGETS_MAX || ev->name.p == NULL)
        BUG("no target, or no name");
    for (size_t i = 0; i < ev->target_count; i++)
        for (size_t j = 0; j <= i; j++)
            if (j < i ? slice_eq(ev->targets[i], ev->targets[j]) : !target_valid(ev->targets[i]))
                BUG("target %.*s", SLICE_ARG(ev->targets[i]));
    check_text(ev->name);
    check_text(ev->key);
    if ((ev->key.p == NULL) != (ev->dedupe_key.p == NULL))
        BUG("a key that nobody remembers");
    check_text(ev->source_device);
    check_text(ev->conflate_key);
    check_text(ev->traceparent);
    if (ev->kind == ENVELOPE_JSON && json_parse(ev->payload, 80, &v, &err) != 0)
        BUG("payload: %s", json_reason_text(err.reason));
    if (ev->kind == ENVELOPE_JSON && (v.kind != JSON_OBJECT || v.raw.n != ev->payload.n))
        BUG("the payload is no object");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder *d;
    if (d == NULL)
        d = make_decoder();
    if (size == 0)
        return 0;
    struct slice value = slice_make(data + 1, size - 1);
    struct slice header = value.n > 0 ? slice_cut(&value, '\n') : value;
    struct record_header headers[10];
    size_t count = make_headers(data[0], header, headers);
    struct record r = {.topic = topics[(data[0] & 7) % ARRAY_LEN(topics)],
                       .timestamp_ms = 1767434400000,
                       .value = value,
                       .headers = headers,
                       .header_count = count};
    struct event ev;
    enum decode_outcome outcome = decode_record(d, &r, &ev);
    if (outcome == DECODE_EVENT) {
        check_event(&ev);
        return 0;
    }
    struct buf reason = {0};
    decode_describe(d, outcome, &reason);
    if (!slice_starts(buf_slice(&reason), slice_of(decode_outcome_word(outcome))))
        BUG("a refusal without its word");
    buf_release(&reason);
    return 0;
}

/* Plain JSON text messages, one object each: the task services' form, and sub-protocol tidegate.v1.json. */
#include "common/event_id.h"
#include "common/json.h"
#include "common/json_write.h"
#include "gateway/dialect.h"

#define MESSAGE_DEPTH 32

static void append_id(struct buf *b, uint64_t id)
{
    char text[EVENT_ID_SIZE];
    buf_byte(b, '"');
    buf_append(b, event_id_format(id, text));
    buf_byte(b, '"');
}

static void append_recovery(struct buf *b, const struct recovery *r)
{
    buf_append(b, r->recovered ? SLICE(",\"recovered\":true") : SLICE(",\"recovered\":false"));
    buf_lit(b, ",\"replay\":");
    buf_u64(b, r->messages);
    buf_lit(b, ",\"oldest\":");
    append_id(b, r->oldest);
    buf_lit(b, ",\"position\":");
    append_id(b, r->position);
}

static struct frame *hello(const struct welcome *w)
{
    struct buf b = {0};
    frame_begin(&b);
    buf_lit(&b, "{\"type\":\"connected\",\"user_id\":");
    buf_append(&b, w->user_json);
    buf_lit(&b, ",\"message\":\"WebSocket connection established\"");
    if (w->recovery != NULL)
        append_recovery(&b, w->recovery);
    buf_byte(&b, '}');
    return frame_finish(&b, WS_OP_TEXT);
}

/* The members of an object's text, without its braces; false when it is no object, in spite of what its flag says. */
static bool inside(const struct envelope *e, struct slice *members)
{
    struct slice object = slice_trim(e->payload);
    if (!(e->flags & ENVELOPE_MEMBERS) || e->kind != ENVELOPE_JSON || object.n < 2 || object.p[0] != '{' ||
        object.p[object.n - 1] != '}')
        return false;
    *members = slice_trim(slice_make(object.p + 1, object.n - 2));
    return true;
}

static void append_payload(struct buf *b, const struct envelope *e)
{
    struct slice members;
    if (inside(e, &members)) {
        if (members.n > 0)
            buf_byte(b, ',');
        buf_append(b, members);
        return;
    }
    buf_lit(b, ",\"data\":");
    if (e->kind == ENVELOPE_JSON)
        buf_append(b, e->payload);
    else
        json_write_string(b, e->payload);
}

static struct frame *encode_event(const struct envelope *e, uint64_t position)
{
    struct buf b = {0};
    if (e->kind == ENVELOPE_BINARY)
        return NULL;
    frame_begin(&b);
    buf_reserve(&b, e->payload.n + e->key.n + e->event.n + e->traceparent.n + 112);
    buf_lit(&b, "{\"type\":");
    json_write_string(&b, e->event);
    append_payload(&b, e);
    if (position != 0) {
        buf_lit(&b, ",\"id\":");
        append_id(&b, position);
    }
    if (e->key.n > 0) {
        buf_lit(&b, ",\"key\":");
        json_write_string(&b, e->key);
    }
    if (e->traceparent.p != NULL) { /* hex and dashes: nothing to escape */
        buf_lit(&b, ",\"traceparent\":\"");
        buf_append(&b, e->traceparent);
        buf_byte(&b, '"');
    }
    buf_byte(&b, '}');
    return frame_finish(&b, WS_OP_TEXT);
}

enum member { TYPE, DATA, TIMESTAMP, ID, LAST_ID, MEMBER_COUNT };

static void malformed(struct message *out, const char *detail)
{
    out->kind = MESSAGE_MALFORMED;
    out->detail = detail;
}

static void read_ping(const struct json_value *v, struct message *out)
{
    *out = (struct message){.kind = MESSAGE_PING, .data = v[DATA].raw, .timestamp = v[TIMESTAMP].raw};
}

static void read_pong(const struct json_value *v, struct message *out)
{
    out->kind = MESSAGE_PONG;
}

/* Ids hold nothing that JSON would escape: another spelling is none of ours. */
static void read_id(const struct json_value *v, enum message_kind kind, struct message *out)
{
    out->kind = kind;
    if (v->kind != JSON_STRING || event_id_parse(slice_make(v->raw.p + 1, v->raw.n - 2), &out->id) != 0)
        malformed(out, "The id is none of an event");
}

static void read_ack(const struct json_value *v, struct message *out)
{
    read_id(&v[ID], MESSAGE_ACK, out);
}

static void read_resume(const struct json_value *v, struct message *out)
{
    read_id(&v[LAST_ID], MESSAGE_RESUME, out);
}

static const struct {
    struct slice type;
    void (*read)(const struct json_value *v, struct message *out);
} messages[] = {
    {{"ping", 4}, read_ping}, {{"pong", 4}, read_pong}, {{"ack", 3}, read_ack}, {{"resume", 6}, read_resume}};

static void decode(struct slice bytes, bool binary, struct message *out)
{
    static const struct slice names[MEMBER_COUNT] = {
        {"type", 4}, {"data", 4}, {"timestamp", 9}, {"id", 2}, {"last_id", 7}};
    struct json_value v[MEMBER_COUNT];
    struct json_error err;
    *out = (struct message){.kind = MESSAGE_UNKNOWN, .binary = binary, .detail = "No such message type"};
    if (binary) {
        malformed(out, "Messages are JSON text");
    } else if (json_members(bytes, MESSAGE_DEPTH, names, MEMBER_COUNT, v, &err) != 0) {
        malformed(out, "The message is not a JSON object");
    } else if (v[TYPE].kind != JSON_STRING) {
        malformed(out, "The message has no type");
    } else {
        for (size_t i = 0; i < ARRAY_LEN(messages) && out->kind == MESSAGE_UNKNOWN; i++)
            if (json_string_is(v[TYPE].raw, messages[i].type)) {
                out->detail = NULL;
                messages[i].read(v, out);
            }
    }
}

static void append_pong(struct buf *b, const struct message *ping)
{
    buf_lit(b, "{\"type\":\"pong\"");
    if (ping->data.p != NULL) {
        buf_lit(b, ",\"data\":");
        buf_append(b, ping->data);
    }
    if (ping->timestamp.p != NULL) {
        buf_lit(b, ",\"timestamp\":");
        buf_append(b, ping->timestamp);
    }
    buf_byte(b, '}');
}

static void append_error(struct buf *b, const struct reply *r)
{
    buf_lit(b, "{\"type\":\"error\",\"code\":");
    json_write_string(b, slice_of(r->code));
    buf_lit(b, ",\"message\":");
    json_write_string(b, slice_of(r->detail));
    buf_byte(b, '}');
}

static void append_gap(struct buf *b, const struct reply *r)
{
    char id[EVENT_ID_SIZE];
    buf_lit(b, "{\"type\":\"gap\",\"from\":\"");
    buf_append(b, event_id_format(r->gap_from, id));
    buf_lit(b, "\",\"to\":\"");
    buf_append(b, event_id_format(r->gap_to, id));
    buf_lit(b, "\"}");
}

static struct frame *encode_reply(const struct reply *r)
{
    struct buf b = {0};
    frame_begin(&b);
    switch (r->kind) {
    case REPLY_PONG:
        append_pong(&b, r->to);
        break;
    case REPLY_ERROR:
        append_error(&b, r);
        break;
    case REPLY_PING:
        buf_lit(&b, "{\"type\":\"ping\",\"timestamp\":null}");
        break;
    case REPLY_RESUMED:
        buf_lit(&b, "{\"type\":\"resumed\"");
        append_recovery(&b, r->recovery);
        buf_byte(&b, '}');
        break;
    case REPLY_GAP:
        append_gap(&b, r);
        break;
    case REPLY_ECHO:
        buf_release(&b);
        return NULL;
    }
    return frame_finish(&b, WS_OP_TEXT);
}

extern const struct dialect dialect_json;
const struct dialect dialect_json = {
    .id = DIALECT_ID_JSON,
    .name = "json",
    .subprotocol = "tidegate.v1.json",
    .hello = hello,
    .encode_event = encode_event,
    .decode = decode,
    .encode_reply = encode_reply,
};

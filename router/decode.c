/* The decoder: find the route, open what wraps the data, cut the fields that the route looks at in one validating
 * pass, make the names of the targets, write the payload. Each step can refuse; the first refusal ends it. */
#include "router/decode.h"

#include "common/clock.h"
#include "common/target.h"
#include "common/traceparent.h"
#include "common/utf8.h"
#include "router/cloudevents.h"
#include "router/route.h"
#include "router/task.h"

#define NOTHING ((struct slice){NULL, 0})
/* Room for all that one record may put there: each name, and one that turns out too long on top. */
#define TEXT_RESERVE ((EVENT_TARGETS_MAX + 5) * (size_t)EVENT_NAME_MAX + ENVELOPE_TEXT_MAX + 64 + 2 * TEMPLATE_RESERVE)

static const char *const outcome_words[] = {
#define X(name, word) [DECODE_##name] = (word),
    DECODE_OUTCOMES(X)
#undef X
};

/* What the headers say. */
struct carrier {
    struct slice content_type, topic, key, traceparent;
    struct slice ce_mandatory[CE_MANDATORY], ce_time, ce_traceparent;
};

/* What is inside, with what its wrapping said of it. */
struct content {
    struct slice text;                        /* the data's bytes */
    struct json_value object;                 /* the same as an object, for forms that need one */
    struct json_value members[FIELD_SET_MAX]; /* cut from it by the route's fields */
    struct slice time;                        /* a JSON string with quotes; n 0: none */
    struct slice traceparent;                 /* as it was written; absent: none */
    struct slice source, id;                  /* of a CloudEvent, as it wrote them; else absent */
};

const char *decode_outcome_word(enum decode_outcome outcome)
{
    return outcome_words[outcome];
}

void decoder_init(struct decoder *d, const struct decoder_conf *conf)
{
    assert(conf->depth_max <= JSON_DEPTH_MOST);
    *d = (struct decoder){.conf = *conf};
    buf_reserve(&d->text, TEXT_RESERVE);
}

void decoder_release(struct decoder *d)
{
    buf_release(&d->inner);
    buf_release(&d->text);
    buf_release(&d->payload);
}

static enum decode_outcome refuse(struct decoder *d, enum decode_outcome outcome, struct slice field, const char *why)
{
    d->field = field;
    d->why = why;
    return outcome;
}

static enum decode_outcome refuse_json(struct decoder *d, struct slice text, const struct json_error *err)
{
    static const enum decode_outcome outcomes[] = {
        [JSON_BAD_UTF8] = DECODE_INVALID_UTF8,
        [JSON_TOO_DEEP] = DECODE_TOO_DEEP,
        [JSON_NOT_OBJECT] = DECODE_NOT_AN_OBJECT,
        [JSON_DUPLICATE] = DECODE_DUPLICATE_FIELD,
    };
    struct json_value v;
    struct json_error other;
    if (err->reason == JSON_NOT_OBJECT && json_parse(text, d->conf.depth_max, &v, &other) != 0)
        err = &other; /* it is not even JSON */
    d->offset = err->offset;
    enum decode_outcome outcome = err->reason < ARRAY_LEN(outcomes) ? outcomes[err->reason] : DECODE_EVENT;
    return refuse(d, outcome != DECODE_EVENT ? outcome : DECODE_MALFORMED_JSON, NOTHING, json_reason_text(err->reason));
}

static void read_ce_header(struct carrier *c, struct slice attribute, struct slice value)
{
    for (int i = 0; i < CE_MANDATORY; i++)
        if (slice_eq_nocase(attribute, cloudevent_names[i]))
            c->ce_mandatory[i] = value;
    if (slice_eq_nocase(attribute, cloudevent_names[CE_TIME]))
        c->ce_time = value;
    if (slice_eq_nocase(attribute, cloudevent_names[CE_TRACEPARENT]))
        c->ce_traceparent = value;
}

static void read_headers(const struct record *r, struct carrier *c)
{
    *c = (struct carrier){.topic = NOTHING};
    for (size_t i = 0; i < r->header_count; i++) {
        struct slice name = r->headers[i].name, value = r->headers[i].value;
        struct slice attribute = cloudevent_attribute(name);
        if (attribute.n > 0)
            read_ce_header(c, attribute, value);
        else if (slice_eq_nocase(name, SLICE("content-type")))
            c->content_type = value;
        else if (slice_eq_nocase(name, SLICE("traceparent")))
            c->traceparent = value;
        else if (slice_eq_nocase(name, SLICE(DECODE_HEADER_TOPIC)))
            c->topic = value;
        else if (slice_eq_nocase(name, SLICE(DECODE_HEADER_KEY)))
            c->key = value;
    }
}

static const struct route *find_route(const struct decoder *d, const struct record *r, const struct carrier *c)
{
    bool ingested = d->conf.ingest_topic.n > 0 && slice_eq(r->topic, d->conf.ingest_topic);
    return routes_find(d->conf.routes, ingested ? c->topic : r->topic);
}

static bool is_binary_mode(const struct carrier *c)
{
    return c->ce_mandatory[CE_SPECVERSION].p != NULL && !cloudevent_content_type(c->content_type);
}

/* A time from a header becomes a JSON string; none of its characters needs an escape. */
static struct slice quote_time(struct decoder *d, struct slice time)
{
    static const char allowed[] = "0123456789-+:.TZtz";
    if (time.n == 0 || time.n > 40)
        return NOTHING;
    for (size_t i = 0; i < time.n; i++)
        if (memchr(allowed, time.p[i], sizeof(allowed) - 1) == NULL)
            return NOTHING;
    size_t start = d->text.n;
    buf_byte(&d->text, '"');
    buf_append(&d->text, time);
    buf_byte(&d->text, '"');
    return slice_make(d->text.p + start, d->text.n - start);
}

static enum decode_outcome open_binary_mode(struct decoder *d, const struct carrier *c, struct content *out)
{
    for (int i = 0; i < CE_MANDATORY; i++)
        if (c->ce_mandatory[i].n == 0)
            return refuse(d, DECODE_BAD_CLOUDEVENT, cloudevent_names[i], "the header is missing");
    if (!slice_eq(c->ce_mandatory[CE_SPECVERSION], SLICE("1.0")))
        return refuse(d, DECODE_BAD_CLOUDEVENT, cloudevent_names[CE_SPECVERSION], "not 1.0");
    out->time = quote_time(d, c->ce_time);
    out->traceparent = c->ce_traceparent;
    out->source = c->ce_mandatory[CE_SOURCE];
    out->id = c->ce_mandatory[CE_ID];
    return DECODE_EVENT;
}

/* A string as it was written: what has escapes keeps them. */
static struct slice inside_quotes(struct json_value string)
{
    return slice_make(string.raw.p + 1, string.raw.n - 2);
}

/* The raw members of an envelope have been cut; what they wrap takes their place. */
static enum decode_outcome open_structured(struct decoder *d, struct content *out, bool *reparse)
{
    const struct json_value *ce = out->members;
    struct slice culprit;
    if (!cloudevent_is_sound(ce, &culprit))
        return refuse(d, DECODE_BAD_CLOUDEVENT, culprit, "missing, or not what CloudEvents 1.0 asks for");
    out->time = ce[CE_TIME].kind == JSON_STRING ? ce[CE_TIME].raw : NOTHING;
    if (ce[CE_TRACEPARENT].kind == JSON_STRING)
        out->traceparent = inside_quotes(ce[CE_TRACEPARENT]);
    out->source = inside_quotes(ce[CE_SOURCE]);
    out->id = inside_quotes(ce[CE_ID]);
    enum cloudevent_data kind = cloudevent_data(ce, &d->inner, &out->object, &out->text);
    if (kind == CE_DATA_ABSENT)
        return refuse(d, DECODE_MISSING_FIELD, cloudevent_names[CE_DATA], NULL);
    if (kind == CE_DATA_BAD)
        return refuse(d, DECODE_BAD_CLOUDEVENT, cloudevent_names[CE_DATA], "no Base64, or a string that is no text");
    *reparse = kind == CE_DATA_TEXT;
    if (kind == CE_DATA_JSON)
        out->text = out->object.raw;
    return DECODE_EVENT;
}

static enum decode_outcome cut_text(struct decoder *d, const struct field_set *fields, struct content *c)
{
    struct json_error err;
    if (json_members(c->text, d->conf.depth_max, fields->names, fields->count, c->members, &err) != 0)
        return refuse_json(d, c->text, &err);
    c->text = slice_trim(c->text);
    c->object = (struct json_value){.kind = JSON_OBJECT, .raw = c->text};
    return DECODE_EVENT;
}

static enum decode_outcome cut_value(struct decoder *d, const struct field_set *fields, struct content *c)
{
    struct json_error err;
    if (json_pick(c->object, fields->names, fields->count, c->members, &err) != 0)
        return refuse_json(d, c->object.raw, &err);
    return DECODE_EVENT;
}

/* Forms of JSON: whatever the wrapping, the members are those of the data in the end. */
static enum decode_outcome open_object(struct decoder *d, const struct carrier *h, const struct field_set *fields,
                                       struct content *c)
{
    enum decode_outcome outcome = cut_text(d, fields, c);
    if (outcome != DECODE_EVENT)
        return outcome;
    if (is_binary_mode(h))
        return open_binary_mode(d, h, c);
    if (!cloudevent_content_type(h->content_type) && !cloudevent_is_structured(c->members))
        return DECODE_EVENT;
    bool reparse;
    outcome = open_structured(d, c, &reparse);
    if (outcome != DECODE_EVENT)
        return outcome;
    return reparse ? cut_text(d, fields, c) : cut_value(d, fields, c);
}

/* Forms of text and bytes: an envelope is opened if there is one, and anything else is the data. */
static enum decode_outcome open_bytes(struct decoder *d, const struct carrier *h, const struct field_set *fields,
                                      struct content *c)
{
    for (size_t i = 0; i < fields->count; i++)
        c->members[i] = (struct json_value){.kind = JSON_ABSENT};
    if (is_binary_mode(h))
        return open_binary_mode(d, h, c);
    struct json_error err;
    bool object = json_members(c->text, d->conf.depth_max, fields->names, fields->count, c->members, &err) == 0;
    if (cloudevent_content_type(h->content_type) && !object)
        return refuse_json(d, c->text, &err);
    bool reparse;
    if (cloudevent_content_type(h->content_type) || (object && cloudevent_is_structured(c->members)))
        return open_structured(d, c, &reparse);
    return DECODE_EVENT;
}

static enum decode_outcome open_record(struct decoder *d, const struct record *r, const struct carrier *h,
                                       const struct route *route, struct content *c)
{
    c->text = r->value;
    c->time = NOTHING;
    c->traceparent = NOTHING;
    c->source = NOTHING;
    c->id = NOTHING;
    bool has_members = route->form == ROUTE_TASK || route->form == ROUTE_JSON;
    enum decode_outcome outcome =
        has_members ? open_object(d, h, &route->fields, c) : open_bytes(d, h, &route->fields, c);
    if (outcome == DECODE_EVENT && route->form == ROUTE_TEXT && !utf8_valid(c->text))
        return refuse(d, DECODE_INVALID_UTF8, NOTHING, NULL);
    return outcome;
}

/* The event's own attribute goes first: a record's header may tell of the hop that brought it here. */
static void take_traceparent(struct decoder *d, struct slice of_event, struct slice of_record)
{
    const struct slice either[] = {of_event, of_record};
    d->traceparent = NOTHING;
    d->bad_traceparent = false;
    for (size_t i = 0; i < ARRAY_LEN(either) && d->traceparent.p == NULL; i++) {
        enum traceparent_kind kind = traceparent_kind(either[i]);
        if (kind == TRACEPARENT_SOUND)
            d->traceparent = either[i];
        d->bad_traceparent |= kind == TRACEPARENT_MALFORMED;
    }
    d->bad_traceparent &= d->traceparent.p == NULL;
}

/* Makes a text of a template in d->text. *out is absent where an optional field is; a template without pieces too. */
static enum decode_outcome expand(struct decoder *d, const struct field_template *t, const struct content *c,
                                  struct slice *out)
{
    size_t start = d->text.n;
    struct slice culprit;
    *out = NOTHING;
    if (t->count == 0)
        return DECODE_EVENT;
    switch (template_expand(t, c->members, &d->text, &culprit)) {
    case TEMPLATE_MISSING:
        return refuse(d, DECODE_MISSING_FIELD, culprit, NULL);
    case TEMPLATE_BAD:
        return refuse(d, DECODE_BAD_FIELD, culprit, NULL);
    case TEMPLATE_OK:
        *out = slice_make(d->text.p + start, d->text.n - start);
        break;
    case TEMPLATE_ABSENT:
        break;
    }
    return DECODE_EVENT;
}

static bool has_target(const struct event *ev, struct slice target)
{
    for (size_t i = 0; i < ev->target_count; i++)
        if (slice_eq(ev->targets[i], target))
            return true;
    return false;
}

/* The room's name gives way to the target's. */
static enum decode_outcome add_target(struct decoder *d, struct slice room, const struct field_template *t,
                                      struct event *ev)
{
    size_t start = d->text.n;
    if (target_append_room(&d->text, room) != 0)
        return refuse(d, DECODE_BAD_FIELD, t->text, "no name of a target comes of it");
    struct slice target = {d->text.p + start, d->text.n - start};
    if (!has_target(ev, target))
        ev->targets[ev->target_count++] = target;
    return DECODE_EVENT;
}

static enum decode_outcome choose_target(struct decoder *d, const struct route_target *target, const struct content *c,
                                         struct event *ev)
{
    for (size_t i = 0; i < target->count; i++) {
        struct slice room;
        enum decode_outcome outcome = expand(d, &target->either[i], c, &room);
        if (outcome != DECODE_EVENT)
            return outcome;
        if (room.p != NULL)
            return add_target(d, room, &target->either[i], ev);
    }
    return DECODE_EVENT;
}

static enum decode_outcome choose_targets(struct decoder *d, const struct route *route, const struct content *c,
                                          struct event *ev)
{
    for (size_t i = 0; i < route->target_count; i++) {
        enum decode_outcome outcome = choose_target(d, &route->targets[i], c, ev);
        if (outcome != DECODE_EVENT)
            return outcome;
    }
    return ev->target_count > 0 ? DECODE_EVENT : refuse(d, DECODE_NO_TARGET, NOTHING, NULL);
}

/* What a header says is a stranger's text like any other. */
static bool key_is_sound(struct slice key, size_t max)
{
    bool sound = key.n > 0 && key.n <= max && utf8_valid(key);
    for (size_t i = 0; sound && i < key.n; i++)
        sound = (unsigned char)key.p[i] >= 0x20 && key.p[i] != 0x7f;
    return sound;
}

/* Nobody promised that such a field is unique beyond its topic: Redis remembers it with the topic's name. */
static bool take_field_key(struct decoder *d, const struct route *route, const struct content *c, struct event *ev)
{
    size_t start = d->text.n;
    struct slice culprit;
    if (route->field.count == 0 || template_expand(&route->field, c->members, &d->text, &culprit) != TEMPLATE_OK)
        return false;
    ev->key = slice_make(d->text.p + start, d->text.n - start);
    buf_byte(&d->text, ' ');
    buf_append(&d->text, route->topic);
    ev->dedupe_key = slice_make(d->text.p + start, d->text.n - start);
    return true;
}

/* CloudEvents 1.0, section 3.1: no two events have both in common. */
static void take_cloudevent_key(struct decoder *d, const struct content *c, struct event *ev)
{
    size_t start = d->text.n;
    if (c->id.p == NULL || c->source.n + 1 + c->id.n > ENVELOPE_TEXT_MAX)
        return;
    buf_append(&d->text, c->source);
    buf_byte(&d->text, ' ');
    buf_append(&d->text, c->id);
    struct slice key = {d->text.p + start, d->text.n - start};
    if (key_is_sound(key, ENVELOPE_TEXT_MAX))
        ev->key = key;
}

/* The publisher's own key: what he wrote for us, else what the row names, else what is a key by custom. */
static enum decode_outcome choose_key(struct decoder *d, const struct carrier *h, const struct route *route,
                                      const struct content *c, struct event *ev)
{
    enum decode_outcome outcome = DECODE_EVENT;
    if (h->key.p != NULL) {
        ev->key = h->key;
        if (!key_is_sound(h->key, EVENT_NAME_MAX))
            return refuse(d, DECODE_BAD_FIELD, SLICE(DECODE_HEADER_KEY), NULL);
    } else if (route->key.count > 0)
        outcome = expand(d, &route->key, c, &ev->key);
    else if (route->keyless || take_field_key(d, route, c, ev))
        return DECODE_EVENT;
    else
        take_cloudevent_key(d, c, ev);
    ev->dedupe_key = ev->key;
    return outcome;
}

static enum decode_outcome make_names(struct decoder *d, const struct carrier *h, const struct route *route,
                                      const struct content *c, struct event *ev)
{
    enum decode_outcome outcome = expand(d, &route->event, c, &ev->name);
    if (outcome == DECODE_EVENT && ev->name.p == NULL)
        outcome = refuse(d, DECODE_MISSING_FIELD, route->event.text, "the event has no name");
    if (outcome == DECODE_EVENT)
        outcome = expand(d, &route->source_device, c, &ev->source_device);
    if (outcome == DECODE_EVENT)
        outcome = expand(d, &route->conflate, c, &ev->conflate_key);
    return outcome == DECODE_EVENT ? choose_key(d, h, route, c, ev) : outcome;
}

/* The envelope's time, else Kafka's. */
static struct slice event_time(struct decoder *d, const struct record *r, const struct content *c)
{
    if (c->time.p != NULL)
        return c->time;
    char iso[CLOCK_ISO_LEN + 1];
    clock_iso8601(r->timestamp_ms > 0 ? (uint64_t)r->timestamp_ms : 0, iso);
    return quote_time(d, slice_make(iso, CLOCK_ISO_LEN));
}

static enum decode_outcome write_task(struct decoder *d, const struct record *r, const struct content *c)
{
    const struct json_value *members = c->members + CE_MEMBER_COUNT;
    struct slice culprit, time = task_time(members);
    if (time.p == NULL)
        time = event_time(d, r, c);
    enum decode_outcome outcome = task_write(members, time, &d->payload, &culprit);
    return outcome == DECODE_EVENT ? outcome : refuse(d, outcome, culprit, NULL);
}

static void write_mapped(struct decoder *d, const struct record *r, const struct mapping *m, const struct content *c)
{
    struct slice time = mapping_time(m, c->members);
    if (m->timestamp && time.p == NULL)
        time = event_time(d, r, c);
    mapping_write(m, c->object, c->members, time, &d->payload);
}

static enum decode_outcome make_payload(struct decoder *d, const struct record *r, const struct route *route,
                                        const struct content *c, struct event *ev)
{
    static const enum envelope_kind kinds[ROUTE_FORM_COUNT] = {
        [ROUTE_TASK] = ENVELOPE_JSON,
        [ROUTE_JSON] = ENVELOPE_JSON,
        [ROUTE_TEXT] = ENVELOPE_TEXT,
        [ROUTE_BINARY] = ENVELOPE_BINARY,
    };
    enum decode_outcome outcome = DECODE_EVENT;
    ev->kind = kinds[route->form];
    ev->payload = c->text;
    if (route->form == ROUTE_TASK)
        outcome = write_task(d, r, c);
    else if (route->mapping != NULL)
        write_mapped(d, r, route->mapping, c);
    if (d->payload.n > 0)
        ev->payload = buf_slice(&d->payload);
    return outcome;
}

static enum decode_outcome decode_by_route(struct decoder *d, const struct record *r, const struct carrier *h,
                                           const struct route *route, struct event *ev)
{
    struct content c;
    enum decode_outcome outcome = open_record(d, r, h, route, &c);
    if (c.traceparent.p != NULL)
        take_traceparent(d, c.traceparent, h->traceparent);
    if (outcome != DECODE_EVENT)
        return outcome;
    *ev = (struct event){
        .route = route,
        .time_ms = r->timestamp_ms > 0 ? (uint64_t)r->timestamp_ms : 0,
        .traceparent = d->traceparent,
        .flags = route->members ? ENVELOPE_MEMBERS : 0,
    };
    outcome = choose_targets(d, route, &c, ev);
    if (outcome == DECODE_EVENT)
        outcome = make_names(d, h, route, &c, ev);
    if (outcome == DECODE_EVENT)
        outcome = make_payload(d, r, route, &c, ev);
    return outcome;
}

enum decode_outcome decode_record(struct decoder *d, const struct record *r, struct event *ev)
{
    d->field = NOTHING;
    d->why = NULL;
    d->offset = 0;
    take_traceparent(d, NOTHING, NOTHING);
    buf_clear(&d->inner);
    buf_clear(&d->text);
    buf_clear(&d->payload);
    if (r->value.p == NULL)
        return DECODE_TOMBSTONE;
    if (r->value.n > d->conf.value_max)
        return refuse(d, DECODE_TOO_LARGE, NOTHING, NULL);
    struct carrier h;
    read_headers(r, &h);
    take_traceparent(d, NOTHING, h.traceparent);
    const struct route *route = find_route(d, r, &h);
    if (route == NULL)
        return refuse(d, DECODE_UNKNOWN_TOPIC, NOTHING, NULL);
    return decode_by_route(d, r, &h, route, ev);
}

void decode_describe(const struct decoder *d, enum decode_outcome outcome, struct buf *out)
{
    buf_append(out, slice_of(decode_outcome_word(outcome)));
    if (d->field.p != NULL)
        buf_printf(out, ": %.*s", SLICE_ARG(d->field));
    if (d->why != NULL)
        buf_printf(out, ": %s", d->why);
    if (d->offset > 0)
        buf_printf(out, ", at byte %zu", d->offset);
}

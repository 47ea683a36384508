/* Reading a table of routes. The file is read where it lies, by the pull reader of common/json.h, because that one
 * knows where each value stands. Objects are read by tables of their members, in the tables' order. */
#include "router/route_reader.h"

#include "router/cloudevents.h"
#include "router/task.h"

#include <stdlib.h>

#define FILE_DEPTH 16
#define TOPIC_MAX  249 /* bytes, Kafka's own limit */

/* ---- the topic ---- */

/* What stands between "${" and "}": NAME, NAME:-default, or NAME:default. */
static int append_variable(struct route_reader *rd, const char *at, struct slice variable, struct buf *out)
{
    struct slice rest = variable;
    struct slice name = slice_cut(&rest, ':');
    bool has_default = name.n < variable.n;
    if (rest.n > 0 && rest.p[0] == '-')
        rest = slice_from(rest, 1);
    char *terminated = slice_dup(name);
    const char *value = rd->source->env != NULL ? rd->source->env(rd->source->env_arg, terminated) : NULL;
    free(terminated);
    bool set = value != NULL && value[0] != '\0';
    if (name.n == 0 || (!set && !has_default))
        return reader_refuse(rd, at, "${%.*s} is not set and has no default", SLICE_ARG(name));
    buf_append(out, set ? slice_of(value) : rest);
    return 0;
}

static int expand_variables(struct route_reader *rd, const char *at, struct slice text, struct buf *out)
{
    while (text.n > 0) {
        const char *dollar = memmem(text.p, text.n, "${", 2);
        size_t n = dollar != NULL ? (size_t)(dollar - text.p) : text.n;
        buf_append(out, slice_make(text.p, n));
        text = slice_from(text, n);
        if (text.n == 0)
            break;
        if (memchr(text.p, '}', text.n) == NULL)
            return reader_refuse(rd, at, "\"${\" without \"}\"");
        struct slice variable = slice_cut(&text, '}');
        if (append_variable(rd, at, slice_from(variable, 2), out) != 0)
            return -1;
    }
    return 0;
}

static bool is_topic(struct slice s)
{
    if (s.n == 0 || s.n > TOPIC_MAX || slice_eq(s, SLICE(".")) || slice_eq(s, SLICE("..")))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static int read_topic(struct route_reader *rd, struct json_value v)
{
    struct slice text;
    struct buf topic = {0};
    if (reader_text(rd, v, &text) != 0)
        return -1;
    if (expand_variables(rd, v.raw.p, text, &topic) != 0) {
        buf_release(&topic);
        return -1;
    }
    rd->row->topic_text = slice_dup(buf_slice(&topic));
    rd->row->topic = slice_make(rd->row->topic_text, topic.n);
    buf_release(&topic);
    if (!is_topic(rd->row->topic))
        return reader_refuse(rd, v.raw.p, "\"%.100s\" is no topic: 1 to %d of A-Z a-z 0-9 . _ -", rd->row->topic_text,
                             TOPIC_MAX);
    return 0;
}

/* ---- the rest of a row ---- */

static int read_form(struct route_reader *rd, struct json_value v)
{
    struct slice text;
    if (reader_text(rd, v, &text) != 0)
        return -1;
    int form = 0;
    while (form < ROUTE_FORM_COUNT && !slice_eq(text, slice_of(route_form_name((enum route_form)form))))
        form++;
    if (form == ROUTE_FORM_COUNT)
        return reader_refuse(rd, v.raw.p, "must be task, json, text or binary");
    rd->row->form = (enum route_form)form;
    for (size_t i = 0; form == ROUTE_TASK && i < TASK_MEMBER_COUNT; i++)
        field_set_add(&rd->row->fields, task_names[i]);
    return 0;
}

static int read_profile(struct route_reader *rd, struct json_value v)
{
    if (reader_text(rd, v, &rd->row->profile) != 0)
        return -1;
    return rd->row->profile.n > 0 ? 0 : reader_refuse(rd, v.raw.p, "must not be empty");
}

static int read_event(struct route_reader *rd, struct json_value v)
{
    if (reader_template(rd, v, &rd->row->event) != 0)
        return -1;
    return template_is_optional(&rd->row->event) ? reader_refuse(rd, v.raw.p, "every event has a name: no \"?\" here")
                                                 : 0;
}

static int read_members(struct route_reader *rd, struct json_value v)
{
    return reader_bool(rd, v, &rd->row->members);
}

static int read_key(struct route_reader *rd, struct json_value v)
{
    struct route *r = rd->row;
    if (reader_template(rd, v, &r->key) != 0)
        return -1;
    if (!template_is_constant(&r->key))
        return 0;
    r->keyless = slice_eq(r->key.text, SLICE("none"));
    r->key.count = 0;
    return r->keyless ? 0 : reader_refuse(rd, v.raw.p, "must have a field, or be \"none\": all records would be one");
}

static int read_source_device(struct route_reader *rd, struct json_value v)
{
    return reader_template(rd, v, &rd->row->source_device);
}

static int read_conflate(struct route_reader *rd, struct json_value v)
{
    return reader_template(rd, v, &rd->row->conflate);
}

/* One alternative of the row's last target. */
static int read_alternative(struct route_reader *rd, struct json_value v)
{
    struct route_target *target = &rd->row->targets[rd->row->target_count - 1];
    if (target->count > 0 && !template_is_optional(&target->either[target->count - 1]))
        return reader_refuse(rd, v.raw.p, "never reached: what stands before it has no optional field");
    return reader_template(rd, v, &target->either[target->count++]);
}

static int read_target(struct route_reader *rd, struct json_value v)
{
    rd->row->target_count++;
    if (v.kind != JSON_ARRAY)
        return read_alternative(rd, v);
    if (reader_array(rd, v, 1, ROUTE_ALTERNATIVES_MAX) != 0)
        return -1;
    return reader_elements(rd, v, read_alternative);
}

static int read_targets(struct route_reader *rd, struct json_value v)
{
    if (reader_array(rd, v, 1, EVENT_TARGETS_MAX) != 0)
        return -1;
    rd->row->targets = xcalloc(reader_count(v), sizeof(*rd->row->targets));
    return reader_elements(rd, v, read_target);
}

static int read_history(struct route_reader *rd, struct json_value v)
{
    struct slice text;
    if (reader_text(rd, v, &text) != 0)
        return -1;
    rd->row->ephemeral = slice_eq(text, SLICE("none"));
    if (!rd->row->ephemeral && !slice_eq(text, SLICE("keep")))
        return reader_refuse(rd, v.raw.p, "must be \"keep\" or \"none\"");
    return 0;
}

/* ---- rows ---- */

static bool is_in_force(const struct route *r, const char *profile)
{
    return r->profile.n == 0 || (profile != NULL && slice_eq(r->profile, slice_of(profile)));
}

/* Only one row in force may have a topic. */
static int check_topic(struct route_reader *rd, struct json_value v)
{
    const char *profile = rd->source->profile;
    for (const struct route *r = rd->table->rows; r < rd->row; r++)
        if (slice_eq(r->topic, rd->row->topic) && is_in_force(r, profile) && is_in_force(rd->row, profile))
            return reader_refuse(rd, v.raw.p, "a second route for the topic %s", r->topic_text);
    return 0;
}

/* The field that holds a key where the row does not say. */
static int add_key_field(struct route_reader *rd, struct json_value v)
{
    struct route *r = rd->row;
    const char *why;
    bool has_members = r->form == ROUTE_TASK || r->form == ROUTE_JSON;
    if (rd->source->dedupe_field.p == NULL || r->key.count > 0 || r->keyless || !has_members)
        return 0;
    if (template_of_field(rd->source->dedupe_field, &r->fields, &r->field, &why) != 0)
        return reader_refuse(rd, v.raw.p, "DEDUPE_FIELD: %s", why);
    return 0;
}

/* What no single member can say. */
static int check_row(struct route_reader *rd, struct json_value v)
{
    const struct route *r = rd->row;
    const char *form = route_form_name(r->form);
    bool opaque = r->form == ROUTE_TEXT || r->form == ROUTE_BINARY;
    if (r->mapping != NULL && r->form != ROUTE_JSON)
        return reader_refuse(rd, v.raw.p, "the form %s has no mapping", form);
    if (opaque && r->members)
        return reader_refuse(rd, v.raw.p, "the form %s has no members", form);
    return check_topic(rd, v);
}

static int read_row(struct route_reader *rd, struct json_value v)
{
    /* the form stands first: it decides which names the row's set begins with */
    static const struct route_member members[] = {
        {{"form", 4}, read_form, true},          {{"topic", 5}, read_topic, true},
        {{"profile", 7}, read_profile, false},   {{"event", 5}, read_event, true},
        {{"members", 7}, read_members, false},   {{"targets", 7}, read_targets, true},
        {{"history", 7}, read_history, false},   {{"mapping", 7}, mapping_read, false},
        {{"key", 3}, read_key, false},           {{"source_device", 13}, read_source_device, false},
        {{"conflate", 8}, read_conflate, false},
    };
    rd->row = &rd->table->rows[rd->table->row_count++];
    for (size_t i = 0; i < CE_MEMBER_COUNT; i++)
        field_set_add(&rd->row->fields, cloudevent_names[i]);
    if (reader_object(rd, v, members, ARRAY_LEN(members)) != 0)
        return -1;
    return check_row(rd, v) == 0 ? add_key_field(rd, v) : -1;
}

static int read_routes(struct route_reader *rd, struct json_value v)
{
    if (reader_array(rd, v, 1, ROUTES_MAX) != 0)
        return -1;
    rd->table->rows = xcalloc(reader_count(v), sizeof(*rd->table->rows));
    return reader_elements(rd, v, read_row);
}

/* Rows in force come first. */
static void sort_rows(struct route_table *t, const char *profile)
{
    for (size_t i = 0; i < t->row_count; i++) {
        struct route row = t->rows[i];
        if (!is_in_force(&row, profile))
            continue;
        memmove(&t->rows[t->count + 1], &t->rows[t->count], (i - t->count) * sizeof(row));
        t->rows[t->count++] = row;
    }
}

static int read_file(struct route_reader *rd)
{
    static const struct route_member members[] = {{{"routes", 6}, read_routes, true}};
    struct json_value root;
    struct json_error err;
    if (json_parse(rd->text, FILE_DEPTH, &root, &err) != 0)
        return reader_refuse(rd, rd->text.p + err.offset, "%s", json_reason_text(err.reason));
    if (reader_object(rd, root, members, ARRAY_LEN(members)) != 0)
        return -1;
    sort_rows(rd->table, rd->source->profile);
    return 0;
}

struct route_table *routes_parse(const struct route_source *source, char **why)
{
    struct route_table *t = xcalloc(1, sizeof(*t));
    t->text = slice_dup(source->text);
    buf_reserve(&t->names, source->text.n);
    struct route_reader rd = {.source = source, .table = t, .text = {t->text, source->text.n}, .why = why};
    int failed = read_file(&rd);
    buf_release(&rd.path);
    if (failed == 0)
        return t;
    routes_free(t);
    return NULL;
}

/* The table of routes: finding a row, and what --check says of it. Reading is route_file.c's. */
#include "router/route.h"

#include <stdlib.h>

/* routes.default.json, put in at build time */
extern const char routes_default_json[];
extern const size_t routes_default_json_size;

static const char *const form_names[] = {
    [ROUTE_TASK] = "task",
    [ROUTE_JSON] = "json",
    [ROUTE_TEXT] = "text",
    [ROUTE_BINARY] = "binary",
};

const char *route_form_name(enum route_form form)
{
    return (unsigned)form < ARRAY_LEN(form_names) ? form_names[form] : NULL;
}

struct slice routes_default(void)
{
    return slice_make(routes_default_json, routes_default_json_size);
}

void routes_free(struct route_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->row_count; i++) {
        struct route *r = &t->rows[i];
        if (r->mapping != NULL)
            mapping_release(r->mapping);
        free(r->mapping);
        free(r->targets);
        free(r->topic_text);
    }
    free(t->rows);
    free(t->text);
    buf_release(&t->names);
    free(t);
}

const struct route *routes_find(const struct route_table *t, struct slice topic)
{
    for (size_t i = 0; i < t->count; i++)
        if (slice_eq(t->rows[i].topic, topic))
            return &t->rows[i];
    return NULL;
}

static void describe_targets(const struct route *r, struct buf *out)
{
    for (size_t i = 0; i < r->target_count; i++) {
        buf_append(out, i == 0 ? SLICE(", to ") : SLICE(" and "));
        for (size_t j = 0; j < r->targets[i].count; j++) {
            buf_append(out, j == 0 ? SLICE("") : SLICE(" else "));
            buf_append(out, r->targets[i].either[j].text);
        }
    }
}

static void describe_fields(const struct mapping *m, struct buf *out)
{
    if (m->listed)
        buf_lit(out, ", only");
    for (size_t i = 0; i < m->field_count; i++) {
        const struct mapping_field *f = &m->fields[i];
        buf_printf(out, "%s %.*s", i > 0 || !m->listed ? "," : "", SLICE_ARG(f->name));
        if (!slice_eq(f->name, f->as))
            buf_printf(out, " as %.*s", SLICE_ARG(f->as));
    }
    for (size_t i = 0; i < m->dropped_count; i++)
        buf_printf(out, "%s %.*s", i == 0 ? ", without" : ",", SLICE_ARG(m->dropped[i]));
}

static void describe_mapping(const struct mapping *m, struct buf *out)
{
    buf_lit(out, "; payload: ");
    buf_append(out, m->constants.n > 0 ? buf_slice(&m->constants) : SLICE("the record"));
    describe_fields(m, out);
    if (!m->timestamp)
        return;
    buf_lit(out, ", timestamp from ");
    for (size_t i = 0; i < m->time_count; i++)
        buf_printf(out, "%.*s or ", SLICE_ARG(m->times[i].path));
    buf_lit(out, "the record's time");
}

static void describe_extras(const struct route *r, struct buf *out)
{
    if (r->keyless)
        buf_lit(out, "; keys are not looked for");
    const struct {
        const char *what;
        const struct field_template *t;
    } extras[] = {{"key", &r->key},
                  {"key, if there is one,", &r->field},
                  {"source device", &r->source_device},
                  {"conflated by", &r->conflate}};
    for (size_t i = 0; i < ARRAY_LEN(extras); i++)
        if (extras[i].t->count > 0)
            buf_printf(out, "; %s %.*s", extras[i].what, SLICE_ARG(extras[i].t->text));
}

static void describe_route(const struct route *r, struct buf *out)
{
    buf_printf(out, "%.*s: %s as \"%.*s\"", SLICE_ARG(r->topic), route_form_name(r->form), SLICE_ARG(r->event.text));
    if (r->members)
        buf_lit(out, " (members beside its type)");
    describe_targets(r, out);
    if (r->mapping != NULL)
        describe_mapping(r->mapping, out);
    if (r->ephemeral)
        buf_lit(out, "; not kept in history");
    describe_extras(r, out);
    buf_byte(out, '\n');
}

void routes_describe(const struct route_table *t, struct buf *out)
{
    for (size_t i = 0; i < t->count; i++)
        describe_route(&t->rows[i], out);
    for (size_t i = t->count; i < t->row_count; i++)
        buf_printf(out, "%.*s: not in force, only with PROFILE=%.*s\n", SLICE_ARG(t->rows[i].topic),
                   SLICE_ARG(t->rows[i].profile));
}

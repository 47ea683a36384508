/* Reading with positions: line and column are counted only for the one value that is refused. */
#include "router/route_reader.h"

#include <stdarg.h>
#include <stdio.h>

int reader_refuse(struct route_reader *rd, const char *at, const char *fmt, ...)
{
    size_t line = 1, column = 1;
    for (const char *p = rd->text.p; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    struct buf b = {0};
    buf_printf(&b, "%s:%zu:%zu: ", rd->source->file, line, column);
    buf_append(&b, buf_slice(&rd->path));
    if (rd->path.n > 0)
        buf_lit(&b, ": ");
    va_list ap;
    va_start(ap, fmt);
    char reason[512];
    vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
    buf_append(&b, slice_of(reason));
    *rd->why = slice_dup(buf_slice(&b));
    buf_release(&b);
    return -1;
}

/* Enters a value's path, reads it, and leaves the path again unless it was refused. */
static int read_at(struct route_reader *rd, struct slice step, struct json_value v,
                   int (*read)(struct route_reader *, struct json_value))
{
    size_t before = rd->path.n;
    buf_append(&rd->path, step);
    if (read(rd, v) != 0)
        return -1;
    rd->path.n = before;
    return 0;
}

static int read_member(struct route_reader *rd, struct slice name, struct json_value v,
                       int (*read)(struct route_reader *, struct json_value))
{
    char step[80];
    int n = snprintf(step, sizeof(step), "%s%.*s", rd->path.n > 0 ? "." : "", SLICE_ARG(name));
    return read_at(rd, slice_make(step, MIN((size_t)n, sizeof(step) - 1)), v, read);
}

int reader_elements(struct route_reader *rd, struct json_value array,
                    int (*read)(struct route_reader *, struct json_value))
{
    struct json_iter it = json_iter(array);
    struct json_value v;
    struct slice key;
    for (size_t i = 0; json_next(&it, &key, &v); i++) {
        char step[24];
        int n = snprintf(step, sizeof(step), "[%zu]", i);
        if (read_at(rd, slice_make(step, (size_t)n), v, read) != 0)
            return -1;
    }
    return 0;
}

size_t reader_count(struct json_value container)
{
    struct json_iter it = json_iter(container);
    struct json_value v;
    struct slice key;
    size_t n = 0;
    while (json_next(&it, &key, &v))
        n++;
    return n;
}

int reader_array(struct route_reader *rd, struct json_value v, size_t least, size_t most)
{
    if (v.kind != JSON_ARRAY)
        return reader_refuse(rd, v.raw.p, "must be an array");
    size_t n = reader_count(v);
    if (n < least || n > most)
        return reader_refuse(rd, v.raw.p, "must have %zu to %zu elements", least, most);
    return 0;
}

/* Keys that no row of the table knows, and keys that come twice. */
static int check_keys(struct route_reader *rd, struct json_value object, const struct route_member *members,
                      size_t count)
{
    struct json_iter it = json_iter(object);
    struct json_value v;
    uint64_t seen = 0;
    for (struct slice key; json_next(&it, &key, &v);) {
        size_t i = 0;
        while (i < count && !json_string_is(key, members[i].name))
            i++;
        if (i == count)
            return reader_refuse(rd, key.p, "unknown member %.*s", SLICE_ARG(key));
        if (seen & 1ull << i)
            return reader_refuse(rd, key.p, "%.*s comes twice", SLICE_ARG(key));
        seen |= 1ull << i;
    }
    return 0;
}

int reader_object(struct route_reader *rd, struct json_value v, const struct route_member *members, size_t count)
{
    if (v.kind != JSON_OBJECT)
        return reader_refuse(rd, v.raw.p, "must be an object");
    if (check_keys(rd, v, members, count) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct json_value value = json_get(v, members[i].name);
        if (value.kind == JSON_ABSENT && members[i].required)
            return reader_refuse(rd, v.raw.p, "\"%s\" is missing", members[i].name.p);
        if (value.kind != JSON_ABSENT && read_member(rd, members[i].name, value, members[i].read) != 0)
            return -1;
    }
    return 0;
}

int reader_text(struct route_reader *rd, struct json_value v, struct slice *out)
{
    struct buf *names = &rd->table->names;
    assert(v.kind != JSON_STRING || names->cap - names->n >= v.raw.n);
    if (json_string_decode(v, names, out) != 0)
        return reader_refuse(rd, v.raw.p, "must be a string");
    for (size_t i = 0; i < out->n; i++)
        if ((unsigned char)out->p[i] < 0x20)
            return reader_refuse(rd, v.raw.p, "control characters");
    return 0;
}

int reader_bool(struct route_reader *rd, struct json_value v, bool *out)
{
    if (v.kind != JSON_TRUE && v.kind != JSON_FALSE)
        return reader_refuse(rd, v.raw.p, "must be true or false");
    *out = v.kind == JSON_TRUE;
    return 0;
}

int reader_template(struct route_reader *rd, struct json_value v, struct field_template *out)
{
    struct slice text;
    const char *why;
    if (reader_text(rd, v, &text) != 0)
        return -1;
    if (template_parse(text, &rd->row->fields, out, &why) != 0)
        return reader_refuse(rd, v.raw.p, "%s", why);
    bool has_fields = rd->row->form == ROUTE_TASK || rd->row->form == ROUTE_JSON;
    if (!has_fields && !template_is_constant(out))
        return reader_refuse(rd, v.raw.p, "the form %s has no fields", route_form_name(rd->row->form));
    return 0;
}

int reader_field(struct route_reader *rd, struct json_value v, struct field *out)
{
    struct slice text;
    const char *why;
    if (reader_text(rd, v, &text) != 0)
        return -1;
    if (field_parse(text, &rd->row->fields, out, &why) != 0)
        return reader_refuse(rd, v.raw.p, "%s", why);
    return 0;
}

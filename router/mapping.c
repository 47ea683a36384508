/* Writing a mapped payload: members are moved, never re-encoded. */
#include "router/mapping.h"

void mapping_release(struct mapping *m)
{
    buf_release(&m->constants);
}

/* first is where the object's first member would begin. */
static void write_member(struct buf *out, size_t first, struct slice key, struct slice value)
{
    if (out->n > first)
        buf_byte(out, ',');
    buf_append(out, key);
    buf_byte(out, ':');
    buf_append(out, value);
}

static void write_listed(const struct mapping *m, const struct json_value *members, size_t first, struct buf *out)
{
    for (size_t i = 0; i < m->field_count; i++) {
        struct json_value v = members[m->fields[i].member];
        if (v.kind != JSON_ABSENT)
            write_member(out, first, m->fields[i].key, v.raw);
    }
}

static bool is_among(struct slice key, const struct slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_string_is(key, names[i]))
            return true;
    return false;
}

static const struct mapping_field *find_renamed(const struct mapping *m, struct slice key)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (json_string_is(key, m->fields[i].name))
            return &m->fields[i];
    return NULL;
}

static void write_all(const struct mapping *m, struct json_value object, size_t first, struct buf *out)
{
    struct json_iter it = json_iter(object);
    struct json_value v;
    for (struct slice key; json_next(&it, &key, &v);) {
        const struct mapping_field *renamed = find_renamed(m, key);
        if (renamed != NULL)
            write_member(out, first, renamed->key, v.raw);
        else if (!is_among(key, m->own, m->own_count) && !is_among(key, m->dropped, m->dropped_count))
            write_member(out, first, key, v.raw);
    }
}

struct slice mapping_time(const struct mapping *m, const struct json_value *members)
{
    for (size_t i = 0; i < m->time_count; i++) {
        struct json_value v = field_value(&m->times[i], members);
        if (v.kind != JSON_ABSENT)
            return v.raw;
    }
    return (struct slice){NULL, 0};
}

void mapping_write(const struct mapping *m, struct json_value object, const struct json_value *members,
                   struct slice time, struct buf *out)
{
    buf_byte(out, '{');
    size_t first = out->n;
    buf_append(out, buf_slice(&m->constants));
    if (m->listed)
        write_listed(m, members, first, out);
    else
        write_all(m, object, first, out);
    if (m->timestamp)
        write_member(out, first, SLICE("\"timestamp\""), time);
    buf_byte(out, '}');
}

/* Reading a row's mapping. The lists are read first; then, when all names that the payload will have are known, it is
 * checked that none is written twice. */
#include "router/route_reader.h"

static int add_name(struct route_reader *rd, const char *at, struct slice *names, size_t *count, struct slice name)
{
    if (*count == MAPPING_FIELDS_MAX)
        return reader_refuse(rd, at, "more than %d members", MAPPING_FIELDS_MAX);
    names[(*count)++] = name;
    return 0;
}

static int read_set(struct route_reader *rd, struct json_value v)
{
    struct mapping *m = rd->row->mapping;
    struct json_iter it = json_iter(v);
    struct json_value value;
    if (v.kind != JSON_OBJECT)
        return reader_refuse(rd, v.raw.p, "must be an object");
    for (struct slice key; json_next(&it, &key, &value);) {
        struct slice name;
        if (reader_text(rd, (struct json_value){JSON_STRING, key}, &name) != 0 ||
            add_name(rd, key.p, m->own, &m->own_count, name) != 0)
            return -1;
        if (m->constants.n > 0)
            buf_byte(&m->constants, ',');
        buf_append(&m->constants, key);
        buf_byte(&m->constants, ':');
        buf_append(&m->constants, value.raw);
    }
    return 0;
}

static int add_field(struct route_reader *rd, const char *at, const struct mapping_field *f)
{
    struct mapping *m = rd->row->mapping;
    if (m->field_count == MAPPING_FIELDS_MAX)
        return reader_refuse(rd, at, "more than %d fields", MAPPING_FIELDS_MAX);
    m->fields[m->field_count++] = *f;
    return 0;
}

static int read_kept(struct route_reader *rd, struct json_value v)
{
    struct slice name;
    if (reader_text(rd, v, &name) != 0)
        return -1;
    int member = field_set_add(&rd->row->fields, name);
    if (member < 0)
        return reader_refuse(rd, v.raw.p, "the route names too many fields");
    return add_field(rd, v.raw.p, &(struct mapping_field){name, name, v.raw, (size_t)member});
}

static int read_keep(struct route_reader *rd, struct json_value v)
{
    rd->row->mapping->listed = true;
    if (reader_array(rd, v, 1, MAPPING_FIELDS_MAX) != 0)
        return -1;
    return reader_elements(rd, v, read_kept);
}

static int read_dropped(struct route_reader *rd, struct json_value v)
{
    struct mapping *m = rd->row->mapping;
    struct slice name;
    if (reader_text(rd, v, &name) != 0)
        return -1;
    return add_name(rd, v.raw.p, m->dropped, &m->dropped_count, name);
}

static int read_drop(struct route_reader *rd, struct json_value v)
{
    if (rd->row->mapping->listed)
        return reader_refuse(rd, v.raw.p, "beside \"keep\": what is not kept is dropped anyway");
    if (reader_array(rd, v, 1, MAPPING_FIELDS_MAX) != 0)
        return -1;
    return reader_elements(rd, v, read_dropped);
}

/* With a list the field is on it; without, this makes it known. */
static struct mapping_field *find_field(struct mapping *m, struct slice name)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (slice_eq(m->fields[i].name, name))
            return &m->fields[i];
    return NULL;
}

static int rename_field(struct route_reader *rd, struct slice key, struct json_value to)
{
    struct mapping *m = rd->row->mapping;
    struct slice name, as;
    if (reader_text(rd, (struct json_value){JSON_STRING, key}, &name) != 0 || reader_text(rd, to, &as) != 0)
        return -1;
    struct mapping_field *f = find_field(m, name);
    if (f != NULL && (!m->listed || !slice_eq(f->as, f->name)))
        return reader_refuse(rd, key.p, "%.*s comes twice", SLICE_ARG(key));
    if (!m->listed)
        return add_field(rd, key.p, &(struct mapping_field){name, as, to.raw, 0});
    if (f == NULL)
        return reader_refuse(rd, key.p, "%.*s is not among the fields that are kept", SLICE_ARG(key));
    f->as = as;
    f->key = to.raw;
    return 0;
}

static int read_rename(struct route_reader *rd, struct json_value v)
{
    struct json_iter it = json_iter(v);
    struct json_value to;
    if (v.kind != JSON_OBJECT)
        return reader_refuse(rd, v.raw.p, "must be an object");
    for (struct slice key; json_next(&it, &key, &to);)
        if (rename_field(rd, key, to) != 0)
            return -1;
    return 0;
}

static int read_time(struct route_reader *rd, struct json_value v)
{
    struct mapping *m = rd->row->mapping;
    return reader_field(rd, v, &m->times[m->time_count++]);
}

static int read_timestamp(struct route_reader *rd, struct json_value v)
{
    rd->row->mapping->timestamp = true;
    if (reader_array(rd, v, 0, MAPPING_TIMES_MAX) != 0)
        return -1;
    return reader_elements(rd, v, read_time);
}

static int check_names(struct route_reader *rd, struct json_value v)
{
    const struct mapping *m = rd->row->mapping;
    for (size_t i = 0; i < m->own_count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_eq(m->own[i], m->own[j]))
                return reader_refuse(rd, v.raw.p, "the payload would have \"%.*s\" twice", SLICE_ARG(m->own[i]));
    return 0;
}

int mapping_read(struct route_reader *rd, struct json_value v)
{
    static const struct route_member members[] = {
        {{"set", 3}, read_set, false},       {{"keep", 4}, read_keep, false},           {{"drop", 4}, read_drop, false},
        {{"rename", 6}, read_rename, false}, {{"timestamp", 9}, read_timestamp, false},
    };
    struct mapping *m = rd->row->mapping = xcalloc(1, sizeof(*m));
    if (reader_object(rd, v, members, ARRAY_LEN(members)) != 0)
        return -1;
    for (size_t i = 0; i < m->field_count; i++)
        m->own[m->own_count++] = m->fields[i].as;
    if (m->timestamp)
        m->own[m->own_count++] = SLICE("timestamp");
    return check_names(rd, v);
}

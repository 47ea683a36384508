/* Names of members and paths of fields. Paths are walked as text: they are short, and few have more than one name. */
#include "router/field.h"

int field_set_add(struct field_set *set, struct slice name)
{
    for (size_t i = 0; i < set->count; i++)
        if (slice_eq(set->names[i], name))
            return (int)i;
    if (set->count == FIELD_SET_MAX)
        return -1;
    set->names[set->count] = name;
    return (int)set->count++;
}

/* Every name between the dots must be there, and be no bracket's or question mark's mistake. */
static bool path_is_sound(struct slice path)
{
    while (path.p != NULL) {
        struct slice name = slice_cut(&path, '.');
        if (name.n == 0)
            return false;
        for (size_t i = 0; i < name.n; i++)
            if ((unsigned char)name.p[i] <= ' ' || strchr("{}?", name.p[i]) != NULL)
                return false;
    }
    return true;
}

int field_parse(struct slice text, struct field_set *set, struct field *out, const char **why)
{
    bool optional = text.n > 0 && text.p[text.n - 1] == '?';
    struct slice path = {text.p, text.n - optional};
    if (path.n == 0 || !path_is_sound(path)) {
        *why = "a field is a name, or names with dots between them, and perhaps a question mark at the end";
        return -1;
    }
    *out = (struct field){.path = path, .rest = path, .optional = optional};
    int member = field_set_add(set, slice_cut(&out->rest, '.'));
    if (member < 0) {
        *why = "the route names too many fields";
        return -1;
    }
    out->member = (size_t)member;
    return 0;
}

struct json_value field_value(const struct field *f, const struct json_value *members)
{
    struct json_value v = members[f->member];
    struct slice rest = f->rest;
    while (rest.n > 0)
        v = json_get(v, slice_cut(&rest, '.'));
    return v.kind == JSON_NULL ? (struct json_value){.kind = JSON_ABSENT} : v;
}

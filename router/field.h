/* Members of a record that a route looks at. A route collects their names once, in a field_set; a decoder then cuts
 * all of them out of a record in one pass, and a field says where its value lies among what was cut. */
#ifndef TIDEGATE_ROUTER_FIELD_H
#define TIDEGATE_ROUTER_FIELD_H

#include "common/json.h"

#define FIELD_SET_MAX 64

/* Names of members of the outermost object, each once; *borrowed* for the set's life. Zero-initialised is empty. */
struct field_set {
    struct slice names[FIELD_SET_MAX];
    size_t count;
};

/* The place of a name, added if it is new; -1 when the set is full. */
int field_set_add(struct field_set *set, struct slice name);

struct field {
    struct slice path; /* "metadata.projectId" */
    size_t member;     /* the place of the path's first name in the set */
    struct slice rest; /* the names behind it, dotted; empty for none */
    bool optional;
};

/* Reads "name", "outer.inner" or either with a question mark; *borrows* text for the field's life. 0, or -1 with a
 * static sentence. */
int field_parse(struct slice text, struct field_set *set, struct field *out, const char **why);
/* Its value among the members cut by the set's names; absent where it is not there, or null. */
struct json_value field_value(const struct field *f, const struct json_value *members);

#endif

/* A text with fields of the record in it: "survey:{surveyId}", "project:{metadata.projectId?}". A field must be a
 * string that is not empty, or a whole number, whose digits are taken as they stand, so that 7 and "7" give the same
 * text. A question mark makes it optional: without it the whole text is absent, which is no error. */
#ifndef TIDEGATE_ROUTER_TEMPLATE_H
#define TIDEGATE_ROUTER_TEMPLATE_H

#include "router/field.h"

#define TEMPLATE_PIECES_MAX 8
/* Bytes of the longest result: a target's 256, of which "u:" is written "user:" in a template. */
#define TEMPLATE_RESULT_MAX 259
/* Bytes that template_expand may append to its buffer on the way, at most. */
#define TEMPLATE_RESERVE (8 * TEMPLATE_RESULT_MAX)

struct template_piece {
    struct slice literal; /* p NULL: a field */
    struct field field;
};

/* Without pieces: there is none. */
struct field_template {
    struct slice text; /* as written */
    struct template_piece pieces[TEMPLATE_PIECES_MAX];
    size_t count;
};

/* *Borrows* text for the template's life. 0, or -1 with a static sentence. */
int template_parse(struct slice text, struct field_set *set, struct field_template *out, const char **why);
/* Only a field, which is optional: "event_id" is what "{event_id?}" is. *Borrows* path; 0, or -1 with a static
 * sentence.
 */
int template_of_field(struct slice path, struct field_set *set, struct field_template *out, const char **why);
/* True if it has an optional field. */
bool template_is_optional(const struct field_template *t);
/* True if it has no field at all. */
bool template_is_constant(const struct field_template *t);

enum template_result {
    TEMPLATE_OK,
    TEMPLATE_ABSENT,  /* an optional field is not there */
    TEMPLATE_MISSING, /* a mandatory one is not there */
    TEMPLATE_BAD      /* a field of another kind, empty, too long, or with control characters */
};

/* Appends the text, 1 to TEMPLATE_RESULT_MAX bytes of UTF-8 without control characters. Unless OK nothing is
 * appended, and *culprit is the field's path. */
enum template_result template_expand(const struct field_template *t, const struct json_value *members, struct buf *out,
                                     struct slice *culprit);

#endif

/* Templates: cut into literals and fields once, put together for each record. */
#include "router/template.h"

static int add_piece(struct field_template *t, const struct template_piece *piece, const char **why)
{
    if (t->count == TEMPLATE_PIECES_MAX) {
        *why = "the template has too many parts";
        return -1;
    }
    t->pieces[t->count++] = *piece;
    return 0;
}

static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

static int add_literal(struct field_template *t, struct slice literal, const char **why)
{
    if (literal.n == 0)
        return 0;
    if (memchr(literal.p, '}', literal.n) != NULL) {
        *why = "a closing brace without an opening one";
        return -1;
    }
    if (has_control(literal)) {
        *why = "control characters";
        return -1;
    }
    return add_piece(t, &(struct template_piece){.literal = literal}, why);
}

static int add_field(struct field_template *t, struct slice *rest, struct field_set *set, const char **why)
{
    if (memchr(rest->p, '}', rest->n) == NULL) {
        *why = "an opening brace without a closing one";
        return -1;
    }
    struct template_piece piece = {.literal = {NULL, 0}};
    if (field_parse(slice_cut(rest, '}'), set, &piece.field, why) != 0)
        return -1;
    return add_piece(t, &piece, why);
}

int template_parse(struct slice text, struct field_set *set, struct field_template *out, const char **why)
{
    *out = (struct field_template){.text = text};
    if (text.n == 0 || text.n > TEMPLATE_RESULT_MAX) {
        *why = "a template has 1 to 259 bytes";
        return -1;
    }
    for (struct slice rest = text; rest.n > 0;) {
        const char *brace = memchr(rest.p, '{', rest.n);
        size_t n = brace != NULL ? (size_t)(brace - rest.p) : rest.n;
        if (add_literal(out, slice_make(rest.p, n), why) != 0)
            return -1;
        rest = slice_from(rest, n);
        if (rest.n > 0) {
            rest = slice_from(rest, 1);
            if (add_field(out, &rest, set, why) != 0)
                return -1;
        }
    }
    return 0;
}

int template_of_field(struct slice path, struct field_set *set, struct field_template *out, const char **why)
{
    *out = (struct field_template){.text = path, .count = 1};
    if (field_parse(path, set, &out->pieces[0].field, why) != 0)
        return -1;
    out->pieces[0].field.optional = true;
    return 0;
}

bool template_is_optional(const struct field_template *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->pieces[i].literal.p == NULL && t->pieces[i].field.optional)
            return true;
    return false;
}

bool template_is_constant(const struct field_template *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->pieces[i].literal.p == NULL)
            return false;
    return true;
}

/* A character takes at most six bytes of a JSON string, so a longer one cannot fit: nothing huge is ever decoded. */
static bool string_may_fit(struct json_value v)
{
    return v.raw.n <= 2 + 6 * TEMPLATE_RESULT_MAX;
}

static int append_value(struct json_value v, struct buf *out)
{
    if (json_is_integer(v)) {
        if (v.raw.n > TEMPLATE_RESULT_MAX)
            return -1;
        buf_append(out, v.raw);
        return 0;
    }
    size_t before = out->n;
    struct slice text;
    if (v.kind != JSON_STRING || !string_may_fit(v) || json_string_decode(v, out, &text) != 0)
        return -1;
    if (text.n == 0 || has_control(text))
        return -1;
    if (out->n == before) /* without escapes it was not appended, only cut */
        buf_append(out, text);
    return 0;
}

static enum template_result append_piece(const struct template_piece *piece, const struct json_value *members,
                                         struct buf *out)
{
    if (piece->literal.p != NULL) {
        buf_append(out, piece->literal);
        return TEMPLATE_OK;
    }
    struct json_value v = field_value(&piece->field, members);
    if (v.kind == JSON_ABSENT)
        return piece->field.optional ? TEMPLATE_ABSENT : TEMPLATE_MISSING;
    return append_value(v, out) == 0 ? TEMPLATE_OK : TEMPLATE_BAD;
}

enum template_result template_expand(const struct field_template *t, const struct json_value *members, struct buf *out,
                                     struct slice *culprit)
{
    size_t before = out->n;
    for (size_t i = 0; i < t->count; i++) {
        enum template_result result = append_piece(&t->pieces[i], members, out);
        if (result == TEMPLATE_OK && out->n - before > TEMPLATE_RESULT_MAX)
            result = TEMPLATE_BAD;
        if (result != TEMPLATE_OK) {
            out->n = before;
            *culprit = t->pieces[i].field.path;
            return result;
        }
    }
    return TEMPLATE_OK;
}

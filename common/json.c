/* The validating pass over a foreign text: one function for each rule of RFC 8259, each taking the place where its rule
 * begins and giving the place behind it, or NULL once the error is noted. Recursion is as deep as the brackets, which
 * the limit bounds. Members of the outermost object are handed to a list of wanted names as they go by. */
#include "common/json.h"
#include "common/json_lex.h"
#include "common/utf8.h"

struct scan {
    const char *start, *end;
    unsigned depth_left;
    struct json_error *err;
};

static const char *const reason_texts[] = {
    [JSON_FINE] = "fine",
    [JSON_TRUNCATED] = "the text ends too early",
    [JSON_BAD_VALUE] = "not a JSON value",
    [JSON_BAD_NUMBER] = "malformed number",
    [JSON_BAD_ESCAPE] = "malformed escape",
    [JSON_BAD_UTF8] = "not UTF-8",
    [JSON_CONTROL] = "control character in a string",
    [JSON_BAD_KEY] = "a key must be a string",
    [JSON_BAD_COLON] = "no colon after the key",
    [JSON_BAD_SEPARATOR] = "no comma or closing bracket",
    [JSON_TRAILING] = "something follows the value",
    [JSON_TOO_DEEP] = "nested too deeply",
    [JSON_NOT_OBJECT] = "not an object",
    [JSON_DUPLICATE] = "a key came twice",
};

const char *json_reason_text(enum json_reason reason)
{
    return reason_texts[reason];
}

static const char *fail(struct scan *s, const char *at, enum json_reason reason)
{
    s->err->reason = at == s->end ? JSON_TRUNCATED : reason;
    s->err->offset = (size_t)(at - s->start);
    return NULL;
}

/* The byte at p, or -1 behind the last one. */
static inline int peek(const struct scan *s, const char *p)
{
    return p < s->end ? (unsigned char)*p : -1;
}

static inline bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline const char *skip_blank(const struct scan *s, const char *p)
{
    while (p < s->end && json_is_blank(*p))
        p++;
    return p;
}

static bool is_hex(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *scan_escape(struct scan *s, const char *p)
{
    switch (peek(s, ++p)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;
    case 'u':
        for (const char *digits = ++p; p < digits + 4; p++)
            if (!is_hex(peek(s, p)))
                return fail(s, p, JSON_BAD_ESCAPE);
        return p;
    default:
        return fail(s, p, JSON_BAD_ESCAPE);
    }
}

/* The first byte that no continuation could make right, for the error alone. */
static const char *bad_utf8_at(const char *p, const char *end)
{
    struct utf8 u = {0};
    while (p < end && utf8_feed(&u, slice_make(p, 1)) == 0)
        p++;
    return p;
}

static const char *scan_string(struct scan *s, const char *p)
{
    p++;
    for (;;) {
        bool high;
        const char *run = p;
        p = json_plain_end(run, s->end, &high);
        /* what ends a run is ASCII, so no character reaches over it */
        if (high && !utf8_valid(slice_make(run, (size_t)(p - run))))
            return fail(s, bad_utf8_at(run, p), JSON_BAD_UTF8);
        int c = peek(s, p);
        if (c == '"')
            return p + 1;
        if (c != '\\')
            return fail(s, p, JSON_CONTROL);
        p = scan_escape(s, p);
        if (p == NULL)
            return NULL;
    }
}

/* At least one. */
static const char *scan_digits(struct scan *s, const char *p)
{
    if (!is_digit(peek(s, p)))
        return fail(s, p, JSON_BAD_NUMBER);
    while (is_digit(peek(s, p)))
        p++;
    return p;
}

static const char *scan_number(struct scan *s, const char *p)
{
    if (*p == '-')
        p++;
    if (peek(s, p) != '0')
        p = scan_digits(s, p);
    else if (is_digit(peek(s, ++p)))
        return fail(s, p, JSON_BAD_NUMBER);
    if (p != NULL && peek(s, p) == '.')
        p = scan_digits(s, p + 1);
    if (p != NULL && (peek(s, p) == 'e' || peek(s, p) == 'E')) {
        p++;
        if (peek(s, p) == '+' || peek(s, p) == '-')
            p++;
        p = scan_digits(s, p);
    }
    return p;
}

static const char *scan_word(struct scan *s, const char *p, const char *word)
{
    for (; *word != '\0'; word++, p++)
        if (peek(s, p) != *word)
            return fail(s, p, JSON_BAD_VALUE);
    return p;
}

struct json_wanted json_wanted(const struct slice *names, size_t count, struct json_value *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (struct json_value){.kind = JSON_ABSENT};
    return (struct json_wanted){.names = names, .out = out, .count = count};
}

int json_collect(const struct json_wanted *w, struct slice key, struct json_value v)
{
    bool escaped = memchr(key.p, '\\', key.n) != NULL;
    struct slice inside = {key.p + 1, key.n - 2};
    for (size_t i = 0; i < w->count; i++) {
        if (escaped ? !json_string_is(key, w->names[i]) : !slice_eq(inside, w->names[i]))
            continue;
        if (w->out[i].kind != JSON_ABSENT)
            return -1;
        w->out[i] = v;
        return 0;
    }
    return 0;
}

static const char *scan_value(struct scan *s, const char *p);

static const char *scan_member(struct scan *s, const char *p, const struct json_wanted *w)
{
    const char *key = p;
    if (peek(s, p) != '"')
        return fail(s, p, JSON_BAD_KEY);
    const char *key_end = scan_string(s, p);
    if (key_end == NULL)
        return NULL;
    p = skip_blank(s, key_end);
    if (peek(s, p) != ':')
        return fail(s, p, JSON_BAD_COLON);
    const char *value = skip_blank(s, p + 1);
    p = scan_value(s, value);
    if (p != NULL && w != NULL &&
        json_collect(w, slice_make(key, (size_t)(key_end - key)), json_value_between(value, p)) != 0)
        return fail(s, key, JSON_DUPLICATE);
    return p;
}

static const char *scan_object(struct scan *s, const char *p, const struct json_wanted *w)
{
    p = skip_blank(s, p + 1);
    if (peek(s, p) == '}')
        return p + 1;
    for (;;) {
        p = scan_member(s, p, w);
        if (p == NULL)
            return NULL;
        p = skip_blank(s, p);
        int c = peek(s, p);
        if (c == '}')
            return p + 1;
        if (c != ',')
            return fail(s, p, JSON_BAD_SEPARATOR);
        p = skip_blank(s, p + 1);
    }
}

static const char *scan_array(struct scan *s, const char *p)
{
    p = skip_blank(s, p + 1);
    if (peek(s, p) == ']')
        return p + 1;
    for (;;) {
        p = scan_value(s, p);
        if (p == NULL)
            return NULL;
        p = skip_blank(s, p);
        int c = peek(s, p);
        if (c == ']')
            return p + 1;
        if (c != ',')
            return fail(s, p, JSON_BAD_SEPARATOR);
        p = skip_blank(s, p + 1);
    }
}

static const char *scan_nested(struct scan *s, const char *p, const struct json_wanted *w)
{
    if (s->depth_left == 0)
        return fail(s, p, JSON_TOO_DEEP);
    s->depth_left--;
    p = *p == '{' ? scan_object(s, p, w) : scan_array(s, p);
    s->depth_left++;
    return p;
}

static const char *scan_value(struct scan *s, const char *p)
{
    int c = peek(s, p);
    switch (c) {
    case '"':
        return scan_string(s, p);
    case '{':
    case '[':
        return scan_nested(s, p, NULL);
    case 't':
        return scan_word(s, p, "true");
    case 'f':
        return scan_word(s, p, "false");
    case 'n':
        return scan_word(s, p, "null");
    default:
        return c == '-' || is_digit(c) ? scan_number(s, p) : fail(s, p, JSON_BAD_VALUE);
    }
}

static struct scan scan_of(struct slice text, unsigned max_depth, struct json_error *err)
{
    assert(max_depth <= JSON_DEPTH_MOST);
    *err = (struct json_error){JSON_FINE, 0};
    /* an empty slice may have no pointer at all: compare and subtract within something that has */
    const char *p = text.n > 0 ? text.p : "";
    return (struct scan){.start = p, .end = p + text.n, .depth_left = max_depth, .err = err};
}

/* What stands behind the root value: 0, or -1 if anything but white space does. */
static int finish(struct scan *s, const char *p)
{
    p = skip_blank(s, p);
    if (p == s->end)
        return 0;
    fail(s, p, JSON_TRAILING);
    return -1;
}

int json_parse(struct slice text, unsigned max_depth, struct json_value *out, struct json_error *err)
{
    struct scan s = scan_of(text, max_depth, err);
    const char *root = skip_blank(&s, s.start);
    const char *p = scan_value(&s, root);
    if (p == NULL)
        return -1;
    *out = json_value_between(root, p);
    return finish(&s, p);
}

int json_members(struct slice text, unsigned max_depth, const struct slice *names, size_t count, struct json_value *out,
                 struct json_error *err)
{
    struct scan s = scan_of(text, max_depth, err);
    struct json_wanted w = json_wanted(names, count, out);
    const char *root = skip_blank(&s, s.start);
    if (peek(&s, root) != '{') {
        fail(&s, root, JSON_NOT_OBJECT);
        return -1;
    }
    const char *p = scan_nested(&s, root, &w);
    return p == NULL ? -1 : finish(&s, p);
}

/* Reading what was validated: walking over members and elements by skipping, and turning strings and numbers into text
 * and integers. What validation has proved is not proved again, but every step is bounded by the value's end. */
#include "common/json.h"
#include "common/json_lex.h"

/* Behind the closing quote. p stands at the opening one. */
static const char *skip_string(const char *p, const char *end)
{
    bool high;
    p = json_plain_end(p + 1, end, &high);
    while (p < end && *p != '"') {
        p += MIN(2, end - p); /* a backslash and what it escapes, which may be a quote */
        p = json_plain_end(p, end, &high);
    }
    return p < end ? p + 1 : end;
}

static const char *skip_container(const char *p, const char *end)
{
    size_t open = 0;
    while (p < end) {
        char c = *p;
        p = c == '"' ? skip_string(p, end) : p + 1;
        if (c == '{' || c == '[')
            open++;
        else if ((c == '}' || c == ']') && --open == 0)
            break;
    }
    return p;
}

static const char *skip_scalar(const char *p, const char *end)
{
    while (p < end && *p != ',' && !json_is_blank(*p))
        p++;
    return p;
}

static const char *skip_value(const char *p, const char *end)
{
    if (*p == '"')
        return skip_string(p, end);
    return *p == '{' || *p == '[' ? skip_container(p, end) : skip_scalar(p, end);
}

/* White space and the punctuation between keys and values. */
static const char *skip_between(const char *p, const char *end)
{
    while (p < end && (json_is_blank(*p) || *p == ',' || *p == ':'))
        p++;
    return p;
}

struct json_iter json_iter(struct json_value container)
{
    if (container.kind != JSON_OBJECT && container.kind != JSON_ARRAY)
        return (struct json_iter){0};
    const char *p = container.raw.p;
    return (struct json_iter){p + 1, p + container.raw.n - 1, container.kind == JSON_OBJECT};
}

bool json_next(struct json_iter *it, struct slice *key, struct json_value *value)
{
    const char *p = skip_between(it->p, it->end);
    *key = (struct slice){NULL, 0};
    if (it->object && p < it->end) {
        const char *key_end = skip_string(p, it->end);
        *key = slice_make(p, (size_t)(key_end - p));
        p = skip_between(key_end, it->end);
    }
    if (p >= it->end)
        return false;
    it->p = skip_value(p, it->end);
    *value = json_value_between(p, it->p);
    return true;
}

int json_pick(struct json_value object, const struct slice *names, size_t count, struct json_value *out,
              struct json_error *err)
{
    struct json_wanted w = json_wanted(names, count, out);
    *err = (struct json_error){JSON_NOT_OBJECT, 0};
    if (object.kind != JSON_OBJECT)
        return -1;
    struct json_iter it = json_iter(object);
    struct slice key;
    struct json_value v;
    while (json_next(&it, &key, &v))
        if (json_collect(&w, key, v) != 0) {
            *err = (struct json_error){JSON_DUPLICATE, (size_t)(key.p - object.raw.p)};
            return -1;
        }
    *err = (struct json_error){JSON_FINE, 0};
    return 0;
}

struct json_value json_get(struct json_value object, struct slice name)
{
    struct json_iter it = json_iter(object);
    struct slice key;
    struct json_value v;
    while (it.object && json_next(&it, &key, &v))
        if (json_string_is(key, name))
            return v;
    return (struct json_value){.kind = JSON_ABSENT};
}

static size_t utf8_encode(uint32_t point, char out[4])
{
    static const uint32_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(lead[n] | point);
    return n;
}

/* The four digits of \uXXXX, p at the backslash; UINT32_MAX if that is not what stands there. */
static uint32_t utf16_unit(const char *p, const char *end)
{
    uint32_t unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return UINT32_MAX;
    for (size_t i = 2; i < 6; i++) {
        unsigned c = (unsigned char)p[i];
        unsigned digit = c - '0' <= 9 ? c - '0' : (c | 0x20) - 'a' + 10;
        if (digit > 15)
            return UINT32_MAX;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* One character from \uXXXX or a pair of them: bytes read, or 0. RFC 8259 section 7. */
static size_t unescape_unicode(const char *p, const char *end, uint32_t *point)
{
    uint32_t high = utf16_unit(p, end);
    *point = high;
    if (high < 0xd800 || (high > 0xdfff && high <= 0xffff))
        return 6;
    uint32_t low = high <= 0xdbff ? utf16_unit(p + 6, end) : UINT32_MAX;
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

/* One escape, p at the backslash: bytes read, or 0. */
static size_t unescape(const char *p, const char *end, uint32_t *point)
{
    static const unsigned char plain[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    if (end - p < 2 || p[0] != '\\')
        return 0;
    if (p[1] == 'u')
        return unescape_unicode(p, end, point);
    *point = plain[(unsigned char)p[1]];
    return *point != 0 ? 2 : 0;
}

/* Takes the next piece of text off a string's inside: a plain run where it lies, or one unescaped character in tmp.
 * 1, 0 at the end, -1 if an escape stands for no character. */
static int next_piece(struct slice *inside, char tmp[4], struct slice *piece)
{
    if (inside->n == 0)
        return 0;
    bool high;
    const char *end = inside->p + inside->n;
    size_t used = (size_t)(json_plain_end(inside->p, end, &high) - inside->p);
    if (used > 0) {
        *piece = slice_make(inside->p, used);
    } else {
        uint32_t point;
        used = unescape(inside->p, end, &point);
        if (used == 0)
            return -1;
        *piece = slice_make(tmp, utf8_encode(point, tmp));
    }
    *inside = slice_from(*inside, used);
    return 1;
}

static struct slice inside_of(struct slice raw)
{
    return raw.n >= 2 ? slice_make(raw.p + 1, raw.n - 2) : (struct slice){NULL, 0};
}

bool json_string_is(struct slice raw, struct slice text)
{
    char tmp[4];
    struct slice piece, inside = inside_of(raw);
    int more;
    while ((more = next_piece(&inside, tmp, &piece)) > 0) {
        if (!slice_starts(text, piece))
            return false;
        text = slice_from(text, piece.n);
    }
    return more == 0 && text.n == 0;
}

int json_string_decode(struct json_value v, struct buf *scratch, struct slice *out)
{
    if (v.kind != JSON_STRING)
        return -1;
    struct slice inside = inside_of(v.raw);
    if (inside.n == 0 || memchr(inside.p, '\\', inside.n) == NULL) {
        *out = inside;
        return 0;
    }
    size_t before = scratch->n;
    char tmp[4];
    struct slice piece;
    int more;
    while ((more = next_piece(&inside, tmp, &piece)) > 0)
        buf_append(scratch, piece);
    if (more < 0)
        scratch->n = before;
    else
        *out = slice_make(scratch->p + before, scratch->n - before);
    return more;
}

bool json_is_integer(struct json_value v)
{
    for (size_t i = 0; i < v.raw.n; i++)
        if (v.raw.p[i] == '.' || (v.raw.p[i] | 0x20) == 'e')
            return false;
    return v.kind == JSON_NUMBER;
}

int json_to_u64(struct json_value v, uint64_t *out)
{
    return v.kind == JSON_NUMBER ? slice_to_u64(v.raw, out) : -1;
}

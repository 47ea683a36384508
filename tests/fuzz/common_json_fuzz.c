/* Any bytes as a JSON text. Whatever the verdict is, jansson must be able to live with it; what is accepted is walked
 * to its last leaf without leaving the text, gives the same by name, by look-up and by walk, and its strings survive
 * being written again. */
/* jansson's names that are ours too */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE   JANSSON_TRUE
#define JSON_FALSE  JANSSON_FALSE
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#undef json_is_integer

#include "common/json.h"
#include "common/json_write.h"
#include "common/utf8.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            BUG("does not hold: %s", #condition);                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct slice part, struct slice whole)
{
    CHECK(part.p >= whole.p && part.n <= whole.n && part.p + part.n <= whole.p + whole.n);
}

static void check_string(struct json_value v)
{
    struct buf scratch = {0}, again = {0};
    struct slice text, back;
    if (json_string_decode(v, &scratch, &text) == 0) {
        struct json_value written;
        struct json_error err;
        CHECK(text.n <= v.raw.n - 2 && utf8_valid(text) && json_string_is(v.raw, text));
        json_write_string(&again, text);
        CHECK(json_parse(buf_slice(&again), 0, &written, &err) == 0 && json_string_is(written.raw, text));
        buf_clear(&scratch);
        CHECK(json_string_decode(written, &scratch, &back) == 0);
    } else {
        CHECK(memmem(v.raw.p, v.raw.n, "\\u", 2) != NULL && scratch.n == 0);
    }
    buf_release(&again);
    buf_release(&scratch);
}

static void check_value(struct json_value v);

static void check_children(struct json_value v)
{
    struct json_iter it = json_iter(v);
    struct slice key;
    struct json_value child;
    const char *last = v.raw.p;
    while (json_next(&it, &key, &child)) {
        CHECK((key.n > 0) == (v.kind == JSON_OBJECT));
        CHECK(child.raw.p > last);
        last = child.raw.p;
        check_within(child.raw, v.raw);
        if (key.n > 0) {
            check_within(key, v.raw);
            check_value((struct json_value){JSON_STRING, key});
        }
        check_value(child);
    }
}

/* A part of a text that was validated is a text by itself. */
static void check_value(struct json_value v)
{
    struct json_value alone;
    struct json_error err;
    uint64_t number;
    CHECK(json_parse(v.raw, JSON_DEPTH, &alone, &err) == 0);
    CHECK(alone.kind == v.kind && slice_eq(alone.raw, v.raw));
    CHECK(v.kind != JSON_ABSENT && (json_to_u64(v, &number) != 0 || json_is_integer(v)));
    if (v.kind == JSON_STRING)
        check_string(v);
    check_children(v);
}

static void check_members(struct slice text, struct json_value root, bool valid)
{
    static const struct slice names[] = {SLICE("task"), SLICE("a"), SLICE("")};
    struct json_value out[3], picked[3];
    struct json_error err, pick_err;
    int rc = json_members(text, JSON_DEPTH, names, 3, out, &err);
    if (!valid || root.kind != JSON_OBJECT) {
        CHECK(rc == -1);
        return;
    }
    CHECK(rc == json_pick(root, names, 3, picked, &pick_err) && err.reason == pick_err.reason);
    CHECK(rc == 0 || err.reason == JSON_DUPLICATE);
    CHECK(rc == 0 || err.offset == pick_err.offset + (size_t)(root.raw.p - text.p));
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        struct json_value found = json_get(root, names[i]);
        CHECK(out[i].kind == picked[i].kind && out[i].raw.p == picked[i].raw.p && out[i].raw.n == picked[i].raw.n);
        CHECK(out[i].kind == found.kind && out[i].raw.p == found.raw.p && out[i].raw.n == found.raw.n);
    }
}

/* What jansson refuses beyond the grammar: numbers that overflow, NUL in keys, halves of surrogate pairs, its depth.
 * A NUL byte behind a number it passes over, so texts with one are not shown to it. */
static void check_against_jansson(struct slice text, bool valid, const struct json_error *err)
{
    if (memchr(text.p, '\0', text.n) != NULL) {
        CHECK(!valid);
        return;
    }
    json_error_t theirs;
    json_t *tree = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &theirs);
    if (tree != NULL) {
        CHECK(valid || err->reason == JSON_TOO_DEEP);
        json_decref(tree);
    } else if (valid) {
        enum json_error_code code = json_error_code(&theirs);
        bool escapes = memmem(text.p, text.n, "\\u", 2) != NULL;
        CHECK(code == json_error_numeric_overflow || code == json_error_null_byte_in_key || escapes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct json_value root = {0};
    struct json_error err;
    bool valid = json_parse(text, JSON_DEPTH, &root, &err) == 0;
    CHECK(err.offset <= size && valid == (err.reason == JSON_FINE));
    if (valid) {
        CHECK(utf8_valid(text));
        check_within(root.raw, text);
        check_value(root);
    }
    check_members(text, root, valid);
    check_against_jansson(text, valid, &err);
    if (utf8_valid(text)) { /* any text can be written and read back */
        struct buf b = {0};
        json_write_string(&b, text);
        CHECK(json_string_is(buf_slice(&b), text));
        check_string((struct json_value){JSON_STRING, buf_slice(&b)});
        buf_release(&b);
    }
    return 0;
}

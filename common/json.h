/* A JSON pull reader over slices: a foreign text is validated once (RFC 8259 and UTF-8), then looked at where it lies.
 * Nothing is allocated, copied or converted: a value is a kind and its exact bytes, so that payloads, big integers and
 * escapes can be passed on unchanged. What a validated value says (text, number) is read by the functions at the end.
 *
 * Borrowing: every slice and value points into the text (or scratch buffer) that the caller gave, and lives as long.
 * Validation accepts what the grammar accepts: "\ud800" without its other half passes, and its bytes may be forwarded;
 * only decoding such a string is refused. A byte order mark is refused.
 * Repeated keys: the grammar allows them. The walk shows all in order, json_get takes the first, and json_members and
 * json_pick refuse a repeat of a key that was asked for.
 * jansson.h claims some of the same names: no file includes both. */
#ifndef TIDEGATE_COMMON_JSON_H
#define TIDEGATE_COMMON_JSON_H

#include "common/buf.h"

/* JSON_ABSENT is no value: the member asked for is not there. A zeroed json_value is absent. */
enum json_kind { JSON_ABSENT, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_value {
    enum json_kind kind;
    struct slice raw; /* strings with their quotes */
};

enum json_reason {
    JSON_FINE,
    JSON_TRUNCATED,     /* the text ends before its value does; an empty text too */
    JSON_BAD_VALUE,     /* no value begins here */
    JSON_BAD_NUMBER,    /* leading zero, sign or point without digit, … */
    JSON_BAD_ESCAPE,    /* in a string, behind a backslash */
    JSON_BAD_UTF8,      /* overlong form, encoded surrogate, stray or missing continuation byte, … */
    JSON_CONTROL,       /* an unescaped control character in a string */
    JSON_BAD_KEY,       /* a member must begin with a string */
    JSON_BAD_COLON,     /* a colon must follow the key */
    JSON_BAD_SEPARATOR, /* a comma or the closing bracket must follow */
    JSON_TRAILING,      /* something stands behind the value */
    JSON_TOO_DEEP,      /* more open brackets than the limit */
    JSON_NOT_OBJECT,    /* json_members, json_pick: another kind of value */
    JSON_DUPLICATE,     /* json_members, json_pick: a wanted key came twice */
};

struct json_error {
    enum json_reason reason;
    size_t offset; /* in bytes from the start of the text, where the trouble is */
};

/* A short English phrase, static. */
const char *json_reason_text(enum json_reason reason);

/* How many brackets may be open at once: the usual limit, and the most that may be asked for (each level costs about
 * 100 bytes of stack while validating). The size of a text is the caller's to limit. */
#define JSON_DEPTH      64
#define JSON_DEPTH_MOST 1024

/* Validates a whole text: one value, white space around it, nothing else. 0 and the value in *out, or -1 and *err. */
int json_parse(struct slice text, unsigned max_depth, struct json_value *out, struct json_error *err);

/* Validates a whole text that must be an object and cuts the members named, in the same pass: out[i] is the value of
 * names[i], absent if the object has none. Keys are compared by what they say ("\u0074ask" is task). 0, or -1 and
 * *err; then out means nothing. For a few dozen names at most: they are compared one by one. */
int json_members(struct slice text, unsigned max_depth, const struct slice *names, size_t count, struct json_value *out,
                 struct json_error *err);

/* What follows takes values that json_parse, json_members or one another gave; they are not validated again. */

/* The same as json_members for a value within a text; the offset in *err counts from the start of object.raw. */
int json_pick(struct json_value object, const struct slice *names, size_t count, struct json_value *out,
              struct json_error *err);
/* The first member of that name; absent if there is none or if object is no object, so that look-ups can be nested. */
struct json_value json_get(struct json_value object, struct slice name);

/* A walk over the members of an object or the elements of an array, in order; over anything else it ends at once. */
struct json_iter {
    const char *p, *end;
    bool object;
};
struct json_iter json_iter(struct json_value container);
/* True and the next one, false at the end. *key is the raw string with its quotes; empty for an array's elements. */
bool json_next(struct json_iter *it, struct slice *key, struct json_value *value);

/* True if a raw string (with quotes) says exactly this text. */
bool json_string_is(struct slice raw, struct slice text);
/* The text of a string in UTF-8. Without escapes *out is a slice of the value itself; with escapes it is appended to
 * scratch, never more bytes than the raw string has: reserve the length of the whole text once, and what several calls
 * gave stays valid together. \u0000 becomes a NUL byte. -1 (scratch unchanged) when the value is no string, or when
 * half a surrogate pair stands alone. */
int json_string_decode(struct json_value v, struct buf *scratch, struct slice *out);
/* True for a number without fraction and exponent, of any size. */
bool json_is_integer(struct json_value v);
/* 0 for a non-negative integer that fits, -1 for anything else ("1.0" and "-0" too). */
int json_to_u64(struct json_value v, uint64_t *out);

#endif

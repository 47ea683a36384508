/* Private to json*.c: the characters of JSON, where a run of plain ones within a string ends, what kind of value a
 * first byte announces, and the collecting of wanted members. */
#ifndef TIDEGATE_COMMON_JSON_LEX_H
#define TIDEGATE_COMMON_JSON_LEX_H

#include "common/json.h"

#include <endian.h>

#define JSON_EACH_BYTE(c) (0x0101010101010101u * (uint64_t)(c))

static inline bool json_is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A value whose bytes are known to be one. */
static inline struct json_value json_value_between(const char *p, const char *end)
{
    static const unsigned char kinds[256] = {
        ['n'] = JSON_NULL,   ['f'] = JSON_FALSE, ['t'] = JSON_TRUE,
        ['"'] = JSON_STRING, ['['] = JSON_ARRAY, ['{'] = JSON_OBJECT,
    };
    enum json_kind kind = (enum json_kind)kinds[(unsigned char)*p];
    return (struct json_value){.kind = kind != JSON_ABSENT ? kind : JSON_NUMBER, .raw = {p, (size_t)(end - p)}};
}

static inline bool json_char_is_special(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* Eight characters at once: bit 7 of a byte is set where it is special. Bits above the lowest may be wrong (the
 * subtractions borrow), the lowest never is. */
static inline uint64_t json_special_bytes(uint64_t word)
{
    uint64_t quote = word ^ JSON_EACH_BYTE('"'), backslash = word ^ JSON_EACH_BYTE('\\');
    uint64_t hit = ((quote - JSON_EACH_BYTE(1)) & ~quote) | ((backslash - JSON_EACH_BYTE(1)) & ~backslash) |
                   ((word - JSON_EACH_BYTE(0x20)) & ~word);
    return hit & JSON_EACH_BYTE(0x80);
}

/* The first quote, backslash or control character from p on, or end. *high tells whether any byte before it is not
 * ASCII. */
static inline const char *json_plain_end(const char *p, const char *end, bool *high)
{
    uint64_t seen = 0;
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word = le64toh(word);
        uint64_t hit = json_special_bytes(word);
        if (hit != 0) {
            uint64_t lowest = hit & -hit;
            *high = ((seen | (word & (lowest - 1))) & JSON_EACH_BYTE(0x80)) != 0;
            return p + __builtin_ctzll(hit) / 8;
        }
        seen |= word;
    }
    for (; p < end && !json_char_is_special((unsigned char)*p); p++)
        seen |= (unsigned char)*p;
    *high = (seen & JSON_EACH_BYTE(0x80)) != 0;
    return p;
}

/* Where the members named go. */
struct json_wanted {
    const struct slice *names;
    struct json_value *out;
    size_t count;
};
/* All of them absent as yet. Borrows names and out. */
struct json_wanted json_wanted(const struct slice *names, size_t count, struct json_value *out);
/* Keeps v if its raw key is wanted. 0, or -1 if it is and was there before. */
int json_collect(const struct json_wanted *w, struct slice key, struct json_value v);

#endif

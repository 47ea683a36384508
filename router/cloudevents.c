/* CloudEvents: what an envelope must have, and how data is taken out of it. */
#include "router/cloudevents.h"

const struct slice cloudevent_names[CE_MEMBER_COUNT] = {
    [CE_SPECVERSION] = {"specversion", 11},
    [CE_TYPE] = {"type", 4},
    [CE_SOURCE] = {"source", 6},
    [CE_ID] = {"id", 2},
    [CE_TIME] = {"time", 4},
    [CE_TRACEPARENT] = {"traceparent", 11},
    [CE_DATA] = {"data", 4},
    [CE_DATA_BASE64] = {"data_base64", 11},
};

bool cloudevent_content_type(struct slice content_type)
{
    struct slice type = slice_trim(slice_cut(&content_type, ';'));
    return slice_eq_nocase(type, SLICE("application/cloudevents+json"));
}

bool cloudevent_is_structured(const struct json_value members[CE_MEMBER_COUNT])
{
    for (int i = 0; i < CE_MANDATORY; i++)
        if (members[i].kind != JSON_STRING)
            return false;
    return true;
}

bool cloudevent_is_sound(const struct json_value members[CE_MEMBER_COUNT], struct slice *culprit)
{
    for (int i = 0; i < CE_MANDATORY; i++) {
        bool sound = members[i].kind == JSON_STRING && members[i].raw.n > 2;
        if (sound && i == CE_SPECVERSION)
            sound = json_string_is(members[i].raw, SLICE("1.0"));
        if (!sound) {
            *culprit = cloudevent_names[i];
            return false;
        }
    }
    return true;
}

struct slice cloudevent_attribute(struct slice header_name)
{
    bool is_one = header_name.n > 3 && slice_eq_nocase(slice_make(header_name.p, 2), SLICE("ce")) &&
                  (header_name.p[2] == '_' || header_name.p[2] == '-');
    return is_one ? slice_from(header_name, 3) : (struct slice){NULL, 0};
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 section 4, with its padding; whole groups of four, the last of which may end in one or two '='. Appends to
 * out: 0, or -1 for anything else. */
static int base64_decode(struct slice s, struct buf *out)
{
    if (s.n % 4 != 0)
        return -1;
    size_t padding = s.n == 0 ? 0 : (s.p[s.n - 1] == '=') + (s.p[s.n - 1] == '=' && s.p[s.n - 2] == '=');
    size_t digits = s.n - padding;
    char *to = buf_reserve(out, s.n);
    uint32_t bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(s.p[i]);
        if (digit < 0)
            return -1;
        bits = (bits << 6 | (uint32_t)digit) & 0xffffff;
        if (i % 4 != 0) /* the first digit of four completes no byte */
            to[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    bool rest_is_zero = padding == 0 || (bits & (padding == 1 ? 0x3u : 0xfu)) == 0;
    out->n += rest_is_zero ? n : 0;
    return rest_is_zero ? 0 : -1;
}

static enum cloudevent_data binary_data(struct json_value base64, struct buf *scratch, struct slice *text)
{
    struct slice digits;
    /* both results must stay where they are: the digits, if they had escapes, and behind them the bytes */
    buf_reserve(scratch, 2 * base64.raw.n);
    if (json_string_decode(base64, scratch, &digits) != 0)
        return CE_DATA_BAD;
    size_t before = scratch->n;
    if (base64_decode(digits, scratch) != 0)
        return CE_DATA_BAD;
    *text = slice_make(scratch->p + before, scratch->n - before);
    return CE_DATA_TEXT;
}

enum cloudevent_data cloudevent_data(const struct json_value members[CE_MEMBER_COUNT], struct buf *scratch,
                                     struct json_value *json, struct slice *text)
{
    struct json_value data = members[CE_DATA], base64 = members[CE_DATA_BASE64];
    if (base64.kind != JSON_ABSENT && base64.kind != JSON_NULL)
        return binary_data(base64, scratch, text);
    if (data.kind == JSON_ABSENT || data.kind == JSON_NULL)
        return CE_DATA_ABSENT;
    if (data.kind == JSON_STRING)
        return json_string_decode(data, scratch, text) == 0 ? CE_DATA_TEXT : CE_DATA_BAD;
    *json = data;
    return CE_DATA_JSON;
}

/* Texts become typed values here, and typed values texts. Everything is refused that has two readings: signs, leading
 * zeros, units of another kind, decimal kilobytes. */
#include "common/config_internal.h"

struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit byte_units[] = {{"b", 1},         {"k", 1 << 10}, {"kib", 1 << 10}, {"m", 1 << 20},
                                         {"mib", 1 << 20}, {"g", 1 << 30}, {"gib", 1 << 30}};
static const char *const level_words[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

/* The factor of a suffix, or 0. */
static uint64_t unit_factor(const struct unit *units, size_t count, struct slice suffix)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq_nocase(suffix, slice_of(units[i].suffix)))
            return units[i].factor;
    return 0;
}

static struct slice cut_number(struct slice *text)
{
    size_t n = 0;
    while (n < text->n && text->p[n] >= '0' && text->p[n] <= '9')
        n++;
    struct slice digits = {text->p, n};
    *text = slice_from(*text, n);
    return digits;
}

/* A number and a unit; bare is the factor of a number without one, 0 where a number must have one. */
static int parse_with_unit(struct slice text, const struct unit *units, size_t count, uint64_t bare, uint64_t *out)
{
    uint64_t number;
    if (slice_to_u64(cut_number(&text), &number) != 0)
        return -1;
    uint64_t factor = text.n == 0 ? bare : unit_factor(units, count, text);
    return factor == 0 || __builtin_mul_overflow(number, factor, out) ? -1 : 0;
}

static int parse_time(struct slice text, uint64_t bare, uint64_t *ms)
{
    return parse_with_unit(text, time_units, ARRAY_LEN(time_units), bare, ms);
}

int config_parse_duration(struct slice text, uint64_t *ms)
{
    return parse_time(text, 0, ms);
}

/* A bare number in the unit of the default; where that has none, people who write 30 mean seconds, and people who
 * write 30000 milliseconds. */
static int parse_bare_time(struct slice text, const char *written, uint64_t *ms)
{
    struct slice suffix = slice_of(written);
    uint64_t number;
    cut_number(&suffix);
    uint64_t unit = unit_factor(time_units, ARRAY_LEN(time_units), suffix);
    if (unit == 0 && slice_to_u64(text, &number) == 0)
        unit = number >= 1000 ? 1 : 1000;
    return parse_time(text, unit, ms);
}

static int parse_number(enum config_kind kind, struct slice text, const char *written, uint64_t *out)
{
    switch (kind) {
    case CONFIG_BYTES:
        return parse_with_unit(text, byte_units, ARRAY_LEN(byte_units), 1, out);
    case CONFIG_DURATION:
        return parse_bare_time(text, written, out);
    default:
        return slice_to_u64(text, out) != 0 || *out > INT64_MAX ? -1 : 0;
    }
}

bool config_next_word(struct slice *rest, struct slice *word)
{
    if (rest->n == 0)
        return false;
    *word = slice_cut(rest, '|');
    return true;
}

/* "1008" or "4000..4999" */
static void parse_range(enum config_kind kind, struct slice range, uint64_t *lo, uint64_t *hi)
{
    const char *dots = memmem(range.p, range.n, "..", 2);
    struct slice left = dots != NULL ? slice_make(range.p, (size_t)(dots - range.p)) : range;
    struct slice right = dots != NULL ? slice_from(range, left.n + 2) : range;
    if (parse_number(kind, left, "1ms", lo) != 0 || parse_number(kind, right, "1ms", hi) != 0 || *lo > *hi)
        BUG("limits %.*s", SLICE_ARG(range));
}

static bool within(enum config_kind kind, const char *limits, uint64_t value)
{
    struct slice rest = slice_of(limits), range;
    while (config_next_word(&rest, &range)) {
        uint64_t lo, hi;
        parse_range(kind, range, &lo, &hi);
        if (value >= lo && value <= hi)
            return true;
    }
    return false;
}

static int parse_bool(struct slice text, bool *out)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_eq_nocase(text, slice_of(words[i]))) {
            *out = i % 2 == 1;
            return 0;
        }
    return -1;
}

static int parse_word(const char *words, struct slice text, int *out)
{
    struct slice rest = slice_of(words), word;
    for (int i = 0; config_next_word(&rest, &word); i++)
        if (slice_eq_nocase(word, text)) {
            *out = i;
            return 0;
        }
    return -1;
}

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return true;
}

static bool may_be_empty(const struct config_option *o)
{
    return o->value[0] == '\0';
}

static int store_text(const struct config_option *o, struct slice text, const char **field)
{
    if (o->kind != CONFIG_SECRET && !is_printable(text))
        return -1;
    if (text.n == 0 && !may_be_empty(o))
        return -1;
    *field = text.n > 0 ? text.p : NULL; /* NUL-terminated: it is the whole text of a setting */
    return 0;
}

static int store_number(const struct config_option *o, struct slice text, const char *written, uint64_t *field)
{
    uint64_t value;
    if (parse_number(o->kind, text, written, &value) != 0 || !within(o->kind, o->limits, value))
        return -1;
    *field = value;
    return 0;
}

int config_store(const struct config_option *o, struct slice text, const char *written, void *values)
{
    void *field = (char *)values + o->offset;
    switch (o->kind) {
    case CONFIG_GROUP:
        return 0;
    case CONFIG_TEXT:
    case CONFIG_LIST:
    case CONFIG_URL:
    case CONFIG_SECRET:
        return store_text(o, text, field);
    case CONFIG_BOOL:
        return parse_bool(text, field);
    case CONFIG_INT: /* never negative, never above INT64_MAX: the same bits */
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return store_number(o, text, written, field);
    case CONFIG_ENUM:
        return parse_word(o->limits, text, field);
    case CONFIG_LEVEL:
        return log_level_parse(text, field);
    }
    BUG("kind %d", (int)o->kind);
}

static void append_words(struct buf *b, const char *words)
{
    struct slice rest = slice_of(words), word;
    while (config_next_word(&rest, &word)) {
        buf_append(b, word);
        if (rest.n > 0)
            buf_lit(b, ", ");
    }
}

/* "1008 or 4000 to 4999" */
static void append_limits(struct buf *b, const char *limits)
{
    struct slice rest = slice_of(limits), range;
    while (config_next_word(&rest, &range)) {
        const char *dots = memmem(range.p, range.n, "..", 2);
        size_t left = dots != NULL ? (size_t)(dots - range.p) : range.n;
        buf_append(b, slice_make(range.p, left));
        if (dots != NULL)
            buf_printf(b, " to %.*s", SLICE_ARG(slice_from(range, left + 2)));
        if (rest.n > 0)
            buf_lit(b, " or ");
    }
}

void config_allowed_append(struct buf *b, const struct config_option *o)
{
    static const char *const forms[] = {
        [CONFIG_GROUP] = "",
        [CONFIG_TEXT] = "text",
        [CONFIG_LIST] = "comma-separated list",
        [CONFIG_URL] = "URL",
        [CONFIG_SECRET] = "secret",
        [CONFIG_BOOL] = "1 or 0",
        [CONFIG_INT] = "number, ",
        [CONFIG_BYTES] = "bytes, ",
        [CONFIG_DURATION] = "time, ",
        [CONFIG_ENUM] = "one of ",
        [CONFIG_LEVEL] = "one of debug, info, warn, error",
    };
    buf_append(b, slice_of(forms[o->kind]));
    if (o->kind == CONFIG_ENUM)
        append_words(b, o->limits);
    else
        append_limits(b, o->limits);
}

void config_form_append(struct buf *b, enum config_kind kind)
{
    static const char *const forms[] = {
        [CONFIG_TEXT] = "no control characters",
        [CONFIG_LIST] = "no control characters",
        [CONFIG_URL] = "no control characters",
        [CONFIG_BOOL] = "or true, false, yes, no, on, off",
        [CONFIG_BYTES] = "written 65536, 64k or 16MiB",
        [CONFIG_DURATION] = "written 500ms, 30s, 2m, 1h or 7d",
        [CONFIG_LEVEL] = NULL,
    };
    if (forms[kind] != NULL)
        buf_printf(b, " (%s)", forms[kind]);
}

/* Of scheme://user:password@host three stars are left before the @; of several URLs in one text, all that stands
 * between the first scheme and the last @ goes. */
static void append_masked(struct buf *b, struct slice text)
{
    const char *at = text.n > 0 ? memrchr(text.p, '@', text.n) : NULL;
    if (at == NULL) {
        buf_append(b, text);
        return;
    }
    const char *scheme = memmem(text.p, text.n, "://", 3);
    if (scheme != NULL && scheme < at)
        buf_append(b, slice_make(text.p, (size_t)(scheme + 3 - text.p)));
    buf_lit(b, "***");
    buf_append(b, slice_from(text, (size_t)(at - text.p)));
}

void config_shown_append(struct buf *b, const struct config_option *o, struct slice text)
{
    if (o->kind == CONFIG_SECRET)
        buf_append(b, text.n > 0 ? SLICE("(set)") : SLICE("(not set)"));
    else if (o->kind == CONFIG_URL)
        append_masked(b, text);
    else
        buf_append(b, text);
}

/* In the largest unit that divides it; the units stand smallest first. */
static void append_in_units(struct buf *b, const struct unit *units, size_t count, uint64_t value)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++)
        if (value >= units[i].factor && value % units[i].factor == 0)
            best = i;
    buf_u64(b, value / units[best].factor);
    buf_append(b, value > 0 ? slice_of(units[best].suffix) : SLICE(""));
}

static void append_bytes(struct buf *b, uint64_t value)
{
    static const struct unit units[] = {{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    append_in_units(b, units, ARRAY_LEN(units), value);
}

static void append_word(struct buf *b, const char *words, int index)
{
    struct slice rest = slice_of(words), word = {0};
    for (int i = 0; i <= index; i++)
        config_next_word(&rest, &word);
    buf_append(b, word);
}

void config_value_append(struct buf *b, const struct config_option *o, const void *values)
{
    const void *field = (const char *)values + o->offset;
    switch (o->kind) {
    case CONFIG_GROUP:
        return;
    case CONFIG_TEXT:
    case CONFIG_LIST:
    case CONFIG_URL:
    case CONFIG_SECRET:
        config_shown_append(b, o, slice_of(*(const char *const *)field));
        return;
    case CONFIG_BOOL:
        buf_append(b, *(const bool *)field ? SLICE("1") : SLICE("0"));
        return;
    case CONFIG_INT:
        buf_u64(b, *(const uint64_t *)field);
        return;
    case CONFIG_BYTES:
        append_bytes(b, *(const uint64_t *)field);
        return;
    case CONFIG_DURATION:
        append_in_units(b, time_units, ARRAY_LEN(time_units), *(const uint64_t *)field);
        return;
    case CONFIG_ENUM:
        append_word(b, o->limits, *(const int *)field);
        return;
    case CONFIG_LEVEL:
        buf_append(b, slice_of(level_words[*(const enum log_level *)field]));
        return;
    }
}

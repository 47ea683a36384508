/* The time of sending is found by scanning, since a JSON parser would cost more than the message. */
#include "loadtest/lib/sent.h"

#include <time.h>

/* Where name stands in the payload: first looked for where it stood last time. */
static const char *find_member(struct slice payload, struct slice name, size_t *hint)
{
    if (*hint + name.n <= payload.n && memcmp(payload.p + *hint, name.p, name.n) == 0)
        return payload.p + *hint;
    const char *at = memmem(payload.p, payload.n, name.p, name.n);
    if (at != NULL)
        *hint = (size_t)(at - payload.p);
    return at;
}

static uint64_t decimal(const char **p, const char *end, size_t digits_max)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits_max && *p < end && **p >= '0' && **p <= '9'; i++)
        value = value * 10 + (uint64_t)(*(*p)++ - '0');
    return value;
}

/* "2024-01-01T00:00:00" and a fraction of up to six digits, to microseconds since 1970; 0 when it is not that. */
static uint64_t iso_us(struct slice s)
{
    struct tm tm = {0};
    if (s.n < 19 || s.p[4] != '-' || s.p[10] != 'T' || s.p[16] != ':')
        return 0;
    const char *p = s.p, *end = s.p + s.n;
    int *const fields[] = {&tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++, p++)
        *fields[i] = (int)decimal(&p, end, i == 0 ? 4 : 2);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    uint64_t fraction = 0;
    if (p < end && p[-1] == '.') {
        const char *start = p;
        fraction = decimal(&p, end, 6);
        for (long i = p - start; i < 6; i++)
            fraction *= 10;
    }
    time_t seconds = timegm(&tm);
    return seconds > 0 ? (uint64_t)seconds * 1000000u + fraction : 0;
}

/* The text of the member's value, as far as the payload goes; empty when the member is not there. */
static struct slice find_value(struct slice payload, struct slice name, size_t *hint)
{
    const char *at = find_member(payload, name, hint);
    if (at == NULL)
        return slice_make(NULL, 0);
    return slice_trim(slice_from(payload, (size_t)(at - payload.p) + name.n));
}

uint64_t sent_us(struct slice payload, size_t *hint)
{
    struct slice value = find_value(payload, SLICE("\"sent_us\":"), hint);
    if (value.n > 0)
        return decimal(&value.p, value.p + value.n, 18);
    value = find_value(payload, SLICE("\"timestamp\":"), hint);
    return value.n > 0 && value.p[0] == '"' ? iso_us(slice_from(value, 1)) : 0;
}

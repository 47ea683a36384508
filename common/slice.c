/* Slices: comparing, cutting and strict numbers. */
#include "common/slice.h"

#include <strings.h>

bool slice_eq_nocase(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        s = slice_from(s, 1);
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct slice slice_cut(struct slice *s, char sep)
{
    struct slice whole = *s;
    const char *at = whole.n > 0 ? memchr(whole.p, sep, whole.n) : NULL;
    if (at == NULL) {
        *s = (struct slice){NULL, 0};
        return whole;
    }
    size_t head = (size_t)(at - whole.p);
    *s = slice_from(whole, head + 1);
    return (struct slice){whole.p, head};
}

char *slice_dup(struct slice s)
{
    char *copy = xmalloc(s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

int slice_to_u64(struct slice s, uint64_t *out)
{
    if (s.n == 0 || s.n > 20 || (s.n > 1 && s.p[0] == '0'))
        return -1;
    uint64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digit, &value))
            return -1;
    }
    *out = value;
    return 0;
}

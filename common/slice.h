/* A borrowed run of bytes: pointer and length, not NUL-terminated, may hold any byte. The bytes belong to whoever the
 * slice was cut from and must outlive it. */
#ifndef TIDEGATE_COMMON_SLICE_H
#define TIDEGATE_COMMON_SLICE_H

#include "common/base.h"

#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
/* For printf: "%.*s", SLICE_ARG(s) */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_of(const char *cstr)
{
    return (struct slice){cstr, cstr != NULL ? strlen(cstr) : 0};
}

static inline struct slice slice_make(const void *p, size_t n)
{
    return (struct slice){p, n};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* What is left of s after its first n bytes (n is at most s.n). */
static inline struct slice slice_from(struct slice s, size_t n)
{
    assert(n <= s.n);
    return (struct slice){s.p + n, s.n - n};
}

/* ASCII case-insensitive equality, for header names and the like. */
bool slice_eq_nocase(struct slice a, struct slice b);
/* Without leading and trailing ASCII white space. */
struct slice slice_trim(struct slice s);
/* Cuts s at the first sep: returns what stands before it and moves *s behind it; without sep returns all of *s and
 * leaves *s empty (p NULL). */
struct slice slice_cut(struct slice *s, char sep);
/* Returns owned: a NUL-terminated copy. */
char *slice_dup(struct slice s);
/* A decimal number without sign, blank or leading zero, in 64 bits: 0, or -1 when s is anything else. */
int slice_to_u64(struct slice s, uint64_t *out);

#endif

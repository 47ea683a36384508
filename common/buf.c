/* The growing byte buffer: doubles, never shrinks by itself. */
#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->p == NULL || b->cap - b->n < n) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap - b->n < n)
            cap *= 2;
        b->p = xrealloc(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->n;
}

void buf_append(struct buf *b, struct slice s)
{
    if (s.n == 0)
        return;
    memcpy(buf_reserve(b, s.n), s.p, s.n);
    b->n += s.n;
}

void buf_byte(struct buf *b, char c)
{
    *buf_reserve(b, 1) = c;
    b->n++;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("format %s", fmt);
    vsnprintf(buf_reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

void buf_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buf_append(b, slice_make(digits + at, sizeof(digits) - at));
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->n);
    b->n -= n;
    if (b->n > 0)
        memmove(b->p, b->p + n, b->n);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
}

void buf_release(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

/* A growing run of bytes, owned. Zero-initialised is empty and ready. */
#ifndef TIDEGATE_COMMON_BUF_H
#define TIDEGATE_COMMON_BUF_H

#include "common/slice.h"

struct buf {
    char *p;
    size_t n, cap;
};

/* Makes room for n bytes more and returns where they go; the caller adds what it wrote to b->n. */
char *buf_reserve(struct buf *b, size_t n);
void buf_append(struct buf *b, struct slice s);
void buf_byte(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A decimal number, faster than buf_printf. */
void buf_u64(struct buf *b, uint64_t value);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Empties it, keeps the memory. */
void buf_clear(struct buf *b);
/* Empties it and frees the memory. */
void buf_release(struct buf *b);

#define buf_lit(b, literal) buf_append((b), SLICE(literal))

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}

#endif

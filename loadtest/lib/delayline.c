/* One run of bytes, and beside it how many of them are due when. */
#include "loadtest/lib/delayline.h"

#include <stdlib.h>

void delayline_release(struct delayline *d)
{
    buf_release(&d->bytes);
    free(d->marks);
    memset(d, 0, sizeof(*d));
}

void delayline_clear(struct delayline *d)
{
    buf_clear(&d->bytes);
    d->marks_n = 0;
}

void delayline_put(struct delayline *d, struct slice bytes, uint64_t due_us)
{
    struct delayline_mark *last = d->marks_n > 0 ? &d->marks[d->marks_n - 1] : NULL;
    if (bytes.n == 0)
        return;
    buf_append(&d->bytes, bytes);
    if (last != NULL && due_us <= last->due_us) {
        last->n += bytes.n;
        return;
    }
    if (d->marks_n == d->marks_cap)
        d->marks = xrealloc(d->marks, (d->marks_cap = MAX(16, d->marks_cap * 2)) * sizeof(*d->marks));
    d->marks[d->marks_n++] = (struct delayline_mark){bytes.n, due_us};
}

struct slice delayline_due(const struct delayline *d, uint64_t now_us)
{
    size_t n = 0;
    for (size_t i = 0; i < d->marks_n && d->marks[i].due_us <= now_us; i++)
        n += d->marks[i].n;
    return slice_make(d->bytes.p, n);
}

void delayline_take(struct delayline *d, size_t n)
{
    size_t whole = 0;
    buf_consume(&d->bytes, n);
    while (n > 0 && d->marks[whole].n <= n)
        n -= d->marks[whole++].n;
    if (n > 0)
        d->marks[whole].n -= n;
    memmove(d->marks, d->marks + whole, (d->marks_n - whole) * sizeof(*d->marks));
    d->marks_n -= whole;
}

uint64_t delayline_next(const struct delayline *d)
{
    return d->marks_n > 0 ? d->marks[0].due_us : UINT64_MAX;
}

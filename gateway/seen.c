/* A handful of rows, searched from the start: most targets have one partition. */
#include "gateway/seen.h"
#include "common/hash.h"

#include <stdlib.h>
#include <string.h>

uint64_t seen_part(struct slice part)
{
    return hash_keyed(part);
}

static struct seen_row *find(const struct seen *s, uint64_t part)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->rows[i].part == part)
            return &s->rows[i];
    return NULL;
}

static struct seen_row *add(struct seen *s, uint64_t part)
{
    if (s->count == SEEN_MAX) {
        memmove(s->rows, s->rows + 1, (SEEN_MAX - 1) * sizeof(*s->rows));
    } else {
        s->count++;
        s->rows = xrealloc(s->rows, s->count * sizeof(*s->rows));
    }
    struct seen_row *row = &s->rows[s->count - 1];
    *row = (struct seen_row){.part = part};
    return row;
}

static bool is_beyond(const struct seen_row *row, uint64_t offset, uint64_t n)
{
    return offset > row->offset || (offset == row->offset && n > row->n);
}

bool seen_take(struct seen *s, uint64_t part, uint64_t offset, uint64_t n)
{
    struct seen_row *row = find(s, part);
    if (row != NULL && !is_beyond(row, offset, n))
        return false;
    if (row == NULL)
        row = add(s, part);
    row->offset = offset;
    row->n = n;
    return true;
}

void seen_release(struct seen *s)
{
    free(s->rows);
    *s = (struct seen){0};
}

void seen_copy(struct seen *s, const struct seen *of)
{
    seen_release(s);
    if (of->count == 0)
        return;
    s->count = of->count;
    s->rows = xmalloc(of->count * sizeof(*s->rows));
    memcpy(s->rows, of->rows, of->count * sizeof(*s->rows));
}

void seen_forget(struct seen *s, uint64_t part, uint64_t offset, uint64_t n)
{
    struct seen_row *row = find(s, part);
    if (row == NULL || (!is_beyond(row, offset, n) && (row->offset != offset || row->n != n)))
        return;
    s->count--;
    memmove(row, row + 1, (size_t)(s->rows + s->count - row) * sizeof(*row));
}

bool seen_covers(const struct seen *s, const struct seen *other)
{
    for (size_t i = 0; i < other->count; i++) {
        const struct seen_row *theirs = &other->rows[i], *own = find(s, theirs->part);
        if (own != NULL && is_beyond(own, theirs->offset, theirs->n))
            return false;
    }
    return true;
}

/* A ring, so that a row stays where it is while it is of use. */
#include "router/past.h"

#include <inttypes.h>

#define LONG_AGO_MS (UINT64_MAX / 2) /* ages are taken back from here until it is known when they count from */

static unsigned index_of(const struct past *p, unsigned back)
{
    return (p->count - 1 - back) % PAST_MAX;
}

static unsigned kept(const struct past *p)
{
    return MIN(p->count, PAST_MAX);
}

static uint64_t age_of(const struct past *p, unsigned back)
{
    return p->rows[index_of(p, 0)].ms - p->rows[index_of(p, back)].ms;
}

void past_note(struct past *p, int64_t position, uint64_t now_ms, uint64_t step_ms)
{
    unsigned newest = index_of(p, 0);
    if (p->count > 0 && now_ms - p->rows[newest].ms < step_ms) {
        p->rows[newest].position = MIN(p->rows[newest].position, position);
        return;
    }
    unsigned next = p->count++ % PAST_MAX;
    p->rows[next].ms = now_ms;
    p->rows[next].position = position;
}

int64_t past_position(const struct past *p, int64_t position, uint64_t ago_ms)
{
    for (unsigned back = 0; ago_ms > 0 && back < kept(p); back++) {
        position = MIN(position, p->rows[index_of(p, back)].position);
        if (age_of(p, back) >= ago_ms)
            break;
    }
    return position;
}

void past_append_text(const struct past *p, struct buf *out)
{
    for (unsigned back = 0; back < kept(p); back++)
        buf_printf(out, " %" PRIu64 ":%" PRId64, age_of(p, back), p->rows[index_of(p, back)].position);
}

int past_parse(struct slice text, struct past *out)
{
    uint64_t younger = 0;
    *out = (struct past){.count = 0};
    while (text.p != NULL) {
        struct slice row = slice_cut(&text, ' '), age = slice_cut(&row, ':');
        uint64_t age_ms, position;
        if (out->count == PAST_MAX || slice_to_u64(age, &age_ms) != 0 || age_ms < younger || age_ms > LONG_AGO_MS ||
            slice_to_u64(row, &position) != 0 || position > INT64_MAX)
            return -1;
        younger = age_ms;
        unsigned at = PAST_MAX - 1 - out->count++;
        out->rows[at].ms = LONG_AGO_MS - age_ms;
        out->rows[at].position = (int64_t)position;
    }
    unsigned first = PAST_MAX - out->count;
    for (unsigned i = 0; first > 0 && i < out->count; i++)
        out->rows[i] = out->rows[first + i];
    return 0;
}

void past_resume(struct past *p, uint64_t now_ms)
{
    uint64_t newest = p->count > 0 ? p->rows[index_of(p, 0)].ms : 0;
    for (unsigned i = 0; i < kept(p); i++) {
        uint64_t age = newest - p->rows[i].ms;
        p->rows[i].ms = now_ms > age ? now_ms - age : 0;
    }
}

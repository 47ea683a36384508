/* Two tables of fields, and seeded chance. */
#include "loadtest/lib/fault.h"

#include <stdlib.h>

#define FIELD(kind, name)                                                                                              \
    {                                                                                                                  \
#name, offsetof(struct fault_##kind, name)                                                                     \
    }

struct field {
    const char *name;
    size_t at;
};

static const struct field numbers[] = {
    FIELD(plan, delay_ms),    FIELD(plan, jitter_ms), FIELD(plan, hole),   FIELD(plan, freeze_up),
    FIELD(plan, freeze_down), FIELD(plan, refuse),    FIELD(plan, cut_at), FIELD(plan, cuts),
};

static const struct field counters[] = {
    FIELD(counts, accepted),   FIELD(counts, open),      FIELD(counts, unreachable), FIELD(counts, bytes_up),
    FIELD(counts, bytes_down), FIELD(counts, messages),  FIELD(counts, dropped),     FIELD(counts, cut),
    FIELD(counts, reset),      FIELD(counts, swallowed),
};

static int set_share(double *share, struct slice value)
{
    char *text = slice_dup(value), *end;
    double x = strtod(text, &end);
    int r = end != text && *end == '\0' && x >= 0 && x <= 1 ? 0 : -1;
    free(text);
    if (r == 0)
        *share = x;
    return r;
}

static int set_text(char out[FAULT_TEXT_MAX], struct slice value)
{
    if (value.n >= FAULT_TEXT_MAX)
        return -1;
    memcpy(out, value.p, value.n);
    out[value.n] = '\0';
    return 0;
}

int fault_set(struct fault_plan *f, struct slice name, struct slice value)
{
    if (slice_eq(name, SLICE("drop")))
        return set_share(&f->drop, value);
    if (slice_eq(name, SLICE("only")))
        return set_text(f->only, slice_eq(value, SLICE("*")) ? SLICE("") : value);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (slice_eq(name, slice_of(numbers[i].name)))
            return slice_to_u64(value, (uint64_t *)(void *)((char *)f + numbers[i].at));
    return -1;
}

void fault_counts_print(const struct fault_counts *c, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        buf_printf(out, "%c\"%s\":", i == 0 ? '{' : ',', counters[i].name);
        buf_u64(out, *(const uint64_t *)(const void *)((const char *)c + counters[i].at));
    }
    buf_byte(out, '}');
}

uint64_t fault_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool fault_chance(uint64_t *state, double share)
{
    return (double)(fault_random(state) >> 11) * 0x1p-53 < share;
}

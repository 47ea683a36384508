/* A value's bucket is its top six bits and their place: no search, no floating point while counting. */
#include "loadtest/lib/hist.h"

static size_t bucket_of(uint64_t us)
{
    if (us < 64)
        return (size_t)us;
    unsigned top = 63u - (unsigned)__builtin_clzll(us); /* 6 and up */
    size_t bucket = 64 + (size_t)(top - 6) * 32 + (size_t)(us >> (top - 5) & 31);
    return MIN(bucket, HIST_BUCKETS - 1);
}

/* The largest value that falls into the bucket. */
static uint64_t upper_edge(size_t bucket)
{
    if (bucket < 64)
        return bucket;
    unsigned shift = (unsigned)(bucket - 64) / 32 + 1;
    return ((uint64_t)(32 + (bucket - 64) % 32) << shift) + ((uint64_t)1 << shift) - 1;
}

void hist_add(struct hist *h, uint64_t us)
{
    h->count++;
    h->max = MAX(h->max, us);
    h->buckets[bucket_of(us)]++;
}

void hist_merge(struct hist *h, const struct hist *from)
{
    h->count += from->count;
    h->max = MAX(h->max, from->max);
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        h->buckets[i] += from->buckets[i];
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    uint64_t rank = (uint64_t)(share * (double)h->count + 0.999999), seen = 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= MAX(rank, 1) && seen > 0)
            return MIN(upper_edge(i), h->max);
    }
    return h->max;
}

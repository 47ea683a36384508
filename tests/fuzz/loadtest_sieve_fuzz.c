/* Any bytes as what Redis sends: nothing but whole messages may be missing behind the sieve, and pieces of any size
 * give the same. */
#include "loadtest/lib/sieve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool leave_out(void *arg, struct slice channel)
{
    return channel.n % 2 == 1;
}

static void sift(struct slice text, size_t piece, struct buf *out, struct buf *held)
{
    struct sieve s = {0};
    const struct sieve_rule rule = {.leave_out = leave_out};
    for (size_t at = 0; at < text.n; at += piece)
        if (sieve_feed(&s, slice_make(text.p + at, MIN(piece, text.n - at)), &rule, out))
            BUG("cut without being asked");
    *held = s.held;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct buf whole = {0}, pieces = {0}, held = {0}, held_too = {0};
    if (size == 0)
        return 0;
    sift(text, size, &whole, &held);
    sift(text, 1 + data[0] % 16, &pieces, &held_too);
    if (whole.n + held.n > size)
        BUG("%zu bytes out of %zu", whole.n + held.n, size);
    if (!slice_eq(buf_slice(&whole), buf_slice(&pieces)) || !slice_eq(buf_slice(&held), buf_slice(&held_too)))
        BUG("pieces make a difference");
    buf_release(&whole);
    buf_release(&pieces);
    buf_release(&held);
    buf_release(&held_too);
    return 0;
}

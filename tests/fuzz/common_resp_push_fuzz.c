/* Any bytes as what Redis sends to a subscriber: walked as the link walks them, and cut at every place must be MORE
 * until it is whole, never another push. */
#include "common/resp_push.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CUTS_MAX 300 /* longer pushes are cut at a few places only */

static void check_within(struct slice whole, struct slice part)
{
    if (part.n > 0 && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
        BUG("slice outside the push");
}

static void check_cuts(struct slice push)
{
    struct resp_push cut;
    size_t step = push.n > CUTS_MAX ? push.n / CUTS_MAX : 1;
    for (size_t n = 0; n < push.n; n += step)
        if (resp_push_read(slice_make(push.p, n), &cut) != RESP_MORE)
            BUG("%zu of %zu bytes are not MORE", n, push.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size);
    struct resp_push push;
    while (rest.n > 0 && resp_push_read(rest, &push) == RESP_OK) {
        if (push.size == 0 || push.size > rest.n)
            BUG("%zu bytes taken of %zu", push.size, rest.n);
        struct slice whole = slice_make(rest.p, push.size);
        check_within(whole, push.channel);
        check_within(whole, push.payload);
        check_cuts(whole);
        rest = slice_from(rest, push.size);
    }
    return 0;
}

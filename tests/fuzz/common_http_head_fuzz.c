/* Any bytes as the head of a request. However they are cut, the verdict is the same, and comes no later than the head's
 * limit. The first two bytes say the limit and how the head is cut. */
#include "common/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_head_result scan_cut(struct slice head, size_t step, size_t max, size_t *at)
{
    struct http_head_scan scan = {0};
    enum http_head_result r = HTTP_HEAD_MORE;
    for (*at = MIN(step, head.n); r == HTTP_HEAD_MORE; *at = MIN(*at + step, head.n)) {
        r = http_head_scan(&scan, slice_make(head.p, *at), max);
        if (*at == head.n || r != HTTP_HEAD_MORE)
            break;
    }
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t max = (size_t)(data[0] + 1) * 16, step = (size_t)data[1] % 32 + 1, at, by_one;
    struct slice head = slice_make(data + 2, size - 2);
    enum http_head_result cut = scan_cut(head, step, max, &at), bytewise = scan_cut(head, 1, max, &by_one);
    if (cut == HTTP_HEAD_MORE && head.n >= max)
        BUG("%zu bytes are not too many for %zu", head.n, max);
    if (bytewise == HTTP_HEAD_MORE && cut != HTTP_HEAD_MORE)
        BUG("%d when cut, but not byte by byte", (int)cut);
    /* read in pieces, more than one head may lie in the buffer; what is refused byte by byte is never let through */
    if (bytewise != HTTP_HEAD_OK && cut == HTTP_HEAD_OK)
        BUG("%d byte by byte, let through when cut", (int)bytewise);
    return 0;
}

/* Ids of events as text. Each id has exactly one text, so that texts may be compared as bytes. */
#include "common/event_id.h"

static char *put_backwards(char *end, uint64_t value)
{
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return end;
}

struct slice event_id_format(uint64_t n, char out[EVENT_ID_SIZE])
{
    assert(n <= EVENT_ID_MAX);
    char *end = out + EVENT_ID_SIZE - 1;
    *end = '\0';
    if (n == 0) {
        end[-1] = '0';
        return slice_make(end - 1, 1);
    }
    char *p = put_backwards(end, n % 1000);
    *--p = '-';
    p = put_backwards(p, n / 1000);
    return slice_make(p, (size_t)(end - p));
}

int event_id_parse(struct slice text, uint64_t *n)
{
    if (slice_eq(text, SLICE("0"))) {
        *n = 0;
        return 0;
    }
    struct slice rest = text;
    struct slice whole = slice_cut(&rest, '-');
    uint64_t ms, us;
    if (slice_to_u64(whole, &ms) != 0 || slice_to_u64(rest, &us) != 0)
        return -1;
    if (us > 999 || ms > EVENT_ID_MAX / 1000)
        return -1;
    uint64_t value = ms * 1000 + us;
    if (value == 0 || value > EVENT_ID_MAX)
        return -1;
    *n = value;
    return 0;
}

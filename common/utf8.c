/* The table of well-formed sequences of RFC 3629 section 4, as bounds on the byte after the first. */
#include "common/utf8.h"

static int start_character(struct utf8 *u, unsigned char c)
{
    u->lo = 0x80;
    u->hi = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        u->need = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        u->need = 2;
        if (c == 0xe0)
            u->lo = 0xa0;
        else if (c == 0xed)
            u->hi = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        u->need = 3;
        if (c == 0xf0)
            u->lo = 0x90;
        else if (c == 0xf4)
            u->hi = 0x8f;
    } else {
        return -1;
    }
    return 0;
}

/* How many bytes at the start of s are ASCII, by words of eight. */
static size_t ascii_run(struct slice s)
{
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t word;
        memcpy(&word, s.p + i, 8);
        if (word & 0x8080808080808080u)
            break;
    }
    while (i < s.n && (unsigned char)s.p[i] < 0x80)
        i++;
    return i;
}

int utf8_feed(struct utf8 *u, struct slice s)
{
    size_t i = 0;
    while (i < s.n) {
        if (u->need == 0) {
            i += ascii_run(slice_from(s, i));
            if (i == s.n)
                break;
            if (start_character(u, (unsigned char)s.p[i++]) != 0)
                return -1;
            continue;
        }
        unsigned char c = (unsigned char)s.p[i++];
        if (c < u->lo || c > u->hi)
            return -1;
        u->lo = 0x80;
        u->hi = 0xbf;
        u->need--;
    }
    return 0;
}

bool utf8_valid(struct slice s)
{
    struct utf8 u = {0};
    return utf8_feed(&u, s) == 0 && utf8_complete(&u);
}

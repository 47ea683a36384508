/* UTF-8 as RFC 3629 allows it (no overlong forms, no surrogates, nothing above U+10FFFF), validated as a stream: a
 * character may be cut anywhere between two feeds. */
#ifndef TIDEGATE_COMMON_UTF8_H
#define TIDEGATE_COMMON_UTF8_H

#include "common/slice.h"

/* Zero-initialised stands at the start of a text. */
struct utf8 {
    uint8_t need;   /* continuation bytes still to come */
    uint8_t lo, hi; /* bounds of the next one */
};

/* 0, or -1 as soon as no continuation could make the text valid. */
int utf8_feed(struct utf8 *u, struct slice s);
/* True when the text fed so far does not end inside a character. */
static inline bool utf8_complete(const struct utf8 *u)
{
    return u->need == 0;
}
/* A whole text at once. */
bool utf8_valid(struct slice s);

#endif

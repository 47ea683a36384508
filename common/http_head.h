/* A look at the raw head of an HTTP/1.1 request before a parser sees it: is it whole, is it small enough, and does it
 * say its body's length in one way only (RFC 9112 sections 6.1 and 6.3)? */
#ifndef TIDEGATE_COMMON_HTTP_HEAD_H
#define TIDEGATE_COMMON_HTTP_HEAD_H

#include "common/slice.h"

enum http_head_result {
    HTTP_HEAD_MORE,
    HTTP_HEAD_OK,
    HTTP_HEAD_TOO_LARGE,
    HTTP_HEAD_AMBIGUOUS, /* Content-Length twice, or beside Transfer-Encoding */
    HTTP_HEAD_HTTP2,     /* the connection preface of RFC 9113 section 3.4 */
};

/* Zero-initialised at the start of a head. */
struct http_head_scan {
    size_t seen; /* bytes already searched for the end */
};

/* bytes are all that arrived since the head's first byte; max bounds the head with its empty line. */
enum http_head_result http_head_scan(struct http_head_scan *scan, struct slice bytes, size_t max);

#endif

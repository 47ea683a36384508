/* Finds the empty line without looking at a byte twice, then walks the field lines once. Bare LF ends a line too, as
 * the parser behind accepts it. */
#include "common/http_head.h"

/* The length of the head with its empty line, or 0. */
static size_t find_end(struct http_head_scan *scan, struct slice bytes)
{
    size_t from = scan->seen > 3 ? scan->seen - 3 : 0;
    scan->seen = bytes.n;
    while (from < bytes.n) {
        const char *lf = memchr(bytes.p + from, '\n', bytes.n - from);
        if (lf == NULL)
            return 0;
        size_t at = (size_t)(lf - bytes.p) + 1;
        if (at < bytes.n && bytes.p[at] == '\n')
            return at + 1;
        if (at + 1 < bytes.n && bytes.p[at] == '\r' && bytes.p[at + 1] == '\n')
            return at + 2;
        from = at;
    }
    return 0;
}

static bool is_ambiguous(struct slice head)
{
    unsigned lengths = 0, encodings = 0;
    slice_cut(&head, '\n'); /* the request line */
    while (head.n > 0) {
        struct slice line = slice_cut(&head, '\n');
        struct slice name = slice_trim(slice_cut(&line, ':'));
        if (line.p == NULL)
            continue;
        lengths += slice_eq_nocase(name, SLICE("content-length"));
        encodings += slice_eq_nocase(name, SLICE("transfer-encoding"));
    }
    return lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0);
}

enum http_head_result http_head_scan(struct http_head_scan *scan, struct slice bytes, size_t max)
{
    const struct slice preface = SLICE("PRI * HTTP/2.0");
    if (slice_starts(bytes, preface))
        return HTTP_HEAD_HTTP2;
    size_t end = find_end(scan, bytes);
    if (end > max || (end == 0 && bytes.n >= max))
        return HTTP_HEAD_TOO_LARGE;
    if (end == 0)
        return HTTP_HEAD_MORE;
    return is_ambiguous(slice_make(bytes.p, end)) ? HTTP_HEAD_AMBIGUOUS : HTTP_HEAD_OK;
}

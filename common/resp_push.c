/* A reader of the little RESP that subscribers get: a cursor that only moves over whole elements. */
#include "common/resp_push.h"

#define ELEMENTS_MAX 4
#define BULK_MAX     (512u << 20) /* the server's own limit, proto-max-bulk-len */
#define LINE_MAX     1024         /* a length, a number, or the text of an error */

struct cursor {
    struct slice rest;
};

static enum resp_result read_line(struct cursor *c, struct slice *line)
{
    const char *end = c->rest.n > 0 ? memchr(c->rest.p, '\r', MIN(c->rest.n, LINE_MAX + 1)) : NULL;
    if (end == NULL)
        return c->rest.n > LINE_MAX ? RESP_BAD : RESP_MORE;
    size_t n = (size_t)(end - c->rest.p);
    if (n + 1 >= c->rest.n)
        return RESP_MORE;
    if (end[1] != '\n')
        return RESP_BAD;
    *line = slice_make(c->rest.p, n);
    c->rest = slice_from(c->rest, n + 2);
    return RESP_OK;
}

static enum resp_result read_length(struct slice line, uint64_t max, uint64_t *out)
{
    return slice_to_u64(slice_from(line, 1), out) != 0 || *out > max ? RESP_BAD : RESP_OK;
}

/* A bulk string, a nil (an empty slice) or an integer's digits. */
static enum resp_result read_element(struct cursor *c, struct slice *out)
{
    struct slice line;
    enum resp_result r = read_line(c, &line);
    if (r != RESP_OK)
        return r;
    if (line.n > 1 && line.p[0] == ':') {
        *out = slice_from(line, 1);
        return RESP_OK;
    }
    if (slice_eq(line, SLICE("$-1"))) {
        *out = SLICE("");
        return RESP_OK;
    }
    uint64_t n;
    if (line.n < 2 || line.p[0] != '$' || read_length(line, BULK_MAX, &n) != RESP_OK)
        return RESP_BAD;
    if (c->rest.n < n + 2)
        return RESP_MORE;
    if (c->rest.p[n] != '\r' || c->rest.p[n + 1] != '\n')
        return RESP_BAD;
    *out = slice_make(c->rest.p, n);
    c->rest = slice_from(c->rest, n + 2);
    return RESP_OK;
}

static enum resp_push_kind kind_of(struct slice word)
{
    static const struct {
        const char *word;
        enum resp_push_kind kind;
    } kinds[] = {{"smessage", RESP_PUSH_MESSAGE},
                 {"ssubscribe", RESP_PUSH_SUBSCRIBED},
                 {"sunsubscribe", RESP_PUSH_UNSUBSCRIBED},
                 {"pong", RESP_PUSH_PONG}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (slice_eq(word, slice_of(kinds[i].word)))
            return kinds[i].kind;
    return RESP_PUSH_OTHER;
}

static enum resp_result read_array(struct cursor *c, struct slice head, struct resp_push *out)
{
    uint64_t count;
    struct slice elements[ELEMENTS_MAX] = {{0}};
    if (head.n < 2 || read_length(head, ELEMENTS_MAX, &count) != RESP_OK || count == 0)
        return RESP_BAD;
    for (uint64_t i = 0; i < count; i++) {
        enum resp_result r = read_element(c, &elements[i]);
        if (r != RESP_OK)
            return r;
    }
    out->kind = kind_of(elements[0]);
    out->channel = elements[1];
    out->payload = elements[2];
    return RESP_OK;
}

enum resp_result resp_push_read(struct slice bytes, struct resp_push *out)
{
    struct cursor c = {bytes};
    struct slice line;
    enum resp_result r = read_line(&c, &line);
    if (r != RESP_OK)
        return r;
    if (line.n == 0)
        return RESP_BAD;
    *out = (struct resp_push){.kind = RESP_PUSH_OTHER};
    switch (line.p[0]) {
    case '*':
        r = read_array(&c, line, out);
        break;
    case '+':
        out->kind = slice_eq(line, SLICE("+PONG")) ? RESP_PUSH_PONG : RESP_PUSH_OTHER;
        break;
    case '-':
        out->kind = RESP_PUSH_ERROR;
        out->payload = slice_from(line, 1);
        break;
    case ':':
        break;
    default:
        return RESP_BAD;
    }
    out->size = bytes.n - c.rest.n;
    return r;
}

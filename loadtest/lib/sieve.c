/* A walk over elements: the head of each says how long it is, then its bytes pass or do not. A message is decided on
 * when its channel is known, so that at most its head is held back. */
#include "loadtest/lib/sieve.h"

#define LINE_MAX    65536 /* a length, a number, or the text of an error */
#define CHANNEL_MAX 4096
#define BULK_MAX    (512u << 20) /* the server's own limit, proto-max-bulk-len */

enum head { HEAD_MORE, HEAD_OK, HEAD_OTHER };

void sieve_release(struct sieve *s)
{
    buf_release(&s->held);
}

/* A line with its CR LF cut off the front of *rest; OTHER when there cannot be one. */
static enum head cut_line(struct slice *rest, struct slice *line)
{
    const char *end = rest->n > 0 ? memchr(rest->p, '\n', MIN(rest->n, LINE_MAX)) : NULL;
    if (end == NULL)
        return rest->n < LINE_MAX ? HEAD_MORE : HEAD_OTHER;
    size_t n = (size_t)(end - rest->p) + 1;
    if (n < 3 || end[-1] != '\r')
        return HEAD_OTHER;
    *line = slice_make(rest->p, n - 2);
    *rest = slice_from(*rest, n);
    return HEAD_OK;
}

/* The number behind a kind's sign; nil (-1) counts as nothing and sets *nil. */
static int read_length(struct slice line, uint64_t *n, bool *nil)
{
    *nil = slice_eq(slice_from(line, 1), SLICE("-1"));
    *n = 0;
    return *nil || (slice_to_u64(slice_from(line, 1), n) == 0 && *n <= BULK_MAX) ? 0 : -1;
}

static enum head cut_bulk_head(struct slice *rest, uint64_t *n)
{
    struct slice line;
    bool nil;
    enum head r = cut_line(rest, &line);
    if (r != HEAD_OK)
        return r;
    return line.p[0] == '$' && read_length(line, n, &nil) == 0 && !nil ? HEAD_OK : HEAD_OTHER;
}

/* Whether a message begins here; if so, its channel and how many bytes it takes. */
static enum head read_message(struct slice in, struct slice *channel, uint64_t *size)
{
    static const struct slice start = {"*3\r\n$8\r\nsmessage\r\n", 18};
    struct slice rest = in;
    uint64_t n;
    if (in.n < start.n)
        return memcmp(in.p, start.p, in.n) == 0 ? HEAD_MORE : HEAD_OTHER;
    if (!slice_starts(in, start))
        return HEAD_OTHER;
    rest = slice_from(in, start.n);
    enum head r = cut_bulk_head(&rest, &n);
    if (r != HEAD_OK)
        return r;
    if (n > CHANNEL_MAX)
        return HEAD_OTHER;
    if (rest.n < n + 2)
        return HEAD_MORE;
    *channel = slice_make(rest.p, n);
    rest = slice_from(rest, n + 2);
    r = cut_bulk_head(&rest, &n);
    if (r == HEAD_OK)
        *size = (in.n - rest.n) + n + 2;
    return r;
}

/* Any other element; arrays are entered. */
static enum head begin_element(struct sieve *s, struct slice in)
{
    struct slice rest = in, line;
    uint64_t n = 0;
    bool nil = false;
    enum head r = cut_line(&rest, &line);
    if (r != HEAD_OK)
        return r;
    if (line.p[0] == '\0' || strchr("*$+-:", line.p[0]) == NULL)
        return HEAD_OTHER;
    if ((line.p[0] == '*' || line.p[0] == '$') && read_length(line, &n, &nil) != 0)
        return HEAD_OTHER;
    s->elements -= s->elements > 0;
    s->elements += line.p[0] == '*' ? n : 0;
    s->rest = (in.n - rest.n) + (line.p[0] == '$' && !nil ? n + 2 : 0);
    s->leaving_out = false;
    return HEAD_OK;
}

static enum head begin(struct sieve *s, struct slice in, const struct sieve_rule *rule)
{
    struct slice channel;
    if (s->elements == 0) {
        s->passed = 0;
        enum head r = read_message(in, &channel, &s->rest);
        if (r == HEAD_OK)
            s->leaving_out = rule->leave_out(rule->arg, channel);
        if (r != HEAD_OTHER)
            return r;
    }
    return begin_element(s, in);
}

/* Appends n bytes; true when the reply was cut among them. */
static bool pass(struct sieve *s, const char *p, uint64_t n, const struct sieve_rule *rule, struct buf *out)
{
    bool cut = rule->cut_at > 0 && s->passed <= rule->cut_at && s->passed + n > rule->cut_at;
    uint64_t some = cut ? rule->cut_at - s->passed : n;
    buf_append(out, slice_make(p, some));
    s->passed += some;
    return cut;
}

/* Goes over whole heads and what is there of bodies; *in is left with a head that is not whole. */
static bool walk(struct sieve *s, struct slice *in, const struct sieve_rule *rule, struct buf *out)
{
    while (in->n > 0 && !s->opaque) {
        enum head r = s->rest > 0 ? HEAD_OK : begin(s, *in, rule);
        if (r == HEAD_MORE)
            return false;
        s->opaque = r == HEAD_OTHER;
        uint64_t n = s->opaque ? 0 : MIN(s->rest, in->n);
        if (!s->leaving_out && pass(s, in->p, n, rule, out))
            return true;
        s->rest -= n;
        *in = slice_from(*in, n);
    }
    if (in->n == 0)
        return false;
    s->passed = 0;
    struct slice all = *in;
    *in = slice_from(all, all.n);
    return pass(s, all.p, all.n, rule, out);
}

bool sieve_feed(struct sieve *s, struct slice in, const struct sieve_rule *rule, struct buf *out)
{
    bool held = s->held.n > 0;
    if (held)
        buf_append(&s->held, in);
    struct slice rest = held ? buf_slice(&s->held) : in;
    size_t all = rest.n;
    if (walk(s, &rest, rule, out))
        return true;
    if (held)
        buf_consume(&s->held, all - rest.n);
    else
        buf_append(&s->held, rest);
    return false;
}

/* Coordinates as text. Read from the end, because a topic's name is the only part that is not a number; it has no `#`
 * and no `/` (Kafka allows letters, digits, dot, underscore and dash). */
#include "common/coordinate.h"

void coordinate_append_part(struct buf *out, struct slice topic, uint64_t generation, uint32_t partition)
{
    buf_append(out, topic);
    buf_byte(out, '#');
    buf_u64(out, generation);
    buf_byte(out, '/');
    buf_u64(out, partition);
}

void coordinate_append(struct buf *out, const struct coordinate *c)
{
    buf_append(out, c->part);
    buf_byte(out, '/');
    buf_u64(out, c->offset);
    if (c->n > 0) {
        buf_byte(out, '.');
        buf_u64(out, c->n);
    }
}

static bool topic_valid(struct slice topic)
{
    for (size_t i = 0; i < topic.n; i++) {
        char ch = topic.p[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!letter && !(ch >= '0' && ch <= '9') && ch != '.' && ch != '_' && ch != '-')
            return false;
    }
    return topic.n > 0;
}

static bool part_valid(struct slice part)
{
    struct slice numbers = part;
    struct slice topic = slice_cut(&numbers, '#');
    struct slice generation = slice_cut(&numbers, '/');
    uint64_t value;
    return part.n <= COORDINATE_PART_MAX && topic_valid(topic) && slice_to_u64(generation, &value) == 0 &&
           slice_to_u64(numbers, &value) == 0 && value <= UINT32_MAX;
}

/* `offset` or `offset.n`. */
static int parse_place(struct slice text, struct coordinate *out)
{
    struct slice n = text;
    if (slice_to_u64(slice_cut(&n, '.'), &out->offset) != 0)
        return -1;
    out->n = 0;
    if (n.p == NULL)
        return 0;
    return slice_to_u64(n, &out->n) == 0 && out->n > 0 ? 0 : -1;
}

int coordinate_parse(struct slice text, struct coordinate *out)
{
    const char *slash = text.n > 0 ? memrchr(text.p, '/', text.n) : NULL;
    if (slash == NULL)
        return -1;
    out->part = slice_make(text.p, (size_t)(slash - text.p));
    if (!part_valid(out->part))
        return -1;
    return parse_place(slice_from(text, out->part.n + 1), out);
}

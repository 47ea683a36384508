/* Envelopes to bytes and back. What a gateway reads here comes from Redis, where anybody with access may write: every
 * length is checked, every refusal has a text. */
#include "common/envelope.h"

#include "common/event_id.h"
#include "common/mp.h"
#include "common/target.h"
#include "common/traceparent.h"

#define ELEMENTS 11 /* that every envelope has */

static void write_optional(struct buf *out, struct slice text)
{
    assert(text.n <= ENVELOPE_TEXT_MAX);
    if (text.p == NULL)
        mp_write_nil(out);
    else
        mp_write_str(out, text);
}

static void write_targets(struct buf *out, const struct envelope *e)
{
    assert(e->target_count > 0 && e->target_count <= ENVELOPE_TARGETS_MAX);
    mp_write_array(out, (uint32_t)e->target_count);
    for (size_t i = 0; i < e->target_count; i++)
        mp_write_str(out, e->targets[i]);
}

void envelope_encode(struct buf *out, const struct envelope *e)
{
    assert(e->key.n > 0 && e->key.n <= ENVELOPE_TEXT_MAX);
    assert(e->event.n > 0 && e->event.n <= ENVELOPE_TEXT_MAX);
    assert(e->coordinate.n <= ENVELOPE_TEXT_MAX);
    mp_write_array(out, ELEMENTS + (e->coordinate.p != NULL));
    mp_write_uint(out, ENVELOPE_VERSION);
    mp_write_str(out, e->key);
    mp_write_uint(out, e->kafka_ms);
    mp_write_str(out, e->event);
    write_targets(out, e);
    mp_write_uint(out, e->kind);
    if (e->kind == ENVELOPE_BINARY)
        mp_write_bin(out, e->payload);
    else
        mp_write_str(out, e->payload);
    write_optional(out, e->source_device);
    write_optional(out, e->traceparent);
    write_optional(out, e->conflate_key);
    mp_write_uint(out, e->flags);
    if (e->coordinate.p != NULL)
        mp_write_str(out, e->coordinate);
}

int envelope_ids(struct slice message, uint64_t *id, uint64_t *prev, struct slice *body)
{
    /* two ids and two blanks: do not search a megabyte for a blank that is not there */
    struct slice head = slice_make(message.p, MIN(message.n, 2 * EVENT_ID_SIZE));
    size_t before = head.n;
    struct slice first = slice_cut(&head, ' ');
    struct slice second = slice_cut(&head, ' ');
    if (head.p == NULL || event_id_parse(first, id) != 0 || event_id_parse(second, prev) != 0)
        return -1;
    *body = slice_from(message, before - head.n);
    return 0;
}

static int read_text(struct slice *in, struct slice *out)
{
    return mp_read_str(in, out) == 0 && out->n > 0 && out->n <= ENVELOPE_TEXT_MAX ? 0 : -1;
}

static int read_optional(struct slice *in, struct slice *out)
{
    *out = (struct slice){0};
    return mp_read_nil(in) == 0 || (mp_read_str(in, out) == 0 && out->n <= ENVELOPE_TEXT_MAX) ? 0 : -1;
}

static int read_targets(struct slice *in, struct envelope *out)
{
    uint32_t count;
    if (mp_read_array(in, &count) != 0 || count == 0 || count > ENVELOPE_TARGETS_MAX)
        return -1;
    for (out->target_count = 0; out->target_count < count; out->target_count++) {
        struct slice *target = &out->targets[out->target_count];
        if (mp_read_str(in, target) != 0 || target->n == 0 || target->n > TARGET_MAX)
            return -1;
    }
    return 0;
}

static int read_payload(struct slice *in, struct envelope *out)
{
    uint64_t kind;
    if (mp_read_uint(in, &kind) != 0 || kind > ENVELOPE_BINARY)
        return -1;
    out->kind = (enum envelope_kind)kind;
    return kind == ENVELOPE_BINARY ? mp_read_bin(in, &out->payload) : mp_read_str(in, &out->payload);
}

static int read_optionals(struct slice *in, struct envelope *out)
{
    uint64_t flags;
    if (read_optional(in, &out->source_device) != 0 || read_optional(in, &out->traceparent) != 0 ||
        read_optional(in, &out->conflate_key) != 0 || mp_read_uint(in, &flags) != 0)
        return -1;
    out->flags = (uint32_t)flags;
    if (traceparent_kind(out->traceparent) != TRACEPARENT_SOUND)
        out->traceparent = (struct slice){0};
    return 0;
}

static const char *read_body(struct slice in, struct envelope *out)
{
    uint32_t elements;
    uint64_t version;
    if (mp_read_array(&in, &elements) != 0 || elements == 0 || mp_read_uint(&in, &version) != 0)
        return "not an envelope";
    if (version != ENVELOPE_VERSION)
        return "unknown version";
    if (elements < ELEMENTS)
        return "too few elements";
    if (read_text(&in, &out->key) != 0)
        return "bad key";
    if (mp_read_uint(&in, &out->kafka_ms) != 0)
        return "bad timestamp";
    if (read_text(&in, &out->event) != 0)
        return "bad event name";
    if (read_targets(&in, out) != 0)
        return "bad targets";
    if (read_payload(&in, out) != 0)
        return "bad payload";
    if (read_optionals(&in, out) != 0)
        return "bad optional element";
    if (elements > ELEMENTS && read_optional(&in, &out->coordinate) != 0)
        return "bad coordinate";
    for (uint32_t i = ELEMENTS + 1; i < elements; i++) {
        if (mp_skip(&in, NULL) != 0)
            return "bad element at the end";
    }
    return in.n == 0 ? NULL : "bytes behind the end";
}

int envelope_decode(struct slice message, struct envelope *out, const char **why)
{
    struct slice body;
    if (envelope_ids(message, &out->id, &out->prev, &body) != 0) {
        *why = "bad ids";
        return -1;
    }
    out->coordinate = (struct slice){0};
    *why = read_body(body, out);
    return *why == NULL ? 0 : -1;
}

int envelope_coordinate(const struct envelope *e, struct coordinate *out)
{
    struct slice text = (e->flags & ENVELOPE_COORDINATE) != 0 ? e->key : e->coordinate;
    return text.p != NULL ? coordinate_parse(text, out) : -1;
}

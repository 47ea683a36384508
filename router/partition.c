/* A ring of unfinished records in the order of their offsets. The head leaves it when its last step is confirmed; the
 * message of the one that left last is kept until somebody wants its fingerprint, because hashing every record would
 * cost as much as decoding it. */
#include "router/partition.h"
#include "common/coordinate.h"
#include "common/fault.h"
#include "common/hash.h"
#include "common/ring.h"

#include <inttypes.h>
#include <stdlib.h>

#define RING_FIRST 64

#define FAULT_AHEAD 400 /* records */

static void identify(struct partition *p, uint64_t generation)
{
    struct buf part = {0};
    coordinate_append_part(&part, slice_of(p->topic), generation, (uint32_t)p->id);
    buf_byte(&part, '\0');
    free(p->part);
    p->part = part.p;
    p->generation = generation;
}

struct partition *partition_new(const char *topic, int32_t id)
{
    struct partition *p = xcalloc(1, sizeof(*p));
    p->topic = xstrdup(topic);
    p->id = id;
    p->refs = 1;
    p->next = p->fetched = p->committed = p->written = p->leapt_to = PARTITION_NO_OFFSET;
    identify(p, 1);
    return p;
}

static struct unfinished *at(const struct partition *p, size_t i)
{
    return &p->ring[(p->head + i) & (p->cap - 1)];
}

static void destroy_message(rd_kafka_message_t **message)
{
    if (*message != NULL)
        rd_kafka_message_destroy(*message);
    *message = NULL;
}

static void forget_unfinished(struct partition *p)
{
    for (size_t i = 0; i < p->count; i++)
        destroy_message(&at(p, i)->message);
    p->first_seq += p->count;
    p->count = 0;
    p->dead_letters = 0;
    p->round++;
}

void partition_ref(struct partition *p)
{
    p->refs++;
}

void partition_unref(struct partition *p)
{
    assert(p->refs > 0);
    if (--p->refs > 0)
        return;
    forget_unfinished(p);
    destroy_message(&p->last);
    free(p->ring);
    free(p->topic);
    free(p->part);
    free(p);
}

void partition_know(struct partition *p, uint64_t generation, int64_t start, const struct fingerprint *before)
{
    assert(!p->placed);
    identify(p, generation);
    p->next = start;
    p->past = (struct past){.count = 0};
    p->before = before != NULL ? *before : (struct fingerprint){.known = false};
    p->known = true;
}

void partition_place(struct partition *p, int64_t offset)
{
    assert(p->known && !p->placed && p->count == 0);
    if (offset != p->next) {
        destroy_message(&p->last);
        p->before = (struct fingerprint){.known = false};
    }
    p->next = offset;
    p->placed = p->fresh = true;
    p->written = PARTITION_NO_OFFSET;
}

void partition_rewind(struct partition *p)
{
    if (!p->placed)
        return;
    p->fetched = p->next;
    p->next = partition_position(p);
    p->placed = false;
    forget_unfinished(p);
}

struct step partition_open(struct partition *p, int64_t offset, rd_kafka_message_t *message)
{
    assert(p->placed && offset >= p->next);
    p->fresh = false;
    if (p->count == p->cap)
        p->ring = ring_grow(p->ring, sizeof(*p->ring), &p->head, &p->cap, RING_FIRST);
    *at(p, p->count) = (struct unfinished){.message = message, .offset = offset, .steps = 1};
    p->next = offset + 1;
    partition_ref(p);
    return (struct step){.partition = p, .seq = p->first_seq + p->count++, .round = p->round};
}

static struct unfinished *find(const struct step *s)
{
    const struct partition *p = s->partition;
    if (s->round != p->round)
        return NULL;
    assert(s->seq >= p->first_seq && s->seq - p->first_seq < p->count);
    return at(p, s->seq - p->first_seq);
}

struct step partition_add_step(const struct step *s)
{
    struct unfinished *u = find(s);
    if (u != NULL)
        u->steps++;
    partition_ref(s->partition);
    return *s;
}

void partition_mark_dead_letter(const struct step *s)
{
    struct unfinished *u = find(s);
    if (u == NULL || u->is_dead_letter)
        return;
    u->is_dead_letter = true;
    s->partition->dead_letters++;
}

const rd_kafka_message_t *partition_message(const struct step *s)
{
    const struct unfinished *u = find(s);
    return u != NULL ? u->message : NULL;
}

static void drop_finished(struct partition *p)
{
    while (p->count > 0 && at(p, 0)->steps == 0) {
        destroy_message(&p->last);
        p->last = at(p, 0)->message;
        p->before.known = false;
        p->dead_letters -= at(p, 0)->is_dead_letter;
        p->head = (p->head + 1) & (p->cap - 1);
        p->first_seq++;
        p->count--;
    }
}

bool partition_finish(struct step *s)
{
    struct partition *p = s->partition;
    struct unfinished *u = find(s);
    if (u != NULL) {
        assert(u->steps > 0);
        u->steps--;
        drop_finished(p);
    }
    s->partition = NULL;
    partition_unref(p);
    return u != NULL;
}

int64_t partition_position(const struct partition *p)
{
    return p->count > 0 ? at(p, 0)->offset : p->next;
}

int64_t partition_watermark(const struct partition *p)
{
    for (size_t i = 0; i < p->count && p->dead_letters > 0; i++)
        if (at(p, i)->is_dead_letter && at(p, i)->steps > 0)
            return at(p, i)->offset;
    return p->next + (FAULT(commit_before_append) ? FAULT_AHEAD : 0);
}

void partition_remember(struct partition *p, uint64_t now_ms, uint64_t step_ms)
{
    if (p->placed)
        past_note(&p->past, partition_position(p), now_ms, step_ms);
}

int64_t partition_past(const struct partition *p, uint64_t ago_ms)
{
    return past_position(&p->past, partition_position(p), ago_ms);
}

struct fingerprint fingerprint_of(const rd_kafka_message_t *record)
{
    rd_kafka_timestamp_type_t type;
    struct buf both = {0};
    buf_append(&both, slice_make(record->key, record->key_len));
    buf_append(&both, slice_make(record->payload, record->len));
    int64_t timestamp_ms = rd_kafka_message_timestamp(record, &type);
    struct fingerprint f = {.timestamp_ms = MAX(timestamp_ms, 0),
                            .hash = hash_fnv1a(buf_slice(&both)),
                            .known = true}; /* -1: it has none */
    buf_release(&both);
    return f;
}

static void take_fingerprint(struct partition *p)
{
    if (p->last == NULL)
        return;
    p->before = fingerprint_of(p->last);
    destroy_message(&p->last);
}

void partition_commit_text(struct partition *p, struct buf *out)
{
    take_fingerprint(p);
    buf_printf(out, "tg1 %" PRIu64, p->generation);
    if (!p->before.known)
        return;
    buf_printf(out, " %" PRId64 " %016" PRIx64, p->before.timestamp_ms, p->before.hash);
    past_append_text(&p->past, out);
}

static int parse_hex(struct slice s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return -1;
        *out = *out << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return s.n == 16 ? 0 : -1;
}

static int parse_before(struct slice text, struct commit_note *out)
{
    uint64_t timestamp_ms;
    if (text.p == NULL)
        return 0;
    if (slice_to_u64(slice_cut(&text, ' '), &timestamp_ms) != 0 || timestamp_ms > INT64_MAX ||
        parse_hex(slice_cut(&text, ' '), &out->before.hash) != 0)
        return -1;
    if (past_parse(text, &out->past) != 0)
        out->past = (struct past){.count = 0}; /* of another version: the rest holds without it */
    out->before.timestamp_ms = (int64_t)timestamp_ms;
    out->before.known = true;
    return 0;
}

int partition_parse_commit(struct slice text, struct commit_note *out)
{
    *out = (struct commit_note){.generation = 1};
    if (slice_eq(slice_cut(&text, ' '), SLICE("tg1")) && slice_to_u64(slice_cut(&text, ' '), &out->generation) == 0 &&
        out->generation > 0 && parse_before(text, out) == 0)
        return 0;
    *out = (struct commit_note){.generation = 1};
    return -1;
}

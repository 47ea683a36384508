/* Lengths and envelopes in a row; the place of the next one moves over them. */
#include "gateway/piece.h"
#include "common/envelope.h"

int piece_add(struct piece *p, struct slice envelope)
{
    uint64_t id, prev;
    struct slice body;
    uint32_t n = (uint32_t)envelope.n;
    if (envelope.n > UINT32_MAX || envelope_ids(envelope, &id, &prev, &body) != 0 || id <= p->last_id)
        return -1;
    buf_append(&p->bytes, slice_make(&n, sizeof(n)));
    buf_append(&p->bytes, envelope);
    p->last_id = id;
    p->count++;
    return 0;
}

static struct slice first(const struct piece *p)
{
    uint32_t n;
    memcpy(&n, p->bytes.p + p->at, sizeof(n));
    return slice_make(p->bytes.p + p->at + sizeof(n), n);
}

bool piece_first(const struct piece *p, struct slice *envelope, uint64_t *id, uint64_t *prev)
{
    struct slice body;
    if (p->count == 0)
        return false;
    *envelope = first(p);
    if (envelope_ids(*envelope, id, prev, &body) != 0)
        BUG("an envelope without ids was added to a piece");
    return true;
}

void piece_drop_first(struct piece *p)
{
    assert(p->count > 0);
    p->at += sizeof(uint32_t) + first(p).n;
    if (--p->count == 0)
        piece_release(p);
}

void piece_release(struct piece *p)
{
    buf_release(&p->bytes);
    *p = (struct piece){0};
}

/* A piece of a log: envelopes that were read and wait to be delivered, oldest first, in one run of memory. Pure. */
#ifndef TIDEGATE_GATEWAY_PIECE_H
#define TIDEGATE_GATEWAY_PIECE_H

#include "common/buf.h"

/* Zero-initialised is empty and ready. */
struct piece {
    struct buf bytes; /* of each envelope its length in a uint32_t, then itself */
    size_t at;        /* where the next one begins */
    size_t count;     /* still there */
    uint64_t last_id; /* of the last one added */
};

/* Copies an envelope to the end: 0, or -1 when what it says in front is no id above that of the one before. */
int piece_add(struct piece *p, struct slice envelope);
/* The first one, which stays; false when there is none. The envelope is good until the piece is changed. */
bool piece_first(const struct piece *p, struct slice *envelope, uint64_t *id, uint64_t *prev);
/* Drops the first one. Memory is freed with the last. */
void piece_drop_first(struct piece *p);
void piece_release(struct piece *p);

static inline bool piece_is_empty(const struct piece *p)
{
    return p->count == 0;
}

#endif

/* What a Redis server sends on one connection (RESP2), passed on reply by reply: messages of channels may be left out
 * without breaking the stream, and a reply may be cut short. Pure; a stream that is no RESP passes unchanged. */
#ifndef TIDEGATE_LOADTEST_SIEVE_H
#define TIDEGATE_LOADTEST_SIEVE_H

#include "common/buf.h"

/* What is done to a stream from now on. */
struct sieve_rule {
    /* Whether to leave this message (smessage) out; asked once for each. Borrows channel until return. */
    bool (*leave_out)(void *arg, struct slice channel);
    void *arg;
    uint64_t cut_at; /* a reply longer than this is cut behind so many bytes; 0: none is */
};

/* Zero-initialised is ready. */
struct sieve {
    uint64_t elements; /* of arrays that are open, still to come */
    uint64_t rest;     /* bytes of the element that was begun, still to come */
    uint64_t passed;   /* bytes of the current reply that went out */
    bool leaving_out;  /* what is in rest */
    bool opaque;       /* no RESP, or none any more: everything passes */
    struct buf held;   /* the head of an element, until it is whole */
};

void sieve_release(struct sieve *s);
/* Takes bytes as they came and appends to out what goes on. True: a reply was cut, out ends with its last byte, and
 * nothing may be fed any more. An opaque stream is cut within one feeding. */
bool sieve_feed(struct sieve *s, struct slice in, const struct sieve_rule *rule, struct buf *out);

#endif

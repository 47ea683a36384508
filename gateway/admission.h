/* How fast handshakes are let in: ADMISSION_RATE a second over all workers of the process, ADMISSION_BURST at once
 * after a calm. Who comes too fast waits for its turn, in order; who would wait longer than ADMISSION_WAIT is refused
 * at once. So a herd of clients that lost their gateway costs those that are here no more than a known share of this
 * one. */
#ifndef TIDEGATE_GATEWAY_ADMISSION_H
#define TIDEGATE_GATEWAY_ADMISSION_H

#include "gateway/context.h"

#include <stdatomic.h>

/* The process's; constant but for the next turn. */
struct admission_rate {
    uint64_t spacing_ns; /* between two turns; 0: no limit */
    uint64_t burst_ns;   /* turns so far back may still be taken */
    uint64_t wait_ns;    /* and none further ahead */
    _Atomic uint64_t next_ns;
};

#define ADMISSION_REFUSED UINT64_MAX

/* rate a second, 0: no limit; burst at least 1. */
void admission_rate_init(struct admission_rate *r, uint64_t rate, uint64_t burst, uint64_t wait_ms);
/* Takes the next turn, from any thread: nanoseconds until it comes, or ADMISSION_REFUSED and none is taken. */
uint64_t admission_rate_take(struct admission_rate *r, uint64_t now_ns);

/* A worker's queue of those that wait. */
struct admission {
    struct context *ctx;
    struct admission_rate *rate;
    struct list waiting;
    struct timer timer;
};

/* Somebody who waits, embedded in its owner. on_turn is called once: its turn has come (true), or the queue was
 * dismissed. */
struct admission_ticket {
    struct list link;
    uint64_t due_ms;
    void (*on_turn)(struct admission_ticket *t, bool admitted);
};

enum admission_answer { ADMISSION_NOW, ADMISSION_LATER, ADMISSION_NEVER };

/* *Borrows* both for its life. */
void admission_init(struct admission *a, struct context *ctx, struct admission_rate *rate);
void admission_release(struct admission *a);
/* LATER *keeps* the ticket until on_turn; otherwise that is not called. */
enum admission_answer admission_ask(struct admission *a, struct admission_ticket *t,
                                    void (*on_turn)(struct admission_ticket *t, bool admitted));
/* Nobody who waits is let in any more. */
void admission_dismiss(struct admission *a);

#endif

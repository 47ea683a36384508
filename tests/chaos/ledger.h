/* A ledger: what happened to every device of a run, one entry of 40 bytes each, in the order in which it happened.
 * tests/chaos/ledger.py reads it and decides. Little-endian, as the machine is. */
#ifndef TIDEGATE_CHAOS_LEDGER_H
#define TIDEGATE_CHAOS_LEDGER_H

#include "common/base.h"

#include <stdio.h>

enum ledger_kind {
    LEDGER_ASKED = 1,    /* a connection was begun; note: which gateway; id: the last_id it names */
    LEDGER_REFUSED = 2,  /* it came to nothing; number: the HTTP status, 0 when there was no answer */
    LEDGER_WELCOMED = 3, /* note: enum ledger_recovered; number: how many messages follow; id: where they start */
    LEDGER_EVENT = 4,    /* sequence, number, key, id: as the message said */
    LEDGER_GAP = 5,      /* the gateway says that retention was exceeded */
    LEDGER_ACKED = 6,    /* id: what was acknowledged */
    LEDGER_CLOSED = 7,   /* number: the close code, 1006 without one; note: enum ledger_closed */
    LEDGER_STRANGE = 8,  /* a message that is none of these */
};

enum ledger_recovered { LEDGER_UNSAID, LEDGER_RECOVERED, LEDGER_NOT_RECOVERED };
enum ledger_closed { LEDGER_BY_GATEWAY, LEDGER_BY_DEVICE, LEDGER_SILENT };

struct ledger_entry {
    uint8_t kind, note;
    uint16_t zero;
    uint32_t device;
    uint64_t at_us; /* monotonic clock */
    uint32_t sequence, number;
    uint64_t key; /* hash */
    uint64_t id;  /* microseconds */
};
_Static_assert(sizeof(struct ledger_entry) == 40, "ledger.py knows its form");

/* Appends *e to the file, with the time. */
static inline void ledger_write(FILE *file, struct ledger_entry e, uint64_t now_us)
{
    e.at_us = now_us;
    fwrite(&e, sizeof(e), 1, file);
}

#endif

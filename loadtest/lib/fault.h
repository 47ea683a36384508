/* What a route of the fault proxy does to its connections, and what it did: settings and counters by name. */
#ifndef TIDEGATE_LOADTEST_FAULT_H
#define TIDEGATE_LOADTEST_FAULT_H

#include "common/buf.h"

#define FAULT_TEXT_MAX 128

enum fault_hole { FAULT_HOLE_ALL = 1, FAULT_HOLE_NEW = 2 /* connections that come from now on */ };

struct fault_plan {
    double drop;                  /* share of messages that are left out, 0 to 1 */
    char only[FAULT_TEXT_MAX];    /* and only those of channels that hold this text; empty: of all */
    uint64_t delay_ms, jitter_ms; /* each way: that long, and up to so much more */
    uint64_t hole; /* swallow everything, both ways, for good: no end, no reset, no byte; 0 or enum fault_hole */
    uint64_t freeze_up, freeze_down; /* read nothing from clients, from the server; lifted, all goes on */
    uint64_t refuse;                 /* nobody listens */
    uint64_t cut_at, cuts; /* the next so many replies longer than cut_at bytes end there, with a reset both ways */
};

struct fault_counts {
    uint64_t accepted, open, unreachable, bytes_up, bytes_down, messages, dropped, cut, reset, swallowed;
};

/* Sets one field by its name. 0, or -1 for a name or value that does not fit. */
int fault_set(struct fault_plan *f, struct slice name, struct slice value);
/* Appends a JSON object. */
void fault_counts_print(const struct fault_counts *c, struct buf *out);

/* The next number of a seeded sequence (splitmix64). */
uint64_t fault_random(uint64_t *state);
/* True in a share of the calls. */
bool fault_chance(uint64_t *state, double share);

#endif

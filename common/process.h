/* What a process says of itself in its metrics: version, CPU, memory, descriptors (process.def). Linux. */
#ifndef TIDEGATE_COMMON_PROCESS_H
#define TIDEGATE_COMMON_PROCESS_H

#include "common/metrics.h"

struct process {
    const char *program;
    uint64_t started_ms; /* wall time */
};

/* Gives the rows of process.def, which m's table must have, their lines. *Borrows* p for m's life, and program for p's.
 * The process counts as started now. What the system does not tell has no line. */
void process_measure(struct process *p, struct metrics *m, const char *program);

#endif

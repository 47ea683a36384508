/* Seeded faults. `if (FAULT(drop_on_gap))` is false at compile time, unless CMake's TIDEGATE_FAULTS is on (preset
 * `faults`); then the environment's TIDEGATE_FAULT chooses one: `drop_on_gap`, or `drop_on_gap/10` for every tenth time
 * that the place is passed. Releases hold neither the names nor the question. */
#ifndef TIDEGATE_COMMON_FAULT_H
#define TIDEGATE_COMMON_FAULT_H

#include "common/base.h"

#ifdef TIDEGATE_FAULTS

enum fault {
#define FAULT_ROW(name, says) FAULT_##name,
#include "common/fault.def"
#undef FAULT_ROW
    FAULT_COUNT
};

/* Whether this fault is the chosen one and its turn has come. From any thread. */
bool fault_strikes(enum fault f);
#define FAULT(name) fault_strikes(FAULT_##name)

#else
#define FAULT(name) false
#endif

#endif

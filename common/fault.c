/* The choice is read once; how often the place was passed is counted over all threads. */
#include "common/fault.h"

#ifdef TIDEGATE_FAULTS

#include "common/log.h"
#include "common/slice.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static const struct slice names[FAULT_COUNT] = {
#define FAULT_ROW(name, says) [FAULT_##name] = {#name, sizeof(#name) - 1},
#include "common/fault.def"
#undef FAULT_ROW
};

static struct {
    enum fault fault;
    uint64_t every;
    atomic_uint_fast64_t passed;
} chosen = {.fault = FAULT_COUNT, .every = 1};

static void choose(void)
{
    struct slice text = slice_of(getenv("TIDEGATE_FAULT"));
    struct slice name = slice_cut(&text, '/');
    if (name.n == 0)
        return;
    for (int i = 0; i < FAULT_COUNT; i++)
        if (slice_eq(names[i], name))
            chosen.fault = (enum fault)i;
    bool good = chosen.fault != FAULT_COUNT && (text.p == NULL || slice_to_u64(text, &chosen.every) == 0);
    if (!good || chosen.every == 0) {
        log_error("no_such_fault", LOG_SL("fault", name));
        exit(2);
    }
    log_warn("fault_seeded", LOG_SL("fault", name), LOG_I("every", (int64_t)chosen.every));
}

bool fault_strikes(enum fault f)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return f == chosen.fault && atomic_fetch_add(&chosen.passed, 1) % chosen.every == chosen.every - 1;
}

#endif

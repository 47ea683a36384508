/* What a gateway said to a device, as far as the suite needs it. No JSON parser: the suite's own events are flat, and a
 * client that costs more than the gateway would measure itself. Bytes in, result out. */
#ifndef TIDEGATE_CHAOS_HEARD_H
#define TIDEGATE_CHAOS_HEARD_H

#include "common/slice.h"

enum heard_kind { HEARD_EVENT, HEARD_WELCOME, HEARD_GAP, HEARD_HEARTBEAT, HEARD_STRANGE };

struct heard {
    enum heard_kind kind;
    /* of an event */
    uint32_t sequence, number;
    bool last;       /* nothing of its sequence comes behind it */
    struct slice id; /* text of the position, points into the message; a welcome has it too */
    uint64_t id_us;
    uint64_t key; /* hash of its text */
    /* of a welcome */
    bool says_recovered, recovered;
    uint32_t replay;
};

void heard_read(struct slice message, struct heard *out);

#endif

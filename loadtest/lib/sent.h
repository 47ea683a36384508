/* When a message was sent, as far as it says so itself. */
#ifndef TIDEGATE_LOADTEST_SENT_H
#define TIDEGATE_LOADTEST_SENT_H

#include "common/slice.h"

/* When the message was sent, by its own word: the payload's member "sent_us" (wall microseconds), else its
 * "timestamp" (ISO 8601, UTC, with or without a fraction); 0 when there is neither. *hint remembers where the member
 * stood last time. */
uint64_t sent_us(struct slice payload, size_t *hint);

#endif

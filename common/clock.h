/* Time: monotonic for waiting, wall time for what people and Kafka read. Protocol code takes the time as a parameter
 * instead of asking here. */
#ifndef TIDEGATE_COMMON_CLOCK_H
#define TIDEGATE_COMMON_CLOCK_H

#include "common/slice.h"

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
/* Since 1970-01-01T00:00:00Z. */
uint64_t clock_wall_ms(void);
uint64_t clock_wall_us(void);

#define CLOCK_ISO_LEN 24
/* ISO 8601 in UTC with milliseconds, "2024-01-01T00:00:00.000Z", 24 bytes and a NUL. */
void clock_iso8601(uint64_t wall_ms, char out[CLOCK_ISO_LEN + 1]);

#endif

/* Why a connection ends: the rows of close.def. */
#ifndef TIDEGATE_GATEWAY_CLOSE_H
#define TIDEGATE_GATEWAY_CLOSE_H

#include "common/slice.h"

enum close_reason {
#define CLOSE(ident, code, reason, when) CLOSE_##ident,
#include "gateway/close.def"
#undef CLOSE
    CLOSE_COUNT
};

struct close_row {
    uint16_t code; /* RFC 6455 section 7.4; 0: no close frame */
    const char *reason;
};

extern const struct close_row close_rows[CLOSE_COUNT];
/* The reasons alone, for the metric's label. */
extern const char *const close_words[CLOSE_COUNT];

#endif

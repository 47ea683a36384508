/* Where browsers may come from: ALLOWED_ORIGINS, for CORS and for the WebSocket handshake alike. */
#ifndef TIDEGATE_GATEWAY_ORIGIN_H
#define TIDEGATE_GATEWAY_ORIGIN_H

#include "common/slice.h"

/* True when origin (RFC 6454 section 7, as the header has it) is in the comma separated list, or the list holds "*".
 * list may be NULL: nobody. An absent origin (p NULL) is not a browser's and passes. */
bool origin_allowed(const char *list, struct slice origin);

#endif

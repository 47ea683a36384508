/* --probe ws://…: what a client would see. Connects, waits for the welcome, and, when something is expected, for the
 * message that holds it. For the command line only. */
#ifndef TIDEGATE_GATEWAY_PROBE_WS_H
#define TIDEGATE_GATEWAY_PROBE_WS_H

#include "common/probe.h"
#include "gateway/config.h"

struct probe_ws {
    const struct gateway_config *cfg; /* how tokens are to be made */
    const char *user;                 /* who to be; NULL: the URL says all */
};

/* A probe_converse; arg is a struct probe_ws. The message that settled it is printed on stdout. */
int probe_ws(const struct probe *p, struct dial *d, void *arg, char **why);

#endif

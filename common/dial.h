/* A conversation with one server over TCP, in order and blocking, as a whole within a time limit: for what a command
 * line asks for once, never for a worker. */
#ifndef TIDEGATE_COMMON_DIAL_H
#define TIDEGATE_COMMON_DIAL_H

#include "common/buf.h"

struct dial {
    int fd;
    uint64_t until_ms; /* monotonic: nothing waits beyond it */
    struct buf in;     /* what came and was not consumed by the caller */
};

/* What fails says *why, an owned sentence. */

/* Looks the host up and connects; 0 or -1. Release it after 0 only. */
int dial_open(struct dial *d, const char *host, uint16_t port, uint64_t limit_ms, char **why);
/* Sends all of it; 0 or -1. */
int dial_send(struct dial *d, struct slice bytes, char **why);
/* Waits for more and adds it to d->in: 1; 0 at the end of the stream; -1. */
int dial_more(struct dial *d, char **why);
void dial_release(struct dial *d);

#endif

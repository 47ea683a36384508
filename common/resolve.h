/* Names to addresses without blocking the loop: getaddrinfo in a thread of its own, which may take as long as it likes,
 * even longer than the loop lives. */
#ifndef TIDEGATE_COMMON_RESOLVE_H
#define TIDEGATE_COMMON_RESOLVE_H

#include "common/loop.h"

#include <netdb.h>

struct resolve;
/* found: *borrowed* until return, or NULL with why a static sentence. */
typedef void (*resolve_cb)(void *arg, const struct addrinfo *found, const char *why);

/* Looks a host up for TCP; cb is called once, later, unless cancelled before. */
struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port, resolve_cb cb, void *arg);
/* cb is not called any more, and nothing of the loop is used. */
void resolve_cancel(struct resolve *r);

#endif

/* Where the sockets of a load tool go: a list of servers, and on loopback a source address per 10,000 sockets, since
 * one pair of addresses has only some 28,000 ports. */
#ifndef TIDEGATE_LOADTEST_TARGET_H
#define TIDEGATE_LOADTEST_TARGET_H

#include "common/slice.h"

#include <sys/socket.h>

struct target {
    struct slice host, path; /* as given, point into the list's text */
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

#define TARGETS_MAX 64

/* Cuts "host:port,ws://host:port/path,…" and resolves the names; an item without a path gets the default one. Returns
 * how many, or -1 with the reason in *why (a static or owned text; the process is about to end). text must outlive
 * out. */
int targets_parse(const char *text, const char *default_path, struct target out[TARGETS_MAX], const char **why);

/* Starts a non-blocking connect of the index-th socket of this run. Returns the descriptor, or -1 with errno. */
int target_connect(const struct target *t, uint64_t index);

/* Raises the soft limit of descriptors to the hard one; returns it. */
uint64_t descriptors_raise(void);

#endif

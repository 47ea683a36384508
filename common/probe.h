/* Asks a running program, from the command line, whether it answers: what a container's health check and the hook
 * before its end are made of, where there is no shell. --probe URL is done once; with --probe-for again and again. */
#ifndef TIDEGATE_COMMON_PROBE_H
#define TIDEGATE_COMMON_PROBE_H

#include "common/config.h"
#include "common/dial.h"
#include "common/endpoint.h"

/* Rows for config_table's actions; `urls` says in words which URLs are understood. */
#define PROBE_ACTIONS(urls)                                                                                            \
    {"probe", "URL", NULL, "asks " urls " and ends: 0 all is well, 1 it is not (and why), 2 a bad URL"},               \
        {"probe-timeout", "TIME", "probe", "time for an answer, as a whole; 3s"},                                      \
        {"probe-for", "TIME", "probe", "asks every 250 ms for so long, as long as all is well"},                       \
    {                                                                                                                  \
        "probe-expect", "TEXT", "probe", "what must be read in an answer"                                              \
    }

struct probe {
    struct endpoint at;
    char *authority;    /* what stands in Host */
    const char *path;   /* with its query */
    const char *expect; /* NULL: nothing certain */
    uint64_t timeout_ms, for_ms;
};

/* One conversation on a fresh connection. 0, or -1 with *why, an owned sentence. */
typedef int (*probe_converse)(const struct probe *p, struct dial *d, void *arg, char **why);

/* Whom a URL that is only a path means, and what else than http:// is understood. */
struct probe_self {
    const char *program;
    const char *host; /* as HOST says it: an address to listen on */
    uint16_t port;
    probe_converse on_ws; /* of ws://; NULL: that is a bad URL */
    void *arg;
};

/* Does what --probe asks for, which was asked for. Returns the program's exit status. */
int probe_run(const struct config *cfg, const struct probe_self *self);

/* Reads up to the end of the answer's head, which d->in then holds whole. Returns its length and *status, or 0 with
 * *why. */
size_t probe_read_head(struct dial *d, unsigned *status, char **why);
/* Sets *why: the answer's status, and what of its body came. */
void probe_refused(struct dial *d, size_t head, unsigned status, char **why);

#endif

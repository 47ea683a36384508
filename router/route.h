/* Routes are data: which topic feeds which targets as which client event. A table is read from a JSON file (README,
 * "Routes") or from the built-in one, checked as a whole, and never changes afterwards. */
#ifndef TIDEGATE_ROUTER_ROUTE_H
#define TIDEGATE_ROUTER_ROUTE_H

#include "common/buf.h"

/* How long a log keeps events. */
struct route_history {
    uint64_t messages;
    uint64_t age_ms;
};

struct route;
struct route_table;

struct route_source {
    const char *file;    /* what errors call it */
    struct slice text;   /* the JSON; borrowed until return */
    const char *profile; /* rows of other profiles are left out; NULL: none */
    /* The environment for ${NAME:-default}: NULL for a name that is not set. */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
};

/* The table that is compiled in (router/routes.default.json). */
struct slice routes_default(void);

/* Reads a table: returns owned, or NULL with *why (owned) "file:line:column: path: reason". */
struct route_table *routes_parse(const struct route_source *source, char **why);
void routes_free(struct route_table *t);

size_t routes_count(const struct route_table *t);
const struct route *routes_at(const struct route_table *t, size_t i);
/* The route of a topic, or NULL. */
const struct route *routes_find(const struct route_table *t, struct slice topic);
struct slice route_topic(const struct route *r);
/* True: events of this route are only published, never kept in a log. */
bool route_is_ephemeral(const struct route *r);
/* How long the log of a target is kept. A log is shared by all routes that feed its kind of target (user, room,
 * everybody), so this is the most that any of them asks for. target is a name of common/target.h. */
struct route_history routes_history(const struct route_table *t, struct slice target);
/* Appends what each route does, one readable line each. */
void routes_describe(const struct route_table *t, struct buf *out);

#endif

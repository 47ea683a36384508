/* Routes are data: which topic feeds which targets as which client event. A table is read from a JSON file (README,
 * "Routes") or from the built-in one, checked as a whole, and never changes afterwards. */
#ifndef TIDEGATE_ROUTER_ROUTE_H
#define TIDEGATE_ROUTER_ROUTE_H

#include "router/event.h"
#include "router/mapping.h"
#include "router/template.h"

enum route_form {
    ROUTE_TASK,   /* task events in any of their forms (task.h) */
    ROUTE_JSON,   /* any JSON object */
    ROUTE_TEXT,   /* any text */
    ROUTE_BINARY, /* any bytes */
    ROUTE_FORM_COUNT
};

#define ROUTES_MAX             256
#define ROUTE_ALTERNATIVES_MAX 4

/* One target: the first of the alternatives whose optional fields are there. */
struct route_target {
    struct field_template either[ROUTE_ALTERNATIVES_MAX];
    size_t count;
};

struct route {
    struct slice topic;
    char *topic_text;     /* owned: the topic with its variables put in */
    struct slice profile; /* the row holds under this profile only; n 0: always */
    enum route_form form;
    struct field_template event;
    struct route_target *targets;
    size_t target_count;     /* at most EVENT_TARGETS_MAX */
    bool ephemeral;          /* events are only published, never kept in a log */
    bool members;            /* ENVELOPE_MEMBERS */
    struct mapping *mapping; /* NULL: the payload is the data as it is */
    struct field_template key, source_device, conflate;
    bool keyless;                /* no record has a key of its own, whatever it holds */
    struct field_template field; /* the member that holds a key, on rows that do not say; what cannot be one is none */
    struct field_set fields;     /* the attributes of a CloudEvent first, then the form's own names, then the row's */
};

struct route_table {
    struct route *rows; /* those in force first, each in the file's order */
    size_t count;       /* rows in force */
    size_t row_count;
    char *text;       /* what the slices are cut from */
    struct buf names; /* strings of the text that had escapes */
};

struct route_source {
    const char *file;          /* what errors call it */
    struct slice text;         /* the JSON; *borrowed* until return */
    const char *profile;       /* rows of other profiles are not in force; NULL: those of all profiles are not */
    struct slice dedupe_field; /* path of the member that holds a key; absent: none. *Borrowed* for the table's life */
    /* What ${NAME:-default} reads: NULL for a name that is not set. */
    const char *(*env)(void *arg, const char *name);
    void *env_arg;
};

/* The table that is compiled in (router/routes.default.json). */
struct slice routes_default(void);

/* Reads a table: returns owned, or NULL with *why (owned) "file:line:column: path: reason". */
struct route_table *routes_parse(const struct route_source *source, char **why);
void routes_free(struct route_table *t);

/* The route in force for a topic, or NULL. */
const struct route *routes_find(const struct route_table *t, struct slice topic);
/* Appends what each route does, one readable line each. */
void routes_describe(const struct route_table *t, struct buf *out);

/* "task", "json", … as in the file; an enum's end gives NULL. */
const char *route_form_name(enum route_form form);

#endif

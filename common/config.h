/* Options declared once. A program's config.def holds one OPTION row per setting; config_struct.h turns the rows into
 * a struct of typed fields, config_table.h into the table that this engine walks to read all sources, to refuse what
 * is wrong and to print help, README table, `.env` example and the effective configuration.
 *
 *   OPTION(field, KIND, "ENV_NAME", "ALIAS …", "default", limits, "One clear sentence.")
 *   PRESET("profile", "ENV_NAME", "default under that profile")
 *   GROUP("Title of the options that follow")
 *
 * Flags come from the names: MAX_CONNECTIONS is --max-connections, aliases too. Later sources win: default, profile,
 * --env-file, environment, flags. */
#ifndef TIDEGATE_COMMON_CONFIG_H
#define TIDEGATE_COMMON_CONFIG_H

#include "common/buf.h"
#include "common/log.h"
#include "common/slice.h"

#include <stdio.h>

/* kind      field type       value and limits (a text whose default is "" may be NULL; one with a default never is)
 * TEXT      const char *     no control characters; no limits: ""
 * LIST      const char *     as TEXT, comma separated: walk with config_list_next
 * URL       const char *     as TEXT; user and password are masked wherever it is printed
 * SECRET    const char *     never printed; set to nothing is refused
 * BOOL      bool             1 0 true false yes no on off
 * INT       int64_t          "1..65535"; alternatives by a bar: "1008|4000..4999"
 * BYTES     uint64_t         65536, 64k, 16MiB, 1G (powers of 1,024); limits as INT: "1k..16MiB"
 * DURATION  uint64_t (ms)    500ms 30s 2m 1h 7d. A bare number takes the unit in which the default (the profile's, if
 *                            it has one) is written; a default without unit: ms from 1,000 on, else s. "0|1s..1h"
 * ENUM      enum config_<field>  WORD(CONSTANT, "word") WORD(…) …, in the place of the limits
 * LEVEL     enum log_level   debug info warn error; no limits */
enum config_kind {
    CONFIG_GROUP,
    CONFIG_TEXT,
    CONFIG_LIST,
    CONFIG_URL,
    CONFIG_SECRET,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_BYTES,
    CONFIG_DURATION,
    CONFIG_ENUM,
    CONFIG_LEVEL,
};

struct config_option {
    enum config_kind kind;
    const char *env; /* the group's title in a CONFIG_GROUP row, which has nothing else */
    const char *aliases;
    const char *value;
    const char *limits;
    const char *help;
    size_t offset;
};

struct config_preset {
    const char *profile, *env, *value;
};

/* What a program can be asked to do instead of its usual run, on the command line only: --probe URL. One with `of` only
 * says more of the action of that name. Rows are named in --help in the order of the table. */
struct config_action {
    const char *flag;  /* without dashes */
    const char *value; /* what stands behind it, for --help */
    const char *of;    /* NULL: an action by itself */
    const char *help;
};

struct config;

struct config_table {
    const char *program, *summary;
    size_t size; /* of the struct that the rows fill */
    const struct config_option *options;
    size_t option_count;
    const struct config_preset *presets;
    size_t preset_count;
    const struct config_action *actions;
    size_t action_count;
    /* Environment variables that are handed on (config_next_variable), and what --help says of them; or NULL. */
    const char *prefix, *prefix_help;
    /* Optional. Judges options against each other; the values are filled, problems go to config_problem. Not called
     * when an action is asked for, which may need less than a run. */
    void (*validate)(struct config *cfg, const void *values);
    /* The README's table of metrics, for --print-config metrics. */
    void (*print_metrics)(struct buf *out);
    /* Optional. --check's last word: may print to out, and look at files that the options name. */
    void (*check)(struct config *cfg, const void *values, FILE *out);
};

/* Reads nothing yet. *Borrows* both until config_free; values is the program's struct, zeroed here. A table that
 * contradicts itself is a BUG. */
struct config *config_new(const struct config_table *t, void *values);
/* What the values point at goes with it. */
void config_free(struct config *cfg);

/* Reads all sources and fills the values:
 *
 *     struct config *cfg = config_new(&gateway_config_table, &values);
 *     int code = config_start(cfg, argc, argv, environ, stdout, stderr);
 *     if (code != CONFIG_RUN)
 *         return code;
 *
 * An action is asked for by CONFIG_RUN too: config_asked tells.
 * Returns CONFIG_RUN, or the code to exit with: 0 after --help, --version,
 * --check or --print-config (on out), 2 when something is refused (every reason a line on err). env is environ's form.
 * *Borrows* env until config_free. */
#define CONFIG_RUN (-1)
int config_start(struct config *cfg, int argc, char *const *argv, char *const *env, FILE *out, FILE *err);
/* The text behind the flag of an action, in argv; NULL: it was not given. */
const char *config_asked(const struct config *cfg, const char *flag);
/* Says through the log what config_start found unsafe or odd, but not refused. */
void config_log_warnings(const struct config *cfg);

/* WARN is said at the start; UNSAFE too, but refuses it under ENVIRONMENT=production; ERROR refuses it. For validate
 * and check; the text names the option, and never holds a secret. */
enum config_severity { CONFIG_WARN, CONFIG_UNSAFE, CONFIG_ERROR };
void config_problem(struct config *cfg, enum config_severity severity, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The text in effect for a name: an option's (by its own name or an alias), else a variable's of the environment or
 * the file; NULL when there is none. */
const char *config_lookup(const struct config *cfg, const char *name);
/* Walks the variables of environment and files whose name starts with prefix and whose value is not empty, each name
 * once. *at starts at 0. False at the end. */
struct config_variable {
    struct slice name;
    const char *value;
};
bool config_next_variable(const struct config *cfg, const char *prefix, size_t *at, struct config_variable *out);

/* Fills values with the defaults of a profile (NULL: of none), for tests; they point into the table. */
void config_defaults(const struct config_table *t, const char *profile, void *values);
/* Cuts the next item off a LIST, trimmed, empty ones skipped; false at the end. *rest starts as slice_of(field). */
bool config_list_next(struct slice *rest, struct slice *item);
/* "7d" to milliseconds; a unit must stand there. 0, or -1 for anything else. */
int config_parse_duration(struct slice text, uint64_t *ms);

#endif

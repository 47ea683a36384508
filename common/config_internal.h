/* What the files of the configuration engine share; nobody else includes it. */
#ifndef TIDEGATE_COMMON_CONFIG_INTERNAL_H
#define TIDEGATE_COMMON_CONFIG_INTERNAL_H

#include "common/buf.h"
#include "common/config.h"

enum config_source {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_PROFILE,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAGS,
    CONFIG_SOURCES
};

/* What one source says of one option. */
struct config_setting {
    struct slice name; /* the one of its names that was used, in the table */
    char *text;        /* owned; NULL: it says nothing */
};

struct config_note {
    enum config_severity severity;
    char *text;
};

/* What the command line asks for beside options. */
enum config_request {
    CONFIG_NOTHING_ASKED,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_CHECK,
    CONFIG_MARKDOWN,
    CONFIG_ENV,
    CONFIG_METRICS,
};

struct config {
    const struct config_table *table;
    void *values;
    struct config_setting (*settings)[CONFIG_SOURCES]; /* by option */
    char *const *environment;                          /* borrowed; never NULL */
    size_t environment_count;
    char **file_lines; /* "NAME=value", owned, NULL at the end: environ's form */
    size_t file_line_count;
    struct config_note *notes;
    size_t note_count;
    enum config_request request;
    const char **asked; /* by action: the text behind its flag in argv, or NULL */
    bool production;
};

/* config.c */
void config_set(struct config *cfg, const struct config_option *o, enum config_source source, struct slice name,
                struct slice text);
/* The option with this environment name or alias, or NULL. */
const struct config_option *config_find(const struct config_table *t, struct slice name);
/* The setting in effect; its source in *source. Never NULL, but its text may be. */
const struct config_setting *config_effective(const struct config *cfg, const struct config_option *o,
                                              enum config_source *source);
/* The default of an option under a profile: the profile's, or the row's. */
const char *config_default(const struct config_table *t, const struct config_option *o, struct slice profile);
/* The PROFILE in effect; empty when the table has no such option. */
struct slice config_profile(const struct config *cfg);
/* The i-th name of an option: ENV_NAME, then the aliases; empty behind the last. */
struct slice config_name(const struct config_option *o, size_t i);

/* config_flags.c: reads argv into settings, files and the request. */
void config_read_flags(struct config *cfg, int argc, char *const *argv);
void config_flag_append(struct buf *b, struct slice name);

/* config_env.c: NAME=value lines of a file and of the environment. */
void config_read_file(struct config *cfg, const char *path);
void config_read_lines(struct config *cfg, char *const *lines, enum config_source source);
/* The value behind "name=", or NULL. */
const char *config_line_value(char *const *lines, struct slice name);

/* config_value.c: text to typed field and back. 0, or -1 when the kind or the limits forbid it. `written` is the
 * default that gives a bare duration its unit. */
int config_store(const struct config_option *o, struct slice text, const char *written, void *values);
/* What is allowed, in words: "bytes, 1k to 256k". */
void config_allowed_append(struct buf *b, const struct config_option *o);
/* How a value of the kind is written, in brackets; nothing where it goes without saying. */
void config_form_append(struct buf *b, enum config_kind kind);
/* The text with what is secret in it replaced. */
void config_shown_append(struct buf *b, const struct config_option *o, struct slice text);
/* The field's value as the engine understood it. */
void config_value_append(struct buf *b, const struct config_option *o, const void *values);
/* Cuts the next alternative off limits or words ("a|b|c"). */
bool config_next_word(struct slice *rest, struct slice *word);

/* config_doc.c: what is printed for a person. */
void config_help(const struct config_table *t, struct buf *out);
void config_markdown(const struct config_table *t, struct buf *out);
void config_env_example(const struct config *cfg, struct buf *out);
void config_print_effective(const struct config *cfg, struct buf *out);

#endif

/* Command lines of the load tools: a table of options gives parsing, --help and the complaint about a bad value. */
#ifndef TIDEGATE_LOADTEST_ARGS_H
#define TIDEGATE_LOADTEST_ARGS_H

#include "common/base.h"

enum arg_kind {
    ARG_FLAG,  /* bool, no value */
    ARG_COUNT, /* uint64_t, a decimal number */
    ARG_REAL,  /* double, not negative */
    ARG_TEXT   /* const char *, points into argv */
};

struct arg {
    const char *name; /* without the two dashes */
    enum arg_kind kind;
    void *out; /* holds the default until the option is given */
    const char *help;
};

struct arg_table {
    const char *tool, *summary;
    const struct arg *args;
    size_t count;
};

/* Takes "--name value" and "--name=value". Ends the process: 0 after --help, 2 after a word that it does not know or a
 * value that does not fit, with a sentence on stderr. */
void args_parse(const struct arg_table *t, int argc, char **argv);
/* A sentence on stderr, "<tool>: …", then exit 2: for values that contradict each other. */
_Noreturn void args_refuse(const struct arg_table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif

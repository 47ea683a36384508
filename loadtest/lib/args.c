/* One walk over argv. Each option is looked up in the table and its value stored by kind; whatever does not fit ends
 * the process, as there is nothing to clean up yet. */
#include "loadtest/lib/args.h"

#include "common/slice.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HELP_INDENT 24

_Noreturn void args_refuse(const struct arg_table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", t->tool);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, " (%s --help lists all options)\n", t->tool);
    exit(2);
}

static void print_default(const struct arg *a)
{
    const char *text = a->kind == ARG_TEXT ? *(const char **)a->out : NULL;
    if (a->kind == ARG_COUNT && *(uint64_t *)a->out != 0)
        printf(" [%" PRIu64 "]", *(uint64_t *)a->out);
    if (a->kind == ARG_REAL && *(double *)a->out > 0)
        printf(" [%g]", *(double *)a->out);
    if (text != NULL && text[0] != '\0')
        printf(" [%s]", text);
}

_Noreturn static void print_help(const struct arg_table *t)
{
    static const char *const words[] = {"", " N", " X", " TEXT"};
    printf("%s: %s\n\n", t->tool, t->summary);
    for (size_t i = 0; i < t->count; i++) {
        const struct arg *a = &t->args[i];
        int width = printf("  --%s%s", a->name, words[a->kind]);
        printf("%*s%s", MAX(1, HELP_INDENT - width), "", a->help);
        print_default(a);
        printf("\n");
    }
    printf("  --help%*sThis text.\n", HELP_INDENT - 8, "");
    exit(0);
}

static const struct arg *find(const struct arg_table *t, struct slice name)
{
    for (size_t i = 0; i < t->count; i++)
        if (slice_eq(slice_of(t->args[i].name), name))
            return &t->args[i];
    return NULL;
}

static int store_real(double *out, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value > 1e12)
        return -1;
    *out = value;
    return 0;
}

static void store(const struct arg_table *t, const struct arg *a, const char *text)
{
    switch (a->kind) {
    case ARG_FLAG:
        *(bool *)a->out = true;
        return;
    case ARG_TEXT:
        *(const char **)a->out = text;
        return;
    case ARG_COUNT:
        if (slice_to_u64(slice_of(text), a->out) != 0)
            args_refuse(t, "--%s wants a whole number, not \"%s\"", a->name, text);
        return;
    case ARG_REAL:
        if (store_real(a->out, text) != 0)
            args_refuse(t, "--%s wants a number, not \"%s\"", a->name, text);
        return;
    }
}

void args_parse(const struct arg_table *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct slice word = slice_of(argv[i]);
        if (!slice_starts(word, SLICE("--")))
            args_refuse(t, "\"%s\" is not an option", argv[i]);
        struct slice name = slice_from(word, 2);
        if (slice_eq(name, SLICE("help")))
            print_help(t);
        bool joined = memchr(name.p, '=', name.n) != NULL;
        struct slice value = name;
        name = slice_cut(&value, '=');
        const struct arg *a = find(t, name);
        if (a == NULL)
            args_refuse(t, "there is no option --%.*s", SLICE_ARG(name));
        if (a->kind == ARG_FLAG && joined)
            args_refuse(t, "--%s takes no value", a->name);
        if (a->kind != ARG_FLAG && !joined && ++i == argc)
            args_refuse(t, "--%s needs a value", a->name);
        store(t, a, joined ? value.p : argv[i]);
    }
}

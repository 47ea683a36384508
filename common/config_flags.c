/* The command line: --name value, --name=value, and bools as --name alone. A flag that is not known is refused with
 * the nearest one that is. */
#include "common/config_internal.h"

#include <ctype.h>
#include <stdlib.h>

/* The arguments still to be read. */
struct flags {
    struct config *cfg;
    char *const *next;
    char *const *end;
};

/* What beside options there is. The value of --print-config says what to print. */
static const struct command {
    const char *flag, *value;
    enum config_request request;
} commands[] = {
    {"help", NULL, CONFIG_HELP},
    {"version", NULL, CONFIG_VERSION},
    {"check", NULL, CONFIG_CHECK},
    {"print-config", "markdown", CONFIG_MARKDOWN},
    {"print-config", "env", CONFIG_ENV},
    {"print-config", "metrics", CONFIG_METRICS},
    {"env-file", NULL, CONFIG_NOTHING_ASKED},
};

static char flag_char(char c)
{
    return c == '_' ? '-' : (char)tolower((unsigned char)c);
}

void config_flag_append(struct buf *b, struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        buf_byte(b, flag_char(name.p[i]));
}

static bool is_flag_of(struct slice flag, struct slice name)
{
    for (size_t i = 0; i < name.n && i < flag.n; i++)
        if (flag.p[i] != flag_char(name.p[i]))
            return false;
    return flag.n == name.n;
}

static const struct config_option *find_option(const struct config_table *t, struct slice flag, struct slice *name)
{
    for (size_t i = 0; i < t->option_count; i++)
        for (size_t n = 0; (*name = config_name(&t->options[i], n)).n > 0; n++)
            if (is_flag_of(flag, *name))
                return &t->options[i];
    return NULL;
}

/* Levenshtein's distance between a flag and the flag of a name, row by row. */
static size_t distance(struct slice flag, struct slice name)
{
    size_t row[65];
    if (flag.n >= ARRAY_LEN(row))
        return SIZE_MAX;
    for (size_t i = 0; i <= flag.n; i++)
        row[i] = i;
    for (size_t j = 0; j < name.n; j++) {
        size_t diagonal = row[0];
        row[0] = j + 1;
        for (size_t i = 0; i < flag.n; i++) {
            size_t replaced = diagonal + (flag.p[i] != flag_char(name.p[j]));
            diagonal = row[i + 1];
            row[i + 1] = MIN(replaced, MIN(diagonal, row[i]) + 1);
        }
    }
    return row[flag.n];
}

static void consider(struct slice flag, struct slice name, struct slice *best, size_t *least)
{
    size_t d = distance(flag, name);
    if (d < *least) {
        *least = d;
        *best = name;
    }
}

/* The nearest known name, if a third of it or less is different; else empty. */
static struct slice nearest(const struct config_table *t, struct slice flag)
{
    struct slice best = {0}, name;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < t->option_count; i++)
        for (size_t n = 0; (name = config_name(&t->options[i], n)).n > 0; n++)
            consider(flag, name, &best, &least);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        consider(flag, slice_of(commands[i].flag), &best, &least);
    for (size_t i = 0; i < t->action_count; i++)
        consider(flag, slice_of(t->actions[i].flag), &best, &least);
    return least <= MAX(2, best.n / 3) ? best : (struct slice){0};
}

/* What follows it is most likely its value: that is not worth an error of its own. */
static void refuse_unknown(struct flags *f, struct slice flag, struct slice value)
{
    struct buf text = {0};
    struct slice known = nearest(f->cfg->table, flag);
    buf_printf(&text, "--%.*s: no such flag", SLICE_ARG(flag));
    if (known.n > 0) {
        buf_lit(&text, "; did you mean --");
        config_flag_append(&text, known);
        buf_byte(&text, '?');
    } else
        buf_lit(&text, "; --help lists them");
    config_problem(f->cfg, CONFIG_ERROR, "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_release(&text);
    if (value.p == NULL && f->next < f->end && (*f->next)[0] != '-')
        f->next++;
}

/* The value behind = or in the next argument; false, and a problem, when there is none. */
static bool take_value(struct flags *f, struct slice flag, struct slice *value)
{
    if (value->p != NULL)
        return true;
    if (f->next == f->end) {
        config_problem(f->cfg, CONFIG_ERROR, "--%.*s: a value must follow", SLICE_ARG(flag));
        return false;
    }
    *value = slice_of(*f->next++);
    return true;
}

static void read_option(struct flags *f, const struct config_option *o, struct slice name, struct slice flag,
                        struct slice value)
{
    if (o->kind == CONFIG_BOOL && value.p == NULL)
        value = SLICE("1");
    if (!take_value(f, flag, &value))
        return;
    if (o->kind == CONFIG_SECRET)
        config_problem(f->cfg, CONFIG_WARN, "--%.*s: a secret on the command line can be read by every process here",
                       SLICE_ARG(flag));
    config_set(f->cfg, o, CONFIG_FROM_FLAGS, name, value);
}

static void read_print_config(struct flags *f, struct slice value)
{
    if (!take_value(f, SLICE("print-config"), &value))
        return;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (commands[i].value != NULL && slice_eq(value, slice_of(commands[i].value))) {
            f->cfg->request = commands[i].request;
            return;
        }
    config_problem(f->cfg, CONFIG_ERROR, "--print-config %.*s: markdown, env or metrics", SLICE_ARG(value));
}

static const struct command *find_command(struct slice flag)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (slice_eq(flag, slice_of(commands[i].flag)))
            return &commands[i];
    return NULL;
}

static void read_command(struct flags *f, const struct command *command, struct slice value)
{
    if (command->value != NULL)
        read_print_config(f, value);
    else if (command->request != CONFIG_NOTHING_ASKED && value.p != NULL)
        config_problem(f->cfg, CONFIG_ERROR, "--%s takes no value", command->flag);
    else if (command->request != CONFIG_NOTHING_ASKED)
        f->cfg->request = command->request;
    else if (take_value(f, SLICE("env-file"), &value))
        config_read_file(f->cfg, value.p);
}

/* True when the flag is one of the program's own actions. */
static bool read_action(struct flags *f, struct slice flag, struct slice value)
{
    const struct config_table *t = f->cfg->table;
    for (size_t i = 0; i < t->action_count; i++)
        if (slice_eq(flag, slice_of(t->actions[i].flag))) {
            if (take_value(f, flag, &value))
                f->cfg->asked[i] = value.p; /* NUL-terminated: it ends where its argument ends */
            return true;
        }
    return false;
}

static void read_flag(struct flags *f, struct slice argument)
{
    if (slice_eq(argument, SLICE("-h")))
        argument = SLICE("--help");
    if (!slice_starts(argument, SLICE("--")) || argument.n == 2) {
        config_problem(f->cfg, CONFIG_ERROR, "%.*s: not a flag; --help lists them", SLICE_ARG(argument));
        return;
    }
    struct slice value = slice_from(argument, 2), flag = slice_cut(&value, '='), name;
    const struct command *command = find_command(flag);
    const struct config_option *o = find_option(f->cfg->table, flag, &name);
    if (command != NULL)
        read_command(f, command, value);
    else if (o != NULL)
        read_option(f, o, name, flag, value);
    else if (!read_action(f, flag, value))
        refuse_unknown(f, flag, value);
}

void config_read_flags(struct config *cfg, int argc, char *const *argv)
{
    struct flags f = {.cfg = cfg, .next = argv + MIN(argc, 1), .end = argv + argc};
    while (f.next < f.end)
        read_flag(&f, slice_of(*f.next++));
}

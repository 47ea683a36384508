/* The option tables in words: --help for a terminal, the README's tables, a `.env` to start from, and what --check
 * found in effect. */
#include "common/config_internal.h"

#include <stdlib.h>

static const char how_written[] =
    "Times are written 500ms, 30s, 2m, 1h or 7d. A bare number takes the unit in which the default is written; where\n"
    "that has none, it is seconds below 1,000 and milliseconds from there on. Bytes are written 65536, 64k or 16MiB\n"
    "(powers of 1,024). For 1 and 0, true, false, yes, no, on and off stand as well.\n";

static void append_quoted_names(struct buf *b, const struct config_option *o, const char *quote)
{
    for (size_t n = 0; config_name(o, n).n > 0; n++)
        buf_printf(b, "%s%s%.*s%s", n > 0 ? ", " : "", quote, SLICE_ARG(config_name(o, n)), quote);
}

static void append_flags(struct buf *b, const struct config_option *o)
{
    for (size_t n = 0; config_name(o, n).n > 0; n++) {
        buf_lit(b, ", --");
        config_flag_append(b, config_name(o, n));
    }
}

static const char *or_unset(const char *value)
{
    return value[0] != '\0' ? value : "(not set)";
}

/* "; todo 8005; survey 3002" */
static void append_presets(struct buf *b, const struct config_table *t, const struct config_option *o)
{
    for (size_t i = 0; i < t->preset_count; i++)
        if (strcmp(t->presets[i].env, o->env) == 0)
            buf_printf(b, "; %s %s", t->presets[i].profile, or_unset(t->presets[i].value));
}

static void append_option_help(struct buf *b, const struct config_table *t, const struct config_option *o)
{
    if (o->kind == CONFIG_GROUP) {
        buf_printf(b, "\n%s\n", o->env);
        return;
    }
    buf_lit(b, "  ");
    append_quoted_names(b, o, "");
    append_flags(b, o);
    buf_printf(b, "\n      %s\n      Default %s", o->help, or_unset(o->value));
    append_presets(b, t, o);
    buf_lit(b, ". Allowed: ");
    config_allowed_append(b, o);
    buf_lit(b, ".\n");
}

static void append_action_help(struct buf *b, const struct config_action *a)
{
    char *flag = xasprintf("--%s %s", a->flag, a->value);
    buf_printf(b, "  %-30s %s\n", flag, a->help);
    free(flag);
}

void config_help(const struct config_table *t, struct buf *out)
{
    buf_printf(out, "Usage: %s [--name value | --name=value]...\n\n%s\n", t->program, t->summary);
    buf_lit(out,
            "\nEvery option has the names of its environment variables and the same as flags. Later wins: default,\n"
            "profile, --env-file, environment, flags. An empty variable counts as unset.\n\n"
            "  --help                         this text\n"
            "  --version                      the version\n"
            "  --check                        validates all, prints what is in effect and from where, ends\n"
            "  --print-config markdown        prints the tables of the README, ends\n"
            "  --print-config env             prints a .env for the PROFILE, ends\n"
            "  --print-config metrics         prints the table of metrics, ends\n"
            "  --env-file FILE                reads NAME=value lines\n");
    for (size_t i = 0; i < t->action_count; i++)
        append_action_help(out, &t->actions[i]);
    for (size_t i = 0; i < t->option_count; i++)
        append_option_help(out, t, &t->options[i]);
    if (t->prefix != NULL)
        buf_printf(out, "\n  %s<NAME>\n      %s\n", t->prefix, t->prefix_help);
}

/* In a cell of a table a bar would end it. */
static void append_cell(struct buf *b, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '|')
            buf_byte(b, '\\');
        buf_byte(b, *p);
    }
}

static void append_value_cell(struct buf *b, const char *value)
{
    buf_printf(b, value[0] != '\0' ? " `%s` |" : " – |", value);
}

static void append_row(struct buf *b, const struct config_option *o)
{
    if (o->kind == CONFIG_GROUP) {
        buf_printf(b, "\n**%s**\n\n| variable | default | allowed | what it does |\n|---|---|---|---|\n", o->env);
        return;
    }
    buf_lit(b, "| ");
    append_quoted_names(b, o, "`");
    buf_lit(b, " |");
    append_value_cell(b, o->value);
    buf_byte(b, ' ');
    config_allowed_append(b, o);
    buf_lit(b, " | ");
    append_cell(b, o->help);
    buf_lit(b, " |\n");
}

static bool has_preset(const struct config_table *t, const struct config_option *o)
{
    for (size_t i = 0; i < t->preset_count; i++)
        if (o->kind != CONFIG_GROUP && strcmp(t->presets[i].env, o->env) == 0)
            return true;
    return false;
}

static void append_profile_row(struct buf *b, const struct config_table *t, const struct config_option *o,
                               const char *profiles)
{
    struct slice rest = slice_of(profiles), profile;
    buf_printf(b, "| `%s` |", o->env);
    while (config_next_word(&rest, &profile))
        append_value_cell(b, config_default(t, o, profile));
    buf_byte(b, '\n');
}

/* One column a profile, one row for each option in which profiles differ. */
static void append_profiles(struct buf *b, const struct config_table *t)
{
    const struct config_option *profile = config_find(t, SLICE("PROFILE"));
    if (profile == NULL || t->preset_count == 0)
        return;
    struct slice rest = slice_of(profile->limits), word;
    size_t columns = 0;
    buf_lit(b, "\n**Defaults that a profile changes**\n\n| |");
    for (; config_next_word(&rest, &word); columns++)
        buf_printf(b, " %.*s |", SLICE_ARG(word));
    buf_lit(b, "\n|---|");
    for (; columns > 0; columns--)
        buf_lit(b, "---|");
    buf_byte(b, '\n');
    for (size_t i = 0; i < t->option_count; i++)
        if (has_preset(t, &t->options[i]))
            append_profile_row(b, t, &t->options[i], profile->limits);
}

void config_markdown(const struct config_table *t, struct buf *out)
{
    buf_append(out, slice_of(how_written));
    for (size_t i = 0; i < t->option_count; i++)
        append_row(out, &t->options[i]);
    if (t->prefix != NULL)
        buf_printf(out, "\n`%s<NAME>`: %s\n", t->prefix, t->prefix_help);
    append_profiles(out, t);
}

static void append_example(struct buf *b, const struct config_table *t, const struct config_option *o,
                           struct slice profile)
{
    if (o->kind == CONFIG_GROUP) {
        buf_printf(b, "\n# --- %s\n", o->env);
        return;
    }
    const char *value = config_default(t, o, profile);
    buf_printf(b, "\n# %s\n# Allowed: ", o->help);
    config_allowed_append(b, o);
    buf_lit(b, ".\n");
    if (strcmp(o->env, "PROFILE") == 0)
        buf_printf(b, "PROFILE=%.*s\n", SLICE_ARG(profile));
    else
        buf_printf(b, "#%s=%s\n", o->env, value);
}

void config_env_example(const struct config *cfg, struct buf *out)
{
    struct slice profile = config_profile(cfg);
    buf_printf(out, "# Options of %s with their defaults under the profile %.*s.\n", cfg->table->program,
               SLICE_ARG(profile));
    for (size_t i = 0; i < cfg->table->option_count; i++)
        append_example(out, cfg->table, &cfg->table->options[i], profile);
    if (cfg->table->prefix != NULL)
        buf_printf(out, "\n# %s\n#%sNAME=\n", cfg->table->prefix_help, cfg->table->prefix);
}

static void append_effective(struct buf *b, const struct config *cfg, const struct config_option *o)
{
    static const char *const names[CONFIG_SOURCES] = {"default", "profile", "file", "environment", "flag"};
    enum config_source source;
    const struct config_setting *s = config_effective(cfg, o, &source);
    struct buf value = {0};
    config_value_append(&value, o, cfg->values);
    if (value.n == 0)
        buf_lit(&value, "(not set)");
    buf_printf(b, "%-32s %-32.*s %s", o->env, SLICE_ARG(buf_slice(&value)), names[source]);
    if (s->text != NULL && !slice_eq(s->name, slice_of(o->env)))
        buf_printf(b, " (as %.*s)", SLICE_ARG(s->name));
    buf_byte(b, '\n');
    buf_release(&value);
}

static void append_variables(struct buf *b, const struct config *cfg)
{
    struct config_variable v;
    for (size_t at = 0; config_next_variable(cfg, cfg->table->prefix, &at, &v);)
        buf_printf(b, "%-32.*s %-32s handed on\n", SLICE_ARG(v.name), "(set)");
}

void config_print_effective(const struct config *cfg, struct buf *out)
{
    for (size_t i = 0; i < cfg->table->option_count; i++)
        if (cfg->table->options[i].kind != CONFIG_GROUP)
            append_effective(out, cfg, &cfg->table->options[i]);
    if (cfg->table->prefix != NULL)
        append_variables(out, cfg);
}

/* The engine of the option tables: collects what every source says of every option, lets the last one win, stores the
 * values, and gathers all that is wrong before it says so. */
#include "common/config_internal.h"

#include <stdarg.h>
#include <stdlib.h>

static const char *const source_phrases[CONFIG_SOURCES] = {
    [CONFIG_FROM_DEFAULT] = "by default",        [CONFIG_FROM_PROFILE] = "in the profile",
    [CONFIG_FROM_FILE] = "in the file",          [CONFIG_FROM_ENVIRONMENT] = "in the environment",
    [CONFIG_FROM_FLAGS] = "on the command line",
};

struct slice config_name(const struct config_option *o, size_t i)
{
    if (o->kind == CONFIG_GROUP)
        return (struct slice){0};
    if (i == 0)
        return slice_of(o->env);
    struct slice rest = slice_of(o->aliases), name = {0};
    for (; i > 0; i--)
        name = slice_cut(&rest, ' ');
    return name;
}

const struct config_option *config_find(const struct config_table *t, struct slice name)
{
    for (size_t i = 0; i < t->option_count; i++)
        for (size_t n = 0; config_name(&t->options[i], n).n > 0; n++)
            if (slice_eq(config_name(&t->options[i], n), name))
                return &t->options[i];
    return NULL;
}

const char *config_default(const struct config_table *t, const struct config_option *o, struct slice profile)
{
    for (size_t i = 0; i < t->preset_count; i++)
        if (slice_eq_nocase(profile, slice_of(t->presets[i].profile)) && strcmp(t->presets[i].env, o->env) == 0)
            return t->presets[i].value;
    return o->value;
}

/* A row that its own limits refuse, or a preset of nothing. */
static void verify(const struct config_table *t, void *values)
{
    for (size_t i = 0; i < t->option_count; i++) {
        const struct config_option *o = &t->options[i];
        if (config_store(o, slice_of(o->value), o->value, values) != 0)
            BUG("%s: default \"%s\"", o->env, o->value);
        for (size_t n = 0; config_name(o, n).n > 0; n++)
            if (config_find(t, config_name(o, n)) != o)
                BUG("%s: a name that another row has", o->env);
    }
    const struct config_option *profile = config_find(t, SLICE("PROFILE"));
    for (size_t i = 0; i < t->preset_count; i++) {
        const struct config_preset *p = &t->presets[i];
        const struct config_option *o = config_find(t, slice_of(p->env));
        if (o == NULL || config_store(o, slice_of(p->value), p->value, values) != 0)
            BUG("preset %s \"%s\"", p->env, p->value);
        if (profile == NULL || config_store(profile, slice_of(p->profile), "", values) != 0)
            BUG("preset of profile %s", p->profile);
    }
    memset(values, 0, t->size);
}

struct config *config_new(const struct config_table *t, void *values)
{
    static char *const nothing[] = {NULL};
    verify(t, values);
    struct config *cfg = xcalloc(1, sizeof(*cfg));
    *cfg = (struct config){.table = t, .values = values, .environment = nothing};
    cfg->settings = xcalloc(t->option_count, sizeof(*cfg->settings));
    cfg->asked = xcalloc(t->action_count + 1, sizeof(*cfg->asked));
    return cfg;
}

void config_free(struct config *cfg)
{
    for (size_t i = 0; i < cfg->table->option_count; i++)
        for (size_t s = 0; s < CONFIG_SOURCES; s++)
            free(cfg->settings[i][s].text);
    for (size_t i = 0; i < cfg->file_line_count; i++)
        free(cfg->file_lines[i]);
    for (size_t i = 0; i < cfg->note_count; i++)
        free(cfg->notes[i].text);
    free(cfg->settings);
    free(cfg->asked);
    free(cfg->file_lines);
    free(cfg->notes);
    free(cfg);
}

void config_problem(struct config *cfg, enum config_severity severity, const char *fmt, ...)
{
    struct config_note note = {.severity = severity};
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&note.text, fmt, ap) < 0)
        BUG("format %s", fmt);
    va_end(ap);
    if (severity == CONFIG_UNSAFE && cfg->production) {
        char *longer = xasprintf("%s (refused because ENVIRONMENT is production)", note.text);
        free(note.text);
        note = (struct config_note){CONFIG_ERROR, longer};
    }
    cfg->notes = xrealloc(cfg->notes, (cfg->note_count + 1) * sizeof(*cfg->notes));
    cfg->notes[cfg->note_count++] = note;
}

static bool is_refused(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->note_count; i++)
        if (cfg->notes[i].severity == CONFIG_ERROR)
            return true;
    return false;
}

static size_t index_of(const struct config *cfg, const struct config_option *o)
{
    return (size_t)(o - cfg->table->options);
}

void config_set(struct config *cfg, const struct config_option *o, enum config_source source, struct slice name,
                struct slice text)
{
    struct config_setting *s = &cfg->settings[index_of(cfg, o)][source];
    if (o->kind == CONFIG_SECRET && text.n == 0 && source > CONFIG_FROM_PROFILE)
        config_problem(cfg, CONFIG_ERROR, "%.*s is set to nothing %s: a secret must not be empty", SLICE_ARG(name),
                       source_phrases[source]);
    if (s->text != NULL && !slice_eq(s->name, name) && !slice_eq(slice_of(s->text), text))
        config_problem(cfg, CONFIG_ERROR, "%.*s and %.*s are the same option and differ %s: keep one",
                       SLICE_ARG(s->name), SLICE_ARG(name), source_phrases[source]);
    free(s->text);
    *s = (struct config_setting){.name = name, .text = slice_dup(text)};
}

const struct config_setting *config_effective(const struct config *cfg, const struct config_option *o,
                                              enum config_source *source)
{
    const struct config_setting *all = cfg->settings[index_of(cfg, o)];
    *source = CONFIG_SOURCES - 1;
    while (*source > CONFIG_FROM_DEFAULT && all[*source].text == NULL)
        (*source)--;
    return &all[*source];
}

const char *config_lookup(const struct config *cfg, const char *name)
{
    const struct config_option *o = config_find(cfg->table, slice_of(name));
    enum config_source source;
    if (o != NULL)
        return config_effective(cfg, o, &source)->text;
    const char *value = config_line_value(cfg->environment, slice_of(name));
    if ((value == NULL || value[0] == '\0') && cfg->file_lines != NULL)
        value = config_line_value(cfg->file_lines, slice_of(name));
    return value != NULL && value[0] != '\0' ? value : NULL;
}

struct slice config_profile(const struct config *cfg)
{
    return slice_of(config_lookup(cfg, "PROFILE"));
}

static void read_defaults(struct config *cfg)
{
    const struct config_table *t = cfg->table;
    struct slice profile = config_profile(cfg);
    for (size_t i = 0; i < t->option_count; i++) {
        const struct config_option *o = &t->options[i];
        const char *value = config_default(t, o, profile);
        enum config_source source = value == o->value ? CONFIG_FROM_DEFAULT : CONFIG_FROM_PROFILE;
        if (value != NULL && value[0] != '\0')
            config_set(cfg, o, source, slice_of(o->env), slice_of(value));
    }
}

static void refuse_value(struct config *cfg, const struct config_option *o, const struct config_setting *s,
                         enum config_source source)
{
    struct buf text = {0};
    buf_printf(&text, "%.*s=", SLICE_ARG(s->name));
    config_shown_append(&text, o, slice_of(s->text));
    buf_printf(&text, " (%s) is not allowed: ", source_phrases[source]);
    config_allowed_append(&text, o);
    config_form_append(&text, o->kind);
    config_problem(cfg, CONFIG_ERROR, "%.*s", SLICE_ARG(buf_slice(&text)));
    buf_release(&text);
}

/* A value that is refused leaves its default behind, so that the rest can still be judged. */
static void store(struct config *cfg, const struct config_option *o, struct slice profile)
{
    enum config_source source;
    const struct config_setting *s = config_effective(cfg, o, &source);
    const char *written = config_default(cfg->table, o, profile);
    if (s->text == NULL || config_store(o, slice_of(s->text), written, cfg->values) == 0)
        return;
    refuse_value(cfg, o, s, source);
    config_store(o, slice_of(written), written, cfg->values);
}

static void resolve(struct config *cfg)
{
    read_defaults(cfg);
    const char *environment = config_lookup(cfg, "ENVIRONMENT");
    cfg->production = environment != NULL && slice_eq_nocase(slice_of(environment), SLICE("production"));
    for (size_t i = 0; i < cfg->table->option_count; i++)
        store(cfg, &cfg->table->options[i], config_profile(cfg));
}

static void print(FILE *to, struct buf *b)
{
    if (b->n > 0)
        fwrite(b->p, 1, b->n, to);
    fflush(to);
    buf_release(b);
}

static void print_notes(const struct config *cfg, FILE *err)
{
    struct buf b = {0};
    for (size_t i = 0; i < cfg->note_count; i++)
        buf_printf(&b, "%s: %s: %s\n", cfg->table->program,
                   cfg->notes[i].severity == CONFIG_ERROR ? "error" : "warning", cfg->notes[i].text);
    print(err, &b);
}

/* Prints what was asked for instead of a run, as far as nothing stands in its way. True when that was all. */
static bool print_document(const struct config *cfg, FILE *out)
{
    struct buf b = {0};
    if (cfg->request == CONFIG_HELP)
        config_help(cfg->table, &b);
    else if (cfg->request == CONFIG_VERSION)
        buf_printf(&b, "%s %s\n", cfg->table->program, TIDEGATE_VERSION);
    else if (cfg->request == CONFIG_MARKDOWN && !is_refused(cfg))
        config_markdown(cfg->table, &b);
    else if (cfg->request == CONFIG_ENV && !is_refused(cfg))
        config_env_example(cfg, &b);
    else if (cfg->request == CONFIG_METRICS && !is_refused(cfg))
        cfg->table->print_metrics(&b);
    else
        return false;
    print(out, &b);
    return true;
}

static void check(struct config *cfg, FILE *out)
{
    struct buf b = {0};
    config_print_effective(cfg, &b);
    print(out, &b);
    if (cfg->table->check != NULL)
        cfg->table->check(cfg, cfg->values, out);
}

const char *config_asked(const struct config *cfg, const char *flag)
{
    for (size_t i = 0; i < cfg->table->action_count; i++)
        if (strcmp(cfg->table->actions[i].flag, flag) == 0)
            return cfg->asked[i];
    BUG("no action %s", flag);
}

/* True when something else than a run is asked for; what only says more of an action must have it. */
static bool judge_actions(struct config *cfg)
{
    bool any = false;
    for (size_t i = 0; i < cfg->table->action_count; i++) {
        const struct config_action *a = &cfg->table->actions[i];
        any = any || cfg->asked[i] != NULL;
        if (cfg->asked[i] != NULL && a->of != NULL && config_asked(cfg, a->of) == NULL)
            config_problem(cfg, CONFIG_ERROR, "--%s goes with --%s", a->flag, a->of);
    }
    return any;
}

int config_start(struct config *cfg, int argc, char *const *argv, char *const *env, FILE *out, FILE *err)
{
    cfg->environment = env;
    while (env[cfg->environment_count] != NULL)
        cfg->environment_count++;
    config_read_flags(cfg, argc, argv);
    if (cfg->file_lines != NULL)
        config_read_lines(cfg, cfg->file_lines, CONFIG_FROM_FILE);
    config_read_lines(cfg, env, CONFIG_FROM_ENVIRONMENT);
    resolve(cfg);
    if (print_document(cfg, out))
        return 0;
    if (!judge_actions(cfg) && cfg->table->validate != NULL)
        cfg->table->validate(cfg, cfg->values);
    if (!is_refused(cfg) && cfg->request == CONFIG_CHECK)
        check(cfg, out);
    bool refused = is_refused(cfg);
    if (refused || cfg->request == CONFIG_CHECK)
        print_notes(cfg, err);
    if (refused)
        return 2;
    return cfg->request == CONFIG_CHECK ? 0 : CONFIG_RUN;
}

void config_log_warnings(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->note_count; i++)
        log_warn("configuration", LOG_S("warning", cfg->notes[i].text));
}

void config_defaults(const struct config_table *t, const char *profile, void *values)
{
    memset(values, 0, t->size);
    for (size_t i = 0; i < t->option_count; i++) {
        const char *value = config_default(t, &t->options[i], slice_of(profile));
        config_store(&t->options[i], slice_of(value), value, values);
    }
}

bool config_list_next(struct slice *rest, struct slice *item)
{
    while (rest->n > 0) {
        *item = slice_trim(slice_cut(rest, ','));
        if (item->n > 0)
            return true;
    }
    return false;
}

/* NAME=value, twice: as the environment has it, and as a file of such lines, which is brought into the same form. The
 * file is read as `docker --env-file` and shells agree on it: no variables are expanded. */
#include "common/config_internal.h"

#include <errno.h>
#include <stdlib.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

const char *config_line_value(char *const *lines, struct slice name)
{
    for (size_t i = 0; lines[i] != NULL; i++)
        if (strncmp(lines[i], name.p, name.n) == 0 && lines[i][name.n] == '=')
            return lines[i] + name.n + 1;
    return NULL;
}

/* An empty variable counts as unset, except that a secret set to nothing is most likely one that was lost. */
static void read_name(struct config *cfg, const struct config_option *o, struct slice name, char *const *lines,
                      enum config_source source)
{
    const char *value = config_line_value(lines, name);
    if (value == NULL || (value[0] == '\0' && o->kind != CONFIG_SECRET))
        return;
    config_set(cfg, o, source, name, slice_of(value));
}

void config_read_lines(struct config *cfg, char *const *lines, enum config_source source)
{
    for (size_t i = 0; i < cfg->table->option_count; i++) {
        const struct config_option *o = &cfg->table->options[i];
        for (size_t n = 0; config_name(o, n).n > 0; n++)
            read_name(cfg, o, config_name(o, n), lines, source);
    }
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

/* What may stand behind a closing quote: nothing, or a comment. */
static int check_tail(struct slice tail)
{
    tail = slice_trim(tail);
    return tail.n == 0 || tail.p[0] == '#' ? 0 : -1;
}

static int append_single_quoted(struct buf *line, struct slice s)
{
    struct slice rest = s, text = slice_cut(&rest, '\'');
    if (rest.p == NULL)
        return -1;
    buf_append(line, text);
    return check_tail(rest);
}

static int append_double_quoted(struct buf *line, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            return check_tail(slice_from(s, i + 1));
        if (s.p[i] == '\\' && i + 1 < s.n)
            buf_byte(line, s.p[++i] == 'n' ? '\n' : s.p[i]);
        else
            buf_byte(line, s.p[i]);
    }
    return -1;
}

/* Ends at a # that follows white space. */
static int append_unquoted(struct buf *line, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '#' && (i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
            s.n = i;
    buf_append(line, slice_trim(s));
    return 0;
}

/* One line into "NAME=value": 1, 0 for a line that says nothing, -1 for one that cannot be read. */
static int parse_line(struct slice s, struct buf *line)
{
    s = slice_trim(s);
    if (s.n == 0 || s.p[0] == '#')
        return 0;
    if (slice_starts(s, SLICE("export ")))
        s = slice_trim(slice_from(s, strlen("export ")));
    struct slice value = s, name = slice_trim(slice_cut(&value, '='));
    if (value.p == NULL || !is_name(name))
        return -1;
    buf_append(line, name);
    buf_byte(line, '=');
    value = slice_trim(value);
    int (*append)(struct buf *, struct slice) = append_unquoted;
    if (value.n > 0 && value.p[0] == '"')
        append = append_double_quoted;
    else if (value.n > 0 && value.p[0] == '\'')
        append = append_single_quoted;
    return append(line, append == append_unquoted ? value : slice_from(value, 1)) == 0 ? 1 : -1;
}

/* A name that is there already is replaced: the last line wins. */
static void keep_line(struct config *cfg, struct slice line)
{
    struct slice rest = line, name = slice_cut(&rest, '=');
    char *copy = slice_dup(line);
    for (size_t i = 0; i < cfg->file_line_count; i++)
        if (strncmp(cfg->file_lines[i], line.p, name.n + 1) == 0) {
            free(cfg->file_lines[i]);
            cfg->file_lines[i] = copy;
            return;
        }
    cfg->file_lines = xrealloc(cfg->file_lines, (cfg->file_line_count + 2) * sizeof(*cfg->file_lines));
    cfg->file_lines[cfg->file_line_count++] = copy;
    cfg->file_lines[cfg->file_line_count] = NULL;
}

static int read_all(const char *path, struct buf *text)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    size_t n;
    while (text->n <= FILE_BYTES_MAX && (n = fread(buf_reserve(text, 4096), 1, 4096, file)) > 0)
        text->n += n;
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (text->n > FILE_BYTES_MAX)
        failed = EFBIG;
    errno = failed;
    return failed ? -1 : 0;
}

static void read_text(struct config *cfg, const char *path, struct slice text)
{
    struct buf line = {0};
    for (size_t number = 1; text.p != NULL; number++) {
        buf_clear(&line);
        int found = parse_line(slice_cut(&text, '\n'), &line);
        if (found < 0)
            config_problem(cfg, CONFIG_ERROR, "%s:%zu: not a NAME=value line", path, number);
        else if (found > 0 && memchr(line.p, '\0', line.n) != NULL)
            config_problem(cfg, CONFIG_ERROR, "%s:%zu: holds a NUL byte", path, number);
        else if (found > 0)
            keep_line(cfg, buf_slice(&line));
    }
    buf_release(&line);
}

void config_read_file(struct config *cfg, const char *path)
{
    struct buf text = {0};
    if (read_all(path, &text) != 0)
        config_problem(cfg, CONFIG_ERROR, "--env-file %s: %s", path, strerror(errno));
    else
        read_text(cfg, path, buf_slice(&text));
    buf_release(&text);
}

static const char *line_at(const struct config *cfg, size_t i)
{
    if (i < cfg->environment_count)
        return cfg->environment[i];
    i -= cfg->environment_count;
    return i < cfg->file_line_count ? cfg->file_lines[i] : NULL;
}

/* True when the environment has a value for what a line of a file says. */
static bool is_overridden(const struct config *cfg, size_t i, struct slice name)
{
    const char *value = i >= cfg->environment_count ? config_line_value(cfg->environment, name) : NULL;
    return value != NULL && value[0] != '\0';
}

bool config_next_variable(const struct config *cfg, const char *prefix, size_t *at, struct config_variable *out)
{
    const char *line;
    while ((line = line_at(cfg, *at)) != NULL) {
        size_t i = (*at)++;
        struct slice rest = slice_of(line), name = slice_cut(&rest, '=');
        if (rest.n == 0 || !slice_starts(name, slice_of(prefix)) || is_overridden(cfg, i, name))
            continue;
        *out = (struct config_variable){.name = name, .value = rest.p};
        return true;
    }
    return false;
}

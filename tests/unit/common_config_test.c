/* Every kind, every source and every refusal, on a table of the test's own. Output is caught in memory. */
#define CONFIG_NAME test_config
#define CONFIG_DEF  "tests/unit/common_config_test.def"
#include "common/config_struct.h"
#include "common/config_table.h"

#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void validate(struct config *cfg, const void *values)
{
    const struct test_config *v = values;
    if (v->on)
        config_problem(cfg, CONFIG_UNSAFE, "IS_ON is risky");
    if (v->count == 7)
        config_problem(cfg, CONFIG_ERROR, "COUNT is 7, of all numbers");
}

static void check(struct config *cfg, const void *values, FILE *out)
{
    const struct test_config *v = values;
    fprintf(out, "checked %s\n", v->list);
    if (v->count == 8)
        config_problem(cfg, CONFIG_ERROR, "COUNT is 8: found by check");
}

static void print_metrics(struct buf *out)
{
    buf_lit(out, "metrics\n");
}

static const struct config_action actions[] = {
    {"look", "PLACE", NULL, "looks somewhere"},
    {"look-hard", "REASON", "look", "looks harder"},
};

static const struct config_table table = {
    .program = "test",
    .summary = "Tests.",
    CONFIG_ROWS,
    .prefix = "PASS_",
    .prefix_help = "Handed on.",
    .validate = validate,
    .print_metrics = print_metrics,
    .check = check,
    .actions = actions,
    .action_count = ARRAY_LEN(actions),
};

/* One start of the program. */
struct run {
    struct test_config v;
    struct config *cfg;
    int code;
    char *out, *err;
};

/* Up to fifteen words and a NULL. */
#define WORDS(...) ((const char *const[16]){__VA_ARGS__})
#define NOTHING    WORDS(NULL)

static struct run *start(const char *const *flags, const char *const *env)
{
    struct run *r = xcalloc(1, sizeof(*r));
    const char *argv[17] = {"test"};
    int argc = 1;
    for (; flags[argc - 1] != NULL; argc++)
        argv[argc] = flags[argc - 1];
    size_t out_size, err_size;
    FILE *out = open_memstream(&r->out, &out_size), *err = open_memstream(&r->err, &err_size);
    r->cfg = config_new(&table, &r->v);
    r->code = config_start(r->cfg, argc, (char *const *)argv, (char *const *)env, out, err);
    fclose(out);
    fclose(err);
    return r;
}

static void stop(struct run *r)
{
    config_free(r->cfg);
    free(r->out);
    free(r->err);
    free(r);
}

/* Refused with exactly this, each line begun by "test: ". */
static void assert_refused(const char *const *flags, const char *const *env, const char *lines)
{
    struct run *r = start(flags, env);
    assert_string_equal(r->err, lines);
    assert_string_equal(r->out, "");
    assert_int_equal(r->code, 2);
    stop(r);
}

static void test_defaults(void **state)
{
    struct run *r = start(NOTHING, NOTHING);
    assert_int_equal(r->code, CONFIG_RUN);
    assert_string_equal(r->err, "");
    assert_int_equal(r->v.profile, TEST_PROFILE_NONE);
    assert_int_equal(r->v.level, LOG_INFO);
    assert_null(r->v.name);
    assert_null(r->v.secret);
    assert_string_equal(r->v.url, "redis://localhost");
    assert_false(r->v.on);
    assert_int_equal(r->v.count, 3);
    assert_int_equal(r->v.bytes, 65536);
    assert_int_equal(r->v.guessed, 30000);
    assert_int_equal(r->v.millis, 60000);
    assert_int_equal(r->v.long_time, 7ull * 24 * 3600 * 1000);
    stop(r);
}

static void test_every_kind_from_the_environment(void **state)
{
    struct run *r = start(NOTHING, WORDS("PROFILE=slow", "NODE_ENV=development", "LOG_LEVEL=warning", "NAME=x y",
                                         "THE_SECRET=\n", "IS_ON=Yes", "COUNT=5", "BYTES=16MiB", "GUESSED=1h",
                                         "MILLIS=250", "LONG_TIME=36h", "UNKNOWN=1"));
    assert_int_equal(r->code, CONFIG_RUN);
    assert_int_equal(r->v.profile, TEST_PROFILE_SLOW);
    assert_int_equal(r->v.level, LOG_WARN);
    assert_string_equal(r->v.name, "x y");
    assert_string_equal(r->v.secret, "\n");
    assert_true(r->v.on);
    assert_int_equal(r->v.count, 5);
    assert_int_equal(r->v.bytes, 16 << 20);
    assert_int_equal(r->v.guessed, 3600 * 1000);
    assert_int_equal(r->v.millis, 250);
    assert_int_equal(r->v.long_time, 36ull * 3600 * 1000);
    stop(r);
}

static void test_flags_in_all_forms(void **state)
{
    struct run *r = start(WORDS("--is-on", "--count=10", "--label", "--dashes", "--old-secret=s", "--bytes", "2k"),
                          WORDS("COUNT=5", "BYTES=3k"));
    assert_int_equal(r->code, CONFIG_RUN);
    assert_true(r->v.on);
    assert_int_equal(r->v.count, 10);
    assert_string_equal(r->v.name, "--dashes");
    assert_string_equal(r->v.secret, "s");
    assert_int_equal(r->v.bytes, 2048);
    stop(r);
    r = start(WORDS("--is-on=off", "--count", "5", "--count", "6", "--name="),
              WORDS("IS_ON=1", "NAME=x", "PROFILE=slow"));
    assert_int_equal(r->code, CONFIG_RUN);
    assert_false(r->v.on);
    assert_int_equal(r->v.count, 6);
    assert_null(r->v.name);
    stop(r);
}

static void test_bare_numbers_take_the_unit_of_the_default(void **state)
{
    static const struct {
        const char *profile, *text;
        uint64_t ms;
    } cases[] = {
        {"PROFILE=none", "GUESSED=999", 999000},   {"PROFILE=none", "GUESSED=1000", 1000},
        {"PROFILE=slow", "GUESSED=1000", 1000000}, {"PROFILE=millis", "GUESSED=200", 200},
        {"PROFILE=millis", "GUESSED=2s", 2000},    {"PROFILE=none", "GUESSED=0", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run *r = start(NOTHING, WORDS(cases[i].profile, cases[i].text));
        assert_int_equal(r->code, CONFIG_RUN);
        assert_int_equal(r->v.guessed, cases[i].ms);
        stop(r);
    }
}

static void test_profile_sets_defaults_only(void **state)
{
    struct run *r = start(WORDS("--profile", "slow"), WORDS("PROFILE=millis", "COUNT=5"));
    assert_int_equal(r->v.count, 5);
    assert_int_equal(r->v.guessed, 45000);
    assert_string_equal(r->v.name, "snail");
    stop(r);
}

static void test_malformed_and_out_of_range(void **state)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        {"PROFILE=slo", "PROFILE=slo (in the environment) is not allowed: one of none, slow, millis"},
        {"LOG_LEVEL=loud", "LOG_LEVEL=loud (in the environment) is not allowed: one of debug, info, warn, error"},
        {"IS_ON=2", "IS_ON=2 (in the environment) is not allowed: 1 or 0 (or true, false, yes, no, on, off)"},
        {"COUNT=4", "COUNT=4 (in the environment) is not allowed: number, 1 or 5 to 10 or 3"},
        {"COUNT=11", "COUNT=11 (in the environment) is not allowed: number, 1 or 5 to 10 or 3"},
        {"COUNT=05", "COUNT=05 (in the environment) is not allowed: number, 1 or 5 to 10 or 3"},
        {"COUNT=-5", "COUNT=-5 (in the environment) is not allowed: number, 1 or 5 to 10 or 3"},
        {"COUNT=5k", "COUNT=5k (in the environment) is not allowed: number, 1 or 5 to 10 or 3"},
        {"COUNT=18446744073709551616",
         "COUNT=18446744073709551616 (in the environment) is not allowed: number, 1 or 5 to 10 or 3"},
        {"BYTES=17MiB",
         "BYTES=17MiB (in the environment) is not allowed: bytes, 0 or 1k to 16MiB (written 65536, 64k or 16MiB)"},
        {"BYTES=1MB",
         "BYTES=1MB (in the environment) is not allowed: bytes, 0 or 1k to 16MiB (written 65536, 64k or 16MiB)"},
        {"BYTES=18014398509481985k", "BYTES=18014398509481985k (in the environment) is not allowed: bytes, 0 or 1k to "
                                     "16MiB (written 65536, 64k or 16MiB)"},
        {"GUESSED=99ms", "GUESSED=99ms (in the environment) is not allowed: time, 0 or 100ms to 1h (written 500ms, "
                         "30s, 2m, 1h or 7d)"},
        {"GUESSED=1 s", "GUESSED=1 s (in the environment) is not allowed: time, 0 or 100ms to 1h (written 500ms, 30s, "
                        "2m, 1h or 7d)"},
        {"GUESSED=s", "GUESSED=s (in the environment) is not allowed: time, 0 or 100ms to 1h (written 500ms, 30s, 2m, "
                      "1h or 7d)"},
        {"NAME=a\tb", "NAME=a\tb (in the environment) is not allowed: text (no control characters)"},
        {"THE_URL=redis://u:hidden@h/\x7f",
         "THE_URL=redis://***@h/\x7f (in the environment) is not allowed: URL (no control characters)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *lines = xasprintf("test: error: %s\n", cases[i].message);
        assert_refused(NOTHING, WORDS(cases[i].line), lines);
        free(lines);
    }
}

static void test_all_errors_at_once(void **state)
{
    assert_refused(WORDS("--count", "7", "--cuont=1", "--level"), WORDS("BYTES=x", "THE_SECRET="),
                   "test: error: --cuont: no such flag; did you mean --count?\n"
                   "test: error: --level: no such flag; did you mean --label?\n"
                   "test: error: THE_SECRET is set to nothing in the environment: a secret must not be empty\n"
                   "test: error: BYTES=x (in the environment) is not allowed: bytes, 0 or 1k to 16MiB (written 65536, "
                   "64k or 16MiB)\n"
                   "test: error: COUNT is 7, of all numbers\n");
}

static void test_flags_refused(void **state)
{
    assert_refused(WORDS("--zzzzzzzzz", "value"), NOTHING,
                   "test: error: --zzzzzzzzz: no such flag; --help lists them\n");
    assert_refused(WORDS("--hlep"), NOTHING, "test: error: --hlep: no such flag; did you mean --help?\n");
    assert_refused(WORDS("--Count=5"), NOTHING, "test: error: --Count: no such flag; did you mean --count?\n");
    assert_refused(WORDS("--count"), NOTHING, "test: error: --count: a value must follow\n");
    assert_refused(WORDS("5"), NOTHING, "test: error: 5: not a flag; --help lists them\n");
    assert_refused(WORDS("--"), NOTHING, "test: error: --: not a flag; --help lists them\n");
    assert_refused(WORDS("--check=1"), NOTHING, "test: error: --check takes no value\n");
    assert_refused(WORDS("--print-config=xml"), NOTHING, "test: error: --print-config xml: markdown, env or metrics\n");
    assert_refused(WORDS("--env-file"), NOTHING, "test: error: --env-file: a value must follow\n");
    assert_refused(WORDS("--env-file", "/nonexistent"), NOTHING,
                   "test: error: --env-file /nonexistent: No such file or directory\n");
    assert_refused(WORDS("--print-config"), NOTHING, "test: error: --print-config: a value must follow\n");
    assert_refused(WORDS("--a-name-that-is-longer-than-any-option-will-ever-have-in-this-hous=1"), NOTHING,
                   "test: error: --a-name-that-is-longer-than-any-option-will-ever-have-in-this-hous: no "
                   "such flag; --help lists them\n");
    assert_refused(WORDS("--count="), NOTHING,
                   "test: error: COUNT= (on the command line) is not allowed: number, 1 or 5 to 10 or 3\n");
    assert_refused(WORDS("--the-list="), NOTHING,
                   "test: error: THE_LIST= (on the command line) is not allowed: comma-separated list (no control "
                   "characters)\n");
    assert_refused(WORDS("--the-secret="), NOTHING,
                   "test: warning: --the-secret: a secret on the command line can be read by every process here\n"
                   "test: error: THE_SECRET is set to nothing on the command line: a secret must not be empty\n");
}

static void test_aliases_must_agree(void **state)
{
    assert_refused(NOTHING, WORDS("NAME=a", "LABEL=b"),
                   "test: error: NAME and LABEL are the same option and differ in the environment: keep one\n");
    assert_refused(NOTHING, WORDS("OLD_SECRET=hidden", "THE_SECRET=other"),
                   "test: error: THE_SECRET and OLD_SECRET are the same option and differ in the environment: keep "
                   "one\n");
    struct run *r = start(NOTHING, WORDS("NAME=a", "TITLE=", "LABEL=a"));
    assert_int_equal(r->code, CONFIG_RUN);
    stop(r);
    r = start(WORDS("--label=c"), WORDS("NAME=a"));
    assert_int_equal(r->code, CONFIG_RUN);
    assert_string_equal(r->v.name, "c");
    stop(r);
}

static void test_empty_variables_count_as_unset(void **state)
{
    struct run *r = start(NOTHING, WORDS("COUNT=", "NAME=", "THE_LIST=", "PROFILE=slow"));
    assert_int_equal(r->code, CONFIG_RUN);
    assert_int_equal(r->v.count, 10);
    assert_string_equal(r->v.name, "snail");
    assert_string_equal(r->v.list, "a, b,,c");
    stop(r);
}

static void test_production_refuses_what_is_unsafe(void **state)
{
    struct run *r = start(WORDS("--is-on"), NOTHING);
    assert_int_equal(r->code, CONFIG_RUN);
    assert_string_equal(r->err, "");
    stop(r);
    r = start(WORDS("--is-on", "--check"), NOTHING);
    assert_int_equal(r->code, 0);
    assert_string_equal(r->err, "test: warning: IS_ON is risky\n");
    stop(r);
    assert_refused(WORDS("--is-on"), WORDS("NODE_ENV=production"),
                   "test: error: IS_ON is risky (refused because ENVIRONMENT is production)\n");
}

static void test_warnings_are_logged(void **state)
{
    FILE *file = tmpfile();
    struct run *r = start(WORDS("--is-on"), NOTHING);
    int stderr_copy = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    config_log_warnings(r->cfg);
    dup2(stderr_copy, STDERR_FILENO);
    close(stderr_copy);
    char line[200] = "";
    rewind(file);
    assert_non_null(fgets(line, sizeof(line), file));
    assert_non_null(strstr(line, "\"level\":\"warn\",\"event\":\"configuration\",\"warning\":\"IS_ON is risky\"}"));
    assert_null(fgets(line, sizeof(line), file));
    fclose(file);
    stop(r);
}

/* A file with this text, for the time of one start. */
static struct run *start_with_bytes(struct slice text, const char *const *env)
{
    char path[] = "/tmp/common_config_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    close(fd);
    struct run *r = start(WORDS("--env-file", path), env);
    unlink(path);
    return r;
}

static struct run *start_with_file(const char *text, const char *const *env)
{
    return start_with_bytes(slice_of(text), env);
}

static void test_env_file(void **state)
{
    struct run *r = start_with_file("# comment\r\n"
                                    "\n"
                                    "COUNT=9\n"
                                    "COUNT=5 # the last line wins\r\n"
                                    "  export NAME = \"a \\\"b\\\" \\\\ # c\" # tail\n"
                                    "THE_SECRET='p#a\"ss$X\\n'\n"
                                    "THE_URL=redis://h/#0\n"
                                    "COUN=1\n"
                                    "aZzA_9=1\n"
                                    "BYTES=\n"
                                    "MILLIS=7\n"
                                    "PASS_X=1",
                                    WORDS("MILLIS=8"));
    assert_string_equal(r->err, "");
    assert_int_equal(r->code, CONFIG_RUN);
    assert_int_equal(r->v.count, 5);
    assert_string_equal(r->v.name, "a \"b\" \\ # c");
    assert_string_equal(r->v.secret, "p#a\"ss$X\\n");
    assert_string_equal(r->v.url, "redis://h/#0");
    assert_int_equal(r->v.bytes, 65536);
    assert_int_equal(r->v.millis, 8);
    assert_string_equal(config_lookup(r->cfg, "PASS_X"), "1");
    stop(r);
}

static void test_env_file_refused(void **state)
{
    static const char *const lines[] = {"COUNT",   "=5",       "5X=1",      "A B=1",
                                        "NAME='a", "NAME=\"a", "NAME='a'b", "NAME=\"\\\""};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        char *text = xasprintf("COUNT=5\n%s\n", lines[i]);
        struct run *r = start_with_file(text, NOTHING);
        assert_int_equal(r->code, 2);
        assert_non_null(strstr(r->err, ":2: not a NAME=value line\n"));
        stop(r);
        free(text);
    }
    struct run *r = start_with_file("NAME=a\nTITLE=b\n", NOTHING);
    assert_int_equal(r->code, 2);
    assert_string_equal(r->err, "test: error: NAME and TITLE are the same option and differ in the file: keep one\n");
    stop(r);
}

static void test_env_file_of_other_bytes(void **state)
{
    struct run *r = start_with_bytes(SLICE("COUNT=5\nNAME=a\0b\n"), NOTHING);
    assert_int_equal(r->code, 2);
    assert_non_null(strstr(r->err, ":2: holds a NUL byte\n"));
    stop(r);
    size_t n = (1 << 20) + 1;
    char *large = xmalloc(n);
    memset(large, '\n', n);
    r = start_with_bytes(slice_make(large, n), NOTHING);
    assert_int_equal(r->code, 2);
    assert_non_null(strstr(r->err, ": File too large\n"));
    stop(r);
    r = start_with_bytes(slice_make(large, n - 1), NOTHING);
    assert_int_equal(r->code, CONFIG_RUN);
    stop(r);
    free(large);
}

static void test_variables_by_prefix(void **state)
{
    struct run *r = start_with_file("PASS_A=file\nPASS_B=file\nPASS_C=\nOTHER=1\n",
                                    WORDS("PASS_B=environment", "PASS_D=", "XPASS_E=1", "PASS_A="));
    struct buf seen = {0};
    struct config_variable v;
    for (size_t at = 0; config_next_variable(r->cfg, "PASS_", &at, &v);)
        buf_printf(&seen, "%.*s=%s;", SLICE_ARG(v.name), v.value);
    assert_true(slice_eq(buf_slice(&seen), SLICE("PASS_B=environment;PASS_A=file;")));
    buf_release(&seen);
    stop(r);
}

static void test_lookup(void **state)
{
    struct run *r = start(WORDS("--title=t"), WORDS("PASS_A=1", "PASS_B="));
    assert_string_equal(config_lookup(r->cfg, "NAME"), "t");
    assert_string_equal(config_lookup(r->cfg, "LABEL"), "t");
    assert_string_equal(config_lookup(r->cfg, "COUNT"), "3");
    assert_string_equal(config_lookup(r->cfg, "PASS_A"), "1");
    assert_null(config_lookup(r->cfg, "PASS_B"));
    assert_null(config_lookup(r->cfg, "PASS"));
    assert_null(config_lookup(r->cfg, "THE_SECRET"));
    stop(r);
}

static void test_lists(void **state)
{
    struct slice rest = SLICE(" a, b c ,,\t,d,"), item;
    static const char *const items[] = {"a", "b c", "d"};
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        assert_true(config_list_next(&rest, &item));
        assert_true(slice_eq(item, slice_of(items[i])));
    }
    assert_false(config_list_next(&rest, &item));
    rest = slice_of(NULL);
    assert_false(config_list_next(&rest, &item));
}

/* The line of an option, blanks squeezed. */
static void assert_line(const char *out, const char *line)
{
    struct buf squeezed = {0};
    for (const char *p = out; *p != '\0'; p++)
        if (*p != ' ' || p[1] != ' ')
            buf_byte(&squeezed, *p);
    buf_byte(&squeezed, '\0');
    assert_non_null(strstr(squeezed.p, line));
    buf_release(&squeezed);
}

static void test_check_prints_what_is_in_effect(void **state)
{
    struct run *r = start(WORDS("--check", "--bytes=131072"),
                          WORDS("PROFILE=slow", "OLD_SECRET=hidden", "THE_URL=redis://me:hidden@h:1", "MILLIS=90000",
                                "PASS_WORD=hidden"));
    assert_int_equal(r->code, 0);
    assert_null(strstr(r->out, "hidden"));
    assert_line(r->out, "PROFILE slow environment\n");
    assert_line(r->out, "NAME snail profile\n");
    assert_line(r->out, "THE_SECRET (set) environment (as OLD_SECRET)\n");
    assert_line(r->out, "THE_URL redis://***@h:1 environment\n");
    assert_line(r->out, "IS_ON 0 default\n");
    assert_line(r->out, "BYTES 128KiB flag\n");
    assert_line(r->out, "MILLIS 90s environment\n");
    assert_line(r->out, "PASS_WORD (set) handed on\n");
    assert_line(r->out, "checked a, b,,c\n");
    stop(r);
    r = start(WORDS("--check"), WORDS("MILLIS=0", "GUESSED=1s", "LONG_TIME=90m", "BYTES=1025"));
    assert_line(r->out, "MILLIS 0 environment\n");
    assert_line(r->out, "GUESSED 1s environment\n");
    assert_line(r->out, "LONG_TIME 90m environment\n");
    assert_line(r->out, "BYTES 1025 environment\n");
    stop(r);
    r = start(WORDS("--check", "--count=8"), NOTHING);
    assert_int_equal(r->code, 2);
    assert_string_equal(r->err, "test: error: COUNT is 8: found by check\n");
    stop(r);
}

static void test_actions(void **state)
{
    struct run *r = start(WORDS("--look=there", "--count", "5"), NOTHING);
    assert_int_equal(r->code, CONFIG_RUN);
    assert_string_equal(config_asked(r->cfg, "look"), "there");
    assert_null(config_asked(r->cfg, "look-hard"));
    assert_int_equal(r->v.count, 5);
    stop(r);
    r = start(NOTHING, NOTHING);
    assert_null(config_asked(r->cfg, "look"));
    stop(r);
    /* Options are not judged against each other for it, but each is still read. */
    r = start(WORDS("--look", "here", "--look-hard", ""), WORDS("COUNT=7"));
    assert_int_equal(r->code, CONFIG_RUN);
    assert_string_equal(config_asked(r->cfg, "look-hard"), "");
    stop(r);
    assert_refused(WORDS("--look=here"), WORDS("COUNT=x"),
                   "test: error: COUNT=x (in the environment) is not allowed: number, 1 or 5 to 10 or 3\n");
    assert_refused(WORDS("--look"), NOTHING, "test: error: --look: a value must follow\n");
    assert_refused(WORDS("--look-hard=x"), NOTHING, "test: error: --look-hard goes with --look\n");
    assert_refused(WORDS("--lok=x"), NOTHING, "test: error: --lok: no such flag; did you mean --look?\n");
}

static void test_help_and_version(void **state)
{
    struct run *r = start(WORDS("--help", "--nonsense"), WORDS("COUNT=x"));
    assert_int_equal(r->code, 0);
    assert_string_equal(r->err, "");
    assert_non_null(strstr(r->out, "\nSecond\n"));
    assert_non_null(strstr(r->out, "  THE_SECRET, OLD_SECRET, --the-secret, --old-secret\n      A secret.\n"));
    assert_non_null(strstr(r->out, "Default 30; slow 45s; millis 2000ms. Allowed: time, 0 or 100ms to 1h.\n"));
    assert_non_null(strstr(r->out, "  PASS_<NAME>\n      Handed on.\n"));
    assert_non_null(strstr(r->out, "  --look PLACE                   looks somewhere\n"));
    stop(r);
    r = start(WORDS("-h"), NOTHING);
    assert_int_equal(r->code, 0);
    stop(r);
    r = start(WORDS("--version"), NOTHING);
    assert_int_equal(r->code, 0);
    assert_string_equal(r->out, "test " TIDEGATE_VERSION "\n");
    stop(r);
}

static void test_documents(void **state)
{
    struct run *r = start(WORDS("--print-config", "markdown"), NOTHING);
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->out, "| `NAME`, `TITLE`, `LABEL` | – | text | A text with a \\| in it. |\n"));
    assert_non_null(strstr(r->out, "\n| | none | slow | millis |\n|---|---|---|---|\n| `NAME` | – | `snail` | – |\n"));
    stop(r);
    r = start(WORDS("--print-config=env", "--profile=slow"), NOTHING);
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->out, "\nPROFILE=slow\n"));
    assert_non_null(strstr(r->out, "\n# A number.\n# Allowed: number, 1 or 5 to 10 or 3.\n#COUNT=10\n"));
    struct run *again = start_with_file(r->out, NOTHING);
    assert_int_equal(again->code, CONFIG_RUN);
    assert_string_equal(again->v.name, "snail");
    stop(again);
    stop(r);
    r = start(WORDS("--print-config=metrics"), NOTHING);
    assert_int_equal(r->code, 0);
    assert_string_equal(r->out, "metrics\n");
    stop(r);
    assert_refused(WORDS("--print-config=env", "--profile=slwo"), NOTHING,
                   "test: error: PROFILE=slwo (on the command line) is not allowed: one of none, slow, millis\n");
}

static void test_profile_defaults_for_tests(void **state)
{
    struct test_config v;
    config_defaults(&table, NULL, &v);
    assert_int_equal(v.count, 3);
    assert_null(v.name);
    config_defaults(&table, "slow", &v);
    assert_int_equal(v.count, 10);
    assert_int_equal(v.guessed, 45000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_kind_from_the_environment),
        cmocka_unit_test(test_flags_in_all_forms),
        cmocka_unit_test(test_bare_numbers_take_the_unit_of_the_default),
        cmocka_unit_test(test_profile_sets_defaults_only),
        cmocka_unit_test(test_malformed_and_out_of_range),
        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_flags_refused),
        cmocka_unit_test(test_aliases_must_agree),
        cmocka_unit_test(test_empty_variables_count_as_unset),
        cmocka_unit_test(test_production_refuses_what_is_unsafe),
        cmocka_unit_test(test_env_file),
        cmocka_unit_test(test_env_file_refused),
        cmocka_unit_test(test_env_file_of_other_bytes),
        cmocka_unit_test(test_variables_by_prefix),
        cmocka_unit_test(test_warnings_are_logged),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_check_prints_what_is_in_effect),
        cmocka_unit_test(test_actions),
        cmocka_unit_test(test_help_and_version),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_profile_defaults_for_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

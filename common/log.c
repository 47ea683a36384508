/* Formats one log line into a buffer and hands it to the kernel with one write, so that lines of threads never mix. */
#include "common/log.h"
#include "common/buf.h"
#include "common/clock.h"

#include <stdatomic.h>
#include <unistd.h>

static _Atomic int threshold = LOG_INFO;
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_set_threshold(enum log_level level)
{
    atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum log_level log_threshold(void)
{
    return (enum log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

int log_level_parse(struct slice word, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (slice_eq_nocase(word, slice_of(level_names[i]))) {
            *out = (enum log_level)i;
            return 0;
        }
    if (slice_eq_nocase(word, SLICE("warning"))) {
        *out = LOG_WARN;
        return 0;
    }
    return -1;
}

/* Log text may hold any byte a peer sent: what is not printable ASCII is escaped, so a line stays one line. */
static void append_text(struct buf *b, struct slice s)
{
    buf_byte(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_byte(b, '\\');
        if (c < 0x20 || c >= 0x7f)
            buf_printf(b, "\\u%04x", c);
        else
            buf_byte(b, (char)c);
    }
    buf_byte(b, '"');
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    struct buf line = {0};
    char time[CLOCK_ISO_LEN + 1];
    clock_iso8601(clock_wall_ms(), time);
    buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time, level_names[level], event);
    for (size_t i = 0; i < count; i++) {
        if (fields[i].kind == LOG_FIELD_TEXT && fields[i].text.p == NULL)
            continue;
        buf_printf(&line, ",\"%s\":", fields[i].name);
        if (fields[i].kind == LOG_FIELD_INT)
            buf_printf(&line, "%lld", (long long)fields[i].number);
        else
            append_text(&line, fields[i].text);
    }
    buf_lit(&line, "}\n");
    ssize_t written = write(STDERR_FILENO, line.p, line.n);
    (void)written; /* nowhere left to say that stderr is gone */
    buf_release(&line);
}

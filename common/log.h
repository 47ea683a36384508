/* Structured logs: one JSON object a line on stderr, {"time":…,"level":…,"event":…, fields…}. An event is a fixed
 * snake_case word; what varies is a field, and a text that is absent (p NULL) is left out. Never log a token. Safe from
 * any thread. */
#ifndef TIDEGATE_COMMON_LOG_H
#define TIDEGATE_COMMON_LOG_H

#include "common/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } kind;
    struct slice text;
    int64_t number;
};

#define LOG_S(field, cstr)                                                                                             \
    {                                                                                                                  \
        .name = (field), .kind = LOG_FIELD_TEXT, .text = slice_of(cstr)                                                \
    }
#define LOG_SL(field, slice)                                                                                           \
    {                                                                                                                  \
        .name = (field), .kind = LOG_FIELD_TEXT, .text = (slice)                                                       \
    }
#define LOG_I(field, value)                                                                                            \
    {                                                                                                                  \
        .name = (field), .kind = LOG_FIELD_INT, .number = (int64_t)(value)                                             \
    }

#define LOG_AT(level, event, ...)                                                                                      \
    do {                                                                                                               \
        const struct log_field log_fields_[] = {{.name = NULL}, __VA_ARGS__};                                          \
        if ((level) >= log_threshold())                                                                                \
            log_write((level), (event), log_fields_ + 1, ARRAY_LEN(log_fields_) - 1);                                  \
    } while (0)
/* log_info("redis_up", LOG_S("address", text), LOG_I("attempt", n)); at least one field. */
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)

void log_set_threshold(enum log_level level);
enum log_level log_threshold(void);
/* 0 and *out for debug, info, warn (or warning), error; -1 for another word. */
int log_level_parse(struct slice word, enum log_level *out);
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count);

#endif

/* Template, to be included after config_struct.h with the same CONFIG_NAME and CONFIG_DEF: turns the rows into the
 * static arrays config_options and config_presets. CONFIG_ROWS initialises a struct config_table with them. */

/* "|a" "|b" without its first bar */
#define CONFIG_LIMITS_ENUM(words)      (words) + 1
#define CONFIG_LIMITS_TEXT(limits)     limits
#define CONFIG_LIMITS_LIST(limits)     limits
#define CONFIG_LIMITS_URL(limits)      limits
#define CONFIG_LIMITS_SECRET(limits)   limits
#define CONFIG_LIMITS_BOOL(limits)     limits
#define CONFIG_LIMITS_INT(limits)      limits
#define CONFIG_LIMITS_BYTES(limits)    limits
#define CONFIG_LIMITS_DURATION(limits) limits
#define CONFIG_LIMITS_LEVEL(limits)    limits

#define WORD(constant, word) "|" word
#define GROUP(title)         {.kind = CONFIG_GROUP, .env = (title)},
#define OPTION(field, row_kind, name, other_names, default_text, limit_text, help_text)                                \
    {.kind = CONFIG_##row_kind,                                                                                        \
     .env = (name),                                                                                                    \
     .aliases = (other_names),                                                                                         \
     .value = (default_text),                                                                                          \
     .limits = CONFIG_LIMITS_##row_kind(limit_text),                                                                   \
     .help = (help_text),                                                                                              \
     .offset = offsetof(struct CONFIG_NAME, field)},
#define PRESET(profile, env, value)
static const struct config_option config_options[] = {
#include CONFIG_DEF
};
#undef OPTION
#undef GROUP
#undef WORD
#undef PRESET

#define WORD(constant, word)
#define GROUP(title)
#define OPTION(...)
#define PRESET(profile_word, name, default_text) {.profile = (profile_word), .env = (name), .value = (default_text)},
static const struct config_preset config_presets[] = {
#include CONFIG_DEF
};
#undef OPTION
#undef GROUP
#undef WORD
#undef PRESET

#define CONFIG_ROWS                                                                                                    \
    .size = sizeof(struct CONFIG_NAME), .options = config_options, .option_count = ARRAY_LEN(config_options),          \
    .presets = config_presets, .preset_count = ARRAY_LEN(config_presets)

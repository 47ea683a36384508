/* Template, to be included with CONFIG_NAME and CONFIG_DEF set: from the rows of CONFIG_DEF it declares `struct
 * CONFIG_NAME`, one typed field per OPTION, and for each ENUM row `enum config_<field>` of its constants, from 0. */
#include "common/config.h"

/* WORD rows bring commas of their own, hence the dots */
#define CONFIG_NOTHING(field, ...)
#define CONFIG_WORDS_TEXT             CONFIG_NOTHING
#define CONFIG_WORDS_LIST             CONFIG_NOTHING
#define CONFIG_WORDS_URL              CONFIG_NOTHING
#define CONFIG_WORDS_SECRET           CONFIG_NOTHING
#define CONFIG_WORDS_BOOL             CONFIG_NOTHING
#define CONFIG_WORDS_INT              CONFIG_NOTHING
#define CONFIG_WORDS_BYTES            CONFIG_NOTHING
#define CONFIG_WORDS_DURATION         CONFIG_NOTHING
#define CONFIG_WORDS_LEVEL            CONFIG_NOTHING
#define CONFIG_WORDS_ENUM(field, ...) enum config_##field{__VA_ARGS__};

#define CONFIG_FIELD_TEXT(field)     const char *field;
#define CONFIG_FIELD_LIST(field)     const char *field;
#define CONFIG_FIELD_URL(field)      const char *field;
#define CONFIG_FIELD_SECRET(field)   const char *field;
#define CONFIG_FIELD_BOOL(field)     bool field;
#define CONFIG_FIELD_INT(field)      int64_t field;
#define CONFIG_FIELD_BYTES(field)    uint64_t field;
#define CONFIG_FIELD_DURATION(field) uint64_t field;
#define CONFIG_FIELD_ENUM(field)     enum config_##field field;
#define CONFIG_FIELD_LEVEL(field)    enum log_level field;

#define GROUP(title)
#define PRESET(profile, env, value)

#define WORD(constant, word)                                        constant,
#define OPTION(field, kind, env, aliases, value, limits, help_text) CONFIG_WORDS_##kind(field, limits)
#include CONFIG_DEF
#undef OPTION
#undef WORD

#define WORD(constant, word)
#define OPTION(field, kind, env, aliases, value, limits, help_text) CONFIG_FIELD_##kind(field)
struct CONFIG_NAME {
#include CONFIG_DEF
};
#undef OPTION
#undef WORD
#undef GROUP
#undef PRESET

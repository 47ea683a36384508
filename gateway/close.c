/* The table of close.def, expanded. */
#include "gateway/close.h"

const struct close_row close_rows[CLOSE_COUNT] = {
#define CLOSE(ident, number, word, when) [CLOSE_##ident] = {.code = (number), .reason = (word)},
#include "gateway/close.def"
#undef CLOSE
};

const char *const close_words[CLOSE_COUNT] = {
#define CLOSE(ident, number, word, when) [CLOSE_##ident] = (word),
#include "gateway/close.def"
#undef CLOSE
};

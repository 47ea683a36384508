/* The table of dialects. */
#include "gateway/dialect.h"

extern const struct dialect dialect_json, dialect_echo;

const struct dialect *const dialects[DIALECT_ID_COUNT] = {
    [DIALECT_ID_JSON] = &dialect_json,
    [DIALECT_ID_ECHO] = &dialect_echo,
};

const struct dialect *dialect_by_name(struct slice name)
{
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        if (slice_eq(name, slice_of(dialects[i]->name)))
            return dialects[i];
    return NULL;
}

size_t dialect_subprotocols(struct slice out[DIALECT_ID_COUNT])
{
    size_t n = 0;
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        if (dialects[i]->subprotocol != NULL)
            out[n++] = slice_of(dialects[i]->subprotocol);
    return n;
}

const struct dialect *dialect_by_subprotocol(struct slice name)
{
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        if (dialects[i]->subprotocol != NULL && slice_eq(name, slice_of(dialects[i]->subprotocol)))
            return dialects[i];
    return NULL;
}

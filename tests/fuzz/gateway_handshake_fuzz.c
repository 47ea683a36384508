/* The opening handshake under foreign headers, one "name: value" a line. */
#include "gateway/handshake.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice supported[] = {{"tidegate.v1.json", 16}, {"tidegate.v1.msgpack", 19}};

static bool lies_within(struct slice part, struct slice whole)
{
    return part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice whole = slice_make(data, size), rest = whole;
    struct handshake hs;
    handshake_init(&hs, supported, ARRAY_LEN(supported));
    while (rest.p != NULL) {
        struct slice value = slice_cut(&rest, '\n'), name = slice_cut(&value, ':');
        handshake_header(&hs, name, value);
    }
    char accept[HANDSHAKE_ACCEPT_LEN + 1];
    enum handshake_result result = handshake_check(&hs, SLICE("GET"), 0x101, false);
    if (result == HANDSHAKE_OK)
        handshake_accept(&hs, accept);
    else if (handshake_refusal(result)->status < 400)
        abort();
    if (result == HANDSHAKE_OK && strlen(accept) != HANDSHAKE_ACCEPT_LEN)
        abort();
    if (hs.protocol < -1 || hs.protocol >= (int)ARRAY_LEN(supported))
        abort();
    if (hs.token.p != NULL && !lies_within(hs.token, whole))
        abort();
    return 0;
}

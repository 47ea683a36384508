/* Any bytes as what a server sends: a header is never found before it is whole, more bytes behind it change nothing,
 * and an answer's head lies within what came. */
#include "common/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_frames(struct slice bytes)
{
    struct wire_frame f, again;
    while (bytes.n > 0 && wire_frame_head(bytes, &f) == WIRE_OK) {
        if (f.head > bytes.n || f.head > WIRE_HEAD_MAX)
            BUG("a header of %zu bytes out of %zu", f.head, bytes.n);
        for (size_t n = 0; n < f.head; n++)
            if (wire_frame_head(slice_make(bytes.p, n), &again) == WIRE_OK)
                BUG("whole with %zu of %zu bytes", n, f.head);
        if (wire_frame_head(slice_make(bytes.p, f.head), &again) != WIRE_OK || again.length != f.length)
            BUG("what follows makes a difference");
        if (f.opcode == WIRE_CLOSE && f.length <= bytes.n - f.head)
            wire_close_code(slice_make(bytes.p + f.head, f.length));
        bytes = slice_from(bytes, MIN(bytes.n, f.head + MIN(f.length, bytes.n)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_make(data, size);
    size_t head;
    unsigned status;
    read_frames(bytes);
    if (wire_response(bytes, &head, &status) == WIRE_OK && (head > size || status < 100 || status > 599))
        BUG("a head of %zu bytes out of %zu, status %u", head, size, status);
    return 0;
}

/* Any bytes as a sequence of MessagePack values: each is read by its type and skipped whole, both ends agree with each
 * other and with msgpack-c's unpacker, and a value read and written again says the same. */
#include "common/mp.h"

#include <msgpack/unpack.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            BUG("does not hold: %s", #condition);                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* msgpack-c allocates for what a header announces, so it is only shown what has been proved to be there. */
static void check_against_msgpack_c(struct slice raw)
{
    msgpack_unpacked result;
    size_t used = 0;
    msgpack_unpacked_init(&result);
    CHECK(msgpack_unpack_next(&result, raw.p, raw.n, &used) == MSGPACK_UNPACK_SUCCESS && used == raw.n);
    msgpack_unpacked_destroy(&result);
}

/* Reads one value by its type, a header only of arrays and maps; true if it moved on. */
static bool read_one(struct slice *in, struct buf *again)
{
    struct slice text;
    uint64_t number;
    uint32_t count;
    switch (mp_peek(*in)) {
    case MP_NIL:
        CHECK(mp_read_nil(in) == 0);
        mp_write_nil(again);
        return true;
    case MP_INT:
        if (mp_read_uint(in, &number) != 0)
            return false;
        mp_write_uint(again, number);
        return true;
    case MP_STR:
        CHECK(mp_read_str(in, &text) == 0);
        mp_write_str(again, text);
        return true;
    case MP_BIN:
        CHECK(mp_read_bin(in, &text) == 0);
        mp_write_bin(again, text);
        return true;
    case MP_ARRAY:
        CHECK(mp_read_array(in, &count) == 0 && count <= in->n);
        mp_write_array(again, count);
        return true;
    case MP_MAP:
        CHECK(mp_read_map(in, &count) == 0 && count <= in->n / 2);
        mp_write_map(again, count);
        return true;
    default:
        return false;
    }
}

/* All values one after another, the elements of arrays and maps too; true if that reached the end. */
static bool read_all(struct slice in, struct buf *again)
{
    while (in.n > 0) {
        struct slice before = in, raw;
        if (!read_one(&in, again)) {
            CHECK(in.p == before.p && in.n == before.n);
            if (mp_skip(&in, &raw) != 0)
                return false;
            buf_append(again, raw);
        }
        CHECK(in.n < before.n && in.p + in.n == before.p + before.n);
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size), raw;
    struct buf once = {0}, twice = {0};
    while (mp_skip(&in, &raw) == 0) {
        CHECK(raw.p + raw.n == in.p);
        check_against_msgpack_c(raw);
    }
    bool whole = in.n == 0;
    CHECK((mp_peek(in) == MP_END) == whole);
    CHECK(read_all(slice_make(data, size), &once) || !whole);
    if (whole)
        CHECK(read_all(buf_slice(&once), &twice) && slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_release(&once);
    buf_release(&twice);
    return 0;
}

/* MessagePack: every form read as its specification says, the same verdict as msgpack-c's own unpacker, and nothing
 * read beyond the bytes given. */
#include "common/mp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <msgpack/unpack.h>

static void what_is_written_is_read(void **state)
{
    static const uint64_t numbers[] = {0, 127, 128, 255, 256, 65535, 65536, UINT32_MAX, 1ull << 32, UINT64_MAX};
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    struct buf b = {0};
    char *bytes = calloc(1, 65536);
    mp_write_array(&b, 12345);
    mp_write_map(&b, 15);
    mp_write_nil(&b);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        mp_write_uint(&b, numbers[i]);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        mp_write_str(&b, slice_make(bytes, lengths[i]));
        mp_write_bin(&b, slice_make(bytes, lengths[i]));
    }
    struct slice in = buf_slice(&b), out;
    uint32_t count;
    uint64_t number;
    assert_int_equal(mp_read_array(&in, &count), 0);
    assert_int_equal(count, 12345);
    assert_int_equal(mp_read_map(&in, &count), 0);
    assert_int_equal(count, 15);
    assert_int_equal(mp_read_nil(&in), 0);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        assert_int_equal(mp_read_uint(&in, &number), 0);
        assert_true(number == numbers[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        assert_int_equal(mp_read_str(&in, &out), 0);
        assert_int_equal(out.n, lengths[i]);
        assert_int_equal(mp_read_bin(&in, &out), 0);
        assert_int_equal(out.n, lengths[i]);
    }
    assert_int_equal(mp_peek(in), MP_END);
    buf_release(&b);
    free(bytes);
}

static void every_form_has_its_type(void **state)
{
    static const struct {
        struct slice bytes;
        enum mp_type type;
    } rows[] = {
        {SLICE(""), MP_END},
        {SLICE("\xc1"), MP_BAD},
        {SLICE("\xc0"), MP_NIL},
        {SLICE("\xc2"), MP_BOOL},
        {SLICE("\xc3"), MP_BOOL},
        {SLICE("\x7f"), MP_INT},
        {SLICE("\xe0"), MP_INT},
        {SLICE("\xcf\1\2\3\4\5\6\7\0"), MP_INT},
        {SLICE("\xcf\1\2\3\4\5\6\7"), MP_BAD},
        {SLICE("\xd3\1\2\3\4\5\6\7\0"), MP_INT},
        {SLICE("\xca\1\2\3\4"), MP_FLOAT},
        {SLICE("\xcb\1\2\3\4\5\6\7\0"), MP_FLOAT},
        {SLICE("\xcb\1\2\3\4\5\6\7"), MP_BAD},
        {SLICE("\xa0"), MP_STR},
        {SLICE("\xa3"
               "ab"),
         MP_BAD},
        {SLICE("\xd9\2ab"), MP_STR},
        {SLICE("\xda\0\2a"), MP_BAD},
        {SLICE("\xdb\xff\xff\xff\xff"
               "ab"),
         MP_BAD},
        {SLICE("\xc4\0"), MP_BIN},
        {SLICE("\xc6\0\0\0\1x"), MP_BIN},
        {SLICE("\xd4\1x"), MP_EXT},
        {SLICE("\xd4\1"), MP_BAD},
        {SLICE("\xd8\1"
               "0123456789abcdef"),
         MP_EXT},
        {SLICE("\xd8\1"
               "0123456789abcde"),
         MP_BAD},
        {SLICE("\xc7\0\5"), MP_EXT},
        {SLICE("\xc7\0"), MP_BAD},
        {SLICE("\x90"), MP_ARRAY},
        {SLICE("\x92\1"), MP_BAD},
        {SLICE("\xdc\0\1\1"), MP_ARRAY},
        {SLICE("\xdd\xff\xff\xff\xff\1"), MP_BAD},
        {SLICE("\x80"), MP_MAP},
        {SLICE("\x82\1\1\1"), MP_BAD},
        {SLICE("\xde\0\1\1\1"), MP_MAP},
        {SLICE("\xdf\x80\0\0\0\1\1"), MP_BAD},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (mp_peek(rows[i].bytes) != rows[i].type)
            fail_msg("row %zu: %d", i, mp_peek(rows[i].bytes));
}

static void integers_of_every_width(void **state)
{
    static const struct {
        struct slice bytes;
        int rc;
        uint64_t value;
    } rows[] = {
        {SLICE("\xcc\xff"), 0, 255},
        {SLICE("\xcd\1\2"), 0, 0x102},
        {SLICE("\xce\x80\0\0\1"), 0, 0x80000001},
        {SLICE("\xcf\x80\0\0\0\0\0\0\1"), 0, 0x8000000000000001},
        {SLICE("\xd0\x7f"), 0, 127},
        {SLICE("\xd0\x80"), -1, 0},
        {SLICE("\xd1\x7f\xff"), 0, 32767},
        {SLICE("\xd2\xff\xff\xff\xff"), -1, 0},
        {SLICE("\xd3\0\0\0\0\0\0\0\5"), 0, 5},
        {SLICE("\xd3\x80\0\0\0\0\0\0\5"), -1, 0},
        {SLICE("\xff"), -1, 0},
        {SLICE("\xcd\1"), -1, 0},
        {SLICE("\xc0"), -1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice in = rows[i].bytes;
        uint64_t value = 0;
        assert_int_equal(mp_read_uint(&in, &value), rows[i].rc);
        assert_true(value == rows[i].value);
        assert_int_equal(in.n, rows[i].rc == 0 ? 0 : rows[i].bytes.n);
    }
}

static void another_type_leaves_the_reader_in_place(void **state)
{
    struct slice in = SLICE("\xa1x"), before = in, out;
    uint32_t count;
    uint64_t number;
    assert_int_equal(mp_read_nil(&in), -1);
    assert_int_equal(mp_read_uint(&in, &number), -1);
    assert_int_equal(mp_read_bin(&in, &out), -1);
    assert_int_equal(mp_read_array(&in, &count), -1);
    assert_int_equal(mp_read_map(&in, &count), -1);
    assert_ptr_equal(in.p, before.p);
    assert_int_equal(mp_read_str(&in, &out), 0);
    assert_int_equal(mp_read_str(&in, &out), -1);
    assert_int_equal(mp_skip(&in, NULL), -1);
}

static void a_value_is_skipped_whole(void **state)
{
    struct buf b = {0};
    mp_write_array(&b, 3);
    mp_write_map(&b, 2);
    mp_write_str(&b, SLICE("a"));
    mp_write_array(&b, 0);
    mp_write_uint(&b, 300);
    mp_write_bin(&b, SLICE("xyz"));
    mp_write_nil(&b);
    mp_write_uint(&b, 1);
    size_t value = b.n;
    mp_write_uint(&b, 7);
    struct slice in = buf_slice(&b), raw;
    assert_int_equal(mp_skip(&in, &raw), 0);
    assert_ptr_equal(raw.p, b.p);
    assert_int_equal(raw.n, value);
    assert_int_equal(in.n, 1);
    for (size_t n = 0; n < value; n++) {
        struct slice part = {b.p, n};
        assert_int_equal(mp_skip(&part, &raw), -1);
        assert_int_equal(part.n, n);
    }
    buf_release(&b);
}

static void skipping_has_a_depth(void **state)
{
    char bytes[MP_DEPTH + 2];
    memset(bytes, 0x91, sizeof(bytes));
    bytes[MP_DEPTH] = 0x01;
    struct slice in = {bytes, MP_DEPTH + 1};
    assert_int_equal(mp_skip(&in, NULL), 0);
    assert_int_equal(in.n, 0);
    bytes[MP_DEPTH] = (char)0x91;
    bytes[MP_DEPTH + 1] = 0x01;
    in = slice_make(bytes, MP_DEPTH + 2);
    assert_int_equal(mp_skip(&in, NULL), -1);
    bytes[MP_DEPTH] = (char)0x90;
    in = slice_make(bytes, MP_DEPTH + 1);
    assert_int_equal(mp_skip(&in, NULL), -1);
}

static bool unpacker_accepts(struct slice in, size_t *used)
{
    msgpack_unpacked result;
    msgpack_unpacked_init(&result);
    *used = 0;
    bool ok = msgpack_unpack_next(&result, in.p, in.n, used) == MSGPACK_UNPACK_SUCCESS;
    msgpack_unpacked_destroy(&result);
    return ok;
}

/* All beginnings of two bytes with every number of bytes behind them that decides, in memory of the exact size. */
static void the_same_verdict_as_msgpack_c(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 6, 9, 10, 17, 18, 19, 40};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        unsigned char *bytes = calloc(1, sizes[k]);
        for (unsigned v = 0; v < 65536; v++) {
            bytes[0] = (unsigned char)(v >> 8);
            bool announces_32_bits = bytes[0] == 0xdd || bytes[0] == 0xdf; /* msgpack-c allocates that */
            if (sizes[k] > 1)
                bytes[1] = announces_32_bits ? 0 : (unsigned char)v;
            struct slice in = slice_make(bytes, sizes[k]);
            size_t used, n = in.n;
            bool theirs = unpacker_accepts(in, &used), ours = mp_skip(&in, NULL) == 0;
            if (ours != theirs || (ours && n - in.n != used))
                fail_msg("%02x %02x of %zu: %d, %d", bytes[0], bytes[1], n, ours, theirs);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),       cmocka_unit_test(every_form_has_its_type),
        cmocka_unit_test(integers_of_every_width),       cmocka_unit_test(another_type_leaves_the_reader_in_place),
        cmocka_unit_test(a_value_is_skipped_whole),      cmocka_unit_test(skipping_has_a_depth),
        cmocka_unit_test(the_same_verdict_as_msgpack_c),
    };
    return cmocka_run_group_tests_name("mp", tests, NULL, NULL);
}

/* msgpack-c writes. Reading is our own, because msgpack-c's unpacker allocates for what a stranger announces: one
 * function understands the head of a value and proves that all it announces can lie within the slice; the rest takes
 * it from there. */
#include "common/mp.h"

#include <msgpack/pack.h>

static int append(void *data, const char *bytes, size_t n)
{
    buf_append(data, slice_make(bytes, n));
    return 0;
}

static msgpack_packer packer(struct buf *b)
{
    return (msgpack_packer){.data = b, .callback = append};
}

void mp_write_nil(struct buf *b)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_nil(&pk);
}

void mp_write_uint(struct buf *b, uint64_t value)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_uint64(&pk, value);
}

void mp_write_str(struct buf *b, struct slice text)
{
    assert(text.n <= UINT32_MAX);
    msgpack_packer pk = packer(b);
    msgpack_pack_str(&pk, text.n);
    buf_append(b, text);
}

void mp_write_bin(struct buf *b, struct slice bytes)
{
    assert(bytes.n <= UINT32_MAX);
    msgpack_packer pk = packer(b);
    msgpack_pack_bin(&pk, bytes.n);
    buf_append(b, bytes);
}

void mp_write_array(struct buf *b, uint32_t count)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_array(&pk, count);
}

void mp_write_map(struct buf *b, uint32_t pairs)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_map(&pk, pairs);
}

struct head {
    enum mp_type type;
    uint64_t number; /* an integer's bits, a str's, bin's or ext's length, an array's or map's count */
    bool negative;
    size_t size;       /* bytes of the head itself */
    uint64_t payload;  /* bytes that follow and belong to the value */
    uint64_t children; /* values that follow and belong to the value */
};

/* The first bytes 0xc0 to 0xdf of the MessagePack specification ("Formats"): how many bytes of number follow, or the
 * number itself. */
static const struct form {
    uint8_t type, width, fixed;
    bool is_signed;
} forms[32] = {
    {.type = MP_NIL},
    {.type = MP_BAD}, /* never used */
    {.type = MP_BOOL},
    {.type = MP_BOOL},
    {.type = MP_BIN, .width = 1},
    {.type = MP_BIN, .width = 2},
    {.type = MP_BIN, .width = 4},
    {.type = MP_EXT, .width = 1},
    {.type = MP_EXT, .width = 2},
    {.type = MP_EXT, .width = 4},
    {.type = MP_FLOAT, .width = 4},
    {.type = MP_FLOAT, .width = 8},
    {.type = MP_INT, .width = 1},
    {.type = MP_INT, .width = 2},
    {.type = MP_INT, .width = 4},
    {.type = MP_INT, .width = 8},
    {.type = MP_INT, .width = 1, .is_signed = true},
    {.type = MP_INT, .width = 2, .is_signed = true},
    {.type = MP_INT, .width = 4, .is_signed = true},
    {.type = MP_INT, .width = 8, .is_signed = true},
    {.type = MP_EXT, .fixed = 1},
    {.type = MP_EXT, .fixed = 2},
    {.type = MP_EXT, .fixed = 4},
    {.type = MP_EXT, .fixed = 8},
    {.type = MP_EXT, .fixed = 16},
    {.type = MP_STR, .width = 1},
    {.type = MP_STR, .width = 2},
    {.type = MP_STR, .width = 4},
    {.type = MP_ARRAY, .width = 2},
    {.type = MP_ARRAY, .width = 4},
    {.type = MP_MAP, .width = 2},
    {.type = MP_MAP, .width = 4},
};

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t number = 0;
    for (size_t i = 0; i < n; i++)
        number = number << 8 | (unsigned char)p[i];
    return number;
}

/* A head whose number stands in the first byte. */
static struct head short_head(unsigned c)
{
    struct head h = {.size = 1};
    if (c < 0x80) {
        h.type = MP_INT;
        h.number = c;
    } else if (c < 0xa0) {
        h.type = c < 0x90 ? MP_MAP : MP_ARRAY;
        h.number = c & 0x0f;
    } else if (c < 0xc0) {
        h.type = MP_STR;
        h.number = c & 0x1f;
    } else {
        h.type = MP_INT;
        h.negative = true;
    }
    return h;
}

static struct head long_head(struct slice in, const struct form *form)
{
    struct head h = {.type = form->type, .number = form->fixed, .size = 1u + form->width};
    if (in.n < h.size)
        h.type = MP_BAD;
    else if (form->width > 0)
        h.number = big_endian(in.p + 1, form->width);
    h.negative = h.type != MP_BAD && form->is_signed && ((unsigned char)in.p[1] & 0x80);
    return h;
}

/* The head at the front of in; all that it announces can lie within in, or its type is MP_BAD. */
static struct head read_head(struct slice in)
{
    if (in.n == 0)
        return (struct head){.type = MP_END};
    unsigned c = (unsigned char)in.p[0];
    struct head h = c >= 0xc0 && c < 0xe0 ? long_head(in, &forms[c - 0xc0]) : short_head(c);
    if (h.type == MP_STR || h.type == MP_BIN)
        h.payload = h.number;
    else if (h.type == MP_EXT)
        h.payload = h.number + 1; /* and the byte that names its type */
    else if (h.type == MP_ARRAY)
        h.children = h.number;
    else if (h.type == MP_MAP)
        h.children = h.number * 2;
    if (h.type != MP_BAD && h.payload + h.children > in.n - h.size) /* every value has a byte at least */
        h.type = MP_BAD;
    return h;
}

enum mp_type mp_peek(struct slice in)
{
    return read_head(in).type;
}

/* Reads a head if it is of this type and moves behind it. */
static int take(struct slice *in, enum mp_type type, struct head *h)
{
    *h = read_head(*in);
    if (h->type != type)
        return -1;
    *in = slice_from(*in, h->size);
    return 0;
}

static int take_bytes(struct slice *in, enum mp_type type, struct slice *out)
{
    struct head h;
    if (take(in, type, &h) != 0)
        return -1;
    *out = slice_make(in->p, h.payload);
    *in = slice_from(*in, h.payload);
    return 0;
}

static int take_count(struct slice *in, enum mp_type type, uint32_t *count)
{
    struct head h;
    if (take(in, type, &h) != 0)
        return -1;
    *count = (uint32_t)h.number;
    return 0;
}

int mp_read_nil(struct slice *in)
{
    struct head h;
    return take(in, MP_NIL, &h);
}

int mp_read_uint(struct slice *in, uint64_t *out)
{
    struct head h = read_head(*in);
    if (h.type != MP_INT || h.negative)
        return -1;
    *out = h.number;
    *in = slice_from(*in, h.size);
    return 0;
}

int mp_read_str(struct slice *in, struct slice *out)
{
    return take_bytes(in, MP_STR, out);
}

int mp_read_bin(struct slice *in, struct slice *out)
{
    return take_bytes(in, MP_BIN, out);
}

int mp_read_array(struct slice *in, uint32_t *count)
{
    return take_count(in, MP_ARRAY, count);
}

int mp_read_map(struct slice *in, uint32_t *pairs)
{
    return take_count(in, MP_MAP, pairs);
}

int mp_skip(struct slice *in, struct slice *raw)
{
    uint64_t left[MP_DEPTH]; /* values still to come in each open array or map */
    size_t depth = 0;
    struct slice rest = *in;
    do {
        struct head h = read_head(rest);
        bool container = h.type == MP_ARRAY || h.type == MP_MAP;
        if (h.type == MP_END || h.type == MP_BAD || (container && depth == MP_DEPTH))
            return -1;
        rest = slice_from(rest, h.size + h.payload);
        if (h.children > 0)
            left[depth++] = h.children;
        else
            while (depth > 0 && --left[depth - 1] == 0)
                depth--;
    } while (depth > 0);
    if (raw != NULL)
        *raw = slice_make(in->p, in->n - rest.n);
    *in = rest;
    return 0;
}

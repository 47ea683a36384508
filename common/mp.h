/* MessagePack, bounded: writing into a buffer with msgpack-c, and a pull reader over slices that allocates nothing.
 *
 * A reader is a slice that every call moves on: it reads the value at the front of *in and leaves *in behind it, or
 * returns -1 and leaves *in where it was, because another type stands there, because the bytes end before the value
 * does, or because they are no MessagePack. No foreign byte sequence makes it read outside *in, and a header that
 * announces more elements than bytes are left is refused, so a count may be trusted for as much as it costs. Whether a
 * str is UTF-8 is not looked at. */
#ifndef TIDEGATE_COMMON_MP_H
#define TIDEGATE_COMMON_MP_H

#include "common/buf.h"

void mp_write_nil(struct buf *b);
void mp_write_uint(struct buf *b, uint64_t value);
/* Text and bytes, less than 4 GiB. */
void mp_write_str(struct buf *b, struct slice text);
void mp_write_bin(struct buf *b, struct slice bytes);
/* A header: as many values (pairs of them) must follow. */
void mp_write_array(struct buf *b, uint32_t count);
void mp_write_map(struct buf *b, uint32_t pairs);

/* MP_END: nothing is left. MP_BAD: what is left is not a value, or only the beginning of one. */
enum mp_type { MP_END, MP_BAD, MP_NIL, MP_BOOL, MP_INT, MP_FLOAT, MP_STR, MP_BIN, MP_EXT, MP_ARRAY, MP_MAP };
/* What stands at the front. Of an array or a map only the header has been looked at. */
enum mp_type mp_peek(struct slice in);

int mp_read_nil(struct slice *in);
/* An integer of any width that is not negative. */
int mp_read_uint(struct slice *in, uint64_t *out);
/* *out borrows from *in. */
int mp_read_str(struct slice *in, struct slice *out);
int mp_read_bin(struct slice *in, struct slice *out);
/* The header: so many values (pairs of them) are next. */
int mp_read_array(struct slice *in, uint32_t *count);
int mp_read_map(struct slice *in, uint32_t *pairs);

/* How deep arrays and maps may lie in one another for mp_skip. */
#define MP_DEPTH 32
/* Reads a whole value with all that is in it; *raw (may be NULL) is its bytes, which can be written on as they are. */
int mp_skip(struct slice *in, struct slice *raw);

#endif

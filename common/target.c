/* Targets and their names. Names are made on the way of every event, so they are written into the caller's array; the
 * tags are searched once: some 150,000 numbers, 10 ms. */
#include "common/target.h"

#include "common/hash.h"
#include "common/utf8.h"

#include <pthread.h>
#include <stdio.h>

#define CLUSTER_SLOTS 16384
#define PREFIX        SLICE("tg:{")

static struct {
    char text[8];
    uint8_t n; /* 0: not found yet */
} tags[TARGET_BUCKETS];

static void find_tags(void)
{
    unsigned missing = TARGET_BUCKETS;
    for (unsigned number = 0; missing > 0; number++) {
        char text[sizeof(tags[0].text)];
        int n = snprintf(text, sizeof(text), "%u", number);
        unsigned slot = hash_crc16(slice_make(text, (size_t)n)) % CLUSTER_SLOTS;
        unsigned bucket = slot / 16;
        if (slot != target_slot(bucket) || tags[bucket].n != 0)
            continue;
        memcpy(tags[bucket].text, text, sizeof(text));
        tags[bucket].n = (uint8_t)n;
        missing--;
    }
}

/* Unicode's Cc: U+0000–U+001F, U+007F–U+009F (in UTF-8 0xC2 and its second byte). */
static bool has_control(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
            return true;
    }
    return false;
}

static bool text_valid(struct slice s)
{
    return s.n > 0 && s.n <= TARGET_MAX - 2 && !has_control(s) && utf8_valid(s);
}

static int append_prefixed(struct buf *out, struct slice prefix, struct slice text)
{
    if (!text_valid(text))
        return -1;
    buf_append(out, prefix);
    buf_append(out, text);
    return 0;
}

int target_append_user(struct buf *out, struct slice user_id)
{
    return append_prefixed(out, SLICE("u:"), user_id);
}

int target_append_room(struct buf *out, struct slice room)
{
    if (slice_eq(room, SLICE("global"))) {
        buf_append(out, TARGET_EVERYBODY);
        return 0;
    }
    if (slice_starts(room, SLICE("user:")))
        return target_append_user(out, slice_from(room, 5));
    return append_prefixed(out, SLICE("r:"), room);
}

bool target_valid(struct slice target)
{
    if (slice_eq(target, TARGET_EVERYBODY))
        return true;
    if (target.n < 3 || target.p[1] != ':' || !text_valid(slice_from(target, 2)))
        return false;
    if (target.p[0] == 'u')
        return true;
    return target.p[0] == 'r' && !slice_eq(target, SLICE("r:global")) && !slice_starts(target, SLICE("r:user:"));
}

unsigned target_bucket(struct slice target)
{
    return (unsigned)(hash_fnv1a(target) % TARGET_BUCKETS);
}

unsigned target_slot(unsigned bucket)
{
    return 16 * bucket + 8;
}

struct slice target_tag(unsigned bucket)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_tags);
    assert(bucket < TARGET_BUCKETS);
    return slice_make(tags[bucket].text, tags[bucket].n);
}

static size_t put(char *out, size_t at, struct slice s)
{
    memcpy(out + at, s.p, s.n);
    return at + s.n;
}

static size_t put_tag(char *out, unsigned bucket)
{
    size_t n = put(out, 0, PREFIX);
    n = put(out, n, target_tag(bucket));
    return put(out, n, SLICE("}:"));
}

struct slice target_name(enum target_name which, unsigned bucket, struct slice target, char out[TARGET_NAME_SIZE])
{
    assert(target.n <= TARGET_MAX);
    size_t n = put_tag(out, bucket);
    out[n++] = (char)which;
    out[n++] = ':';
    return slice_make(out, put(out, n, target));
}

struct slice target_marker(unsigned bucket, char out[TARGET_NAME_SIZE])
{
    size_t n = put_tag(out, bucket);
    return slice_make(out, put(out, n, SLICE("b")));
}

struct slice target_commits(unsigned bucket, char out[TARGET_NAME_SIZE])
{
    size_t n = put_tag(out, bucket);
    return slice_make(out, put(out, n, SLICE("commits")));
}

struct slice target_beat(unsigned bucket, char out[TARGET_NAME_SIZE])
{
    size_t n = put_tag(out, bucket);
    return slice_make(out, put(out, n, SLICE("beat")));
}

int target_of_channel(struct slice channel, struct slice *target)
{
    if (!slice_starts(channel, PREFIX))
        return -1;
    struct slice rest = slice_from(channel, PREFIX.n);
    uint64_t number;
    if (slice_to_u64(slice_cut(&rest, '}'), &number) != 0)
        return -1;
    if (!slice_starts(rest, SLICE(":c:")))
        return -1;
    rest = slice_from(rest, 3);
    if (!target_valid(rest))
        return -1;
    *target = rest;
    return 0;
}

/* Targets: whom an event is for, and the Redis names of what belongs to them. A target is `u:<user id>`, `r:<room>` or
 * `g` (everybody), at most TARGET_MAX bytes of UTF-8 without control characters. Its bucket, one of TARGET_BUCKETS, is
 * the hash tag of all its keys and of its channel, so that one function call may touch them all on any Redis; the tag
 * stands before any foreign text. Pure functions; the table of tags is made at first use, by any thread. */
#ifndef TIDEGATE_COMMON_TARGET_H
#define TIDEGATE_COMMON_TARGET_H

#include "common/buf.h"

#define TARGET_MAX     256
#define TARGET_BUCKETS 1024
/* Room for any name below: "tg:{1234567}:l:" and a target. */
#define TARGET_NAME_SIZE (TARGET_MAX + 16)
#define TARGET_EVERYBODY SLICE("g")

/* Appends the target of a user, given as the text of the id (1 and "1" are the same user); 0, or -1 and nothing
 * appended when the id is empty, too long, not UTF-8 or has control characters. */
int target_append_user(struct buf *out, struct slice user_id);
/* The same of a room; the room `user:X` is the user X, `global` is everybody. */
int target_append_room(struct buf *out, struct slice room);
/* True for a target as the two functions above write it: `r:global` and `r:user:X` are not. */
bool target_valid(struct slice target);

/* FNV-1a-64 of the target mod TARGET_BUCKETS. */
unsigned target_bucket(struct slice target);
/* The smallest decimal number whose CRC16 slot on Redis Cluster is target_slot(bucket). */
struct slice target_tag(unsigned bucket);
/* 16 · bucket + 8, of the 16,384 slots of Redis Cluster. */
unsigned target_slot(unsigned bucket);

enum target_name {
    TARGET_LOG = 'l',         /* stream: its history */
    TARGET_META = 'm',        /* string: last id, epoch, coordinates (redis_fn.h) */
    TARGET_REFILLED = 'h',    /* stream: history rebuilt after Redis lost it */
    TARGET_REFILL_META = 'j', /* string: the same of that stream */
    TARGET_REFILL_KEYS = 'i', /* sorted set: publishers' keys of what is in it */
    TARGET_CURSORS = 'd',     /* hash: device id → position */
    TARGET_PRESENCE = 'p',    /* hash: gateway worker → connections there */
    TARGET_IDEMPOTENCY = 'k', /* sorted set: publishers' keys by Kafka's time */
    TARGET_CHANNEL = 'c'      /* sharded pub/sub channel */
};
/* Writes the name `tg:{tag}:<which>:<target>`, not NUL-terminated, and returns it; it lies in out. */
struct slice target_name(enum target_name which, unsigned bucket, struct slice target, char out[TARGET_NAME_SIZE]);
/* The bucket's marker, `tg:{tag}:b`. */
struct slice target_marker(unsigned bucket, char out[TARGET_NAME_SIZE]);
/* Copies of commits, `tg:{tag}:commits`, in one bucket of the whole. */
struct slice target_commits(unsigned bucket, char out[TARGET_NAME_SIZE]);
/* The channel, and the key, of a node's beat: `tg:{tag}:beat`, of the first bucket that the node holds. */
struct slice target_beat(unsigned bucket, char out[TARGET_NAME_SIZE]);
/* The target that a channel's name ends with, a part of it; -1 when it is no target's channel. That the tag is the
 * target's own is not checked. */
int target_of_channel(struct slice channel, struct slice *target);

#endif

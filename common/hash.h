/* Three hashes, each for one use. */
#ifndef TIDEGATE_COMMON_HASH_H
#define TIDEGATE_COMMON_HASH_H

#include "common/slice.h"

/* FNV-1a, 64 bits (offset basis 0xcbf29ce484222325, prime 0x100000001b3): where a stable number is wanted. */
uint64_t hash_fnv1a(struct slice s);
/* CRC16 XMODEM (polynomial 0x1021, initial 0) as Redis Cluster uses it for key slots. */
uint16_t hash_crc16(struct slice s);
/* SipHash-2-4 under a key drawn at the process's start: for tables whose keys strangers choose. */
uint64_t hash_keyed(struct slice s);

/* A number for jitter, another one each time, in each thread and process. */
uint64_t hash_random(void);

#endif

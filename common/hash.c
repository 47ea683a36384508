/* FNV-1a, CRC16 (Redis Cluster specification, appendix A) and SipHash-2-4 (Aumasson and Bernstein, 2012). */
#include "common/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

uint64_t hash_fnv1a(struct slice s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h;
}

uint16_t hash_crc16(struct slice s)
{
    unsigned crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        crc ^= (unsigned)(unsigned char)s.p[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

static uint64_t sip_key[2];

static void draw_key(void)
{
    if (getrandom(sip_key, sizeof(sip_key), 0) != (ssize_t)sizeof(sip_key))
        BUG("getrandom failed");
}

static uint64_t rotl(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

uint64_t hash_keyed(struct slice s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_key);

    uint64_t v[4] = {sip_key[0] ^ 0x736f6d6570736575u, sip_key[1] ^ 0x646f72616e646f6du,
                     sip_key[0] ^ 0x6c7967656e657261u, sip_key[1] ^ 0x7465646279746573u};
    size_t at = 0;
    for (; at + 8 <= s.n; at += 8) {
        uint64_t word;
        memcpy(&word, s.p + at, 8);
        sip_word(v, word);
    }
    uint64_t last = (uint64_t)s.n << 56;
    for (size_t i = 0; at + i < s.n; i++)
        last |= (uint64_t)(unsigned char)s.p[at + i] << (8 * i);
    sip_word(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_random(void)
{
    static _Thread_local uint64_t seed[2];
    seed[0] = (uint64_t)(uintptr_t)seed; /* tells threads apart */
    seed[1]++;
    return hash_keyed(slice_make(seed, sizeof(seed)));
}

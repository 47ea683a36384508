/* header.claims.signature, each in base64url; the header never changes. */
#include "loadtest/lib/token.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define HEADER  "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." /* {"alg":"HS256","typ":"JWT"} */
#define DAY_S   86400u
#define MAC_LEN 32

/* base64url without padding (RFC 4648 section 5); returns the length. */
static size_t base64url(const unsigned char *in, size_t n, char *out)
{
    size_t len = (size_t)EVP_EncodeBlock((unsigned char *)out, in, (int)n);
    while (len > 0 && out[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    return len;
}

size_t token_make(struct slice secret, uint64_t user, uint64_t now_s, char out[TOKEN_MAX])
{
    char claims[96];
    unsigned char mac[EVP_MAX_MD_SIZE];
    int claims_len =
        snprintf(claims, sizeof(claims), "{\"sub\":\"u%" PRIu64 "\",\"iat\":%" PRIu64 ",\"exp\":%" PRIu64 "}", user,
                 now_s, now_s + DAY_S);
    size_t n = sizeof(HEADER) - 1;
    memcpy(out, HEADER, n);
    n += base64url((const unsigned char *)claims, (size_t)claims_len, out + n);
    HMAC(EVP_sha256(), secret.p, (int)secret.n, (const unsigned char *)out, n, mac, NULL);
    out[n++] = '.';
    return n + base64url(mac, MAC_LEN, out + n);
}

/* Bearer tokens for made-up users, signed in-process. */
#ifndef TIDEGATE_LOADTEST_TOKEN_H
#define TIDEGATE_LOADTEST_TOKEN_H

#include "common/slice.h"

#define TOKEN_MAX 256

/* Writes a JWT (RFC 7519, HS256) with sub "u<user>", iat now_s and exp a day later; returns its length. */
size_t token_make(struct slice secret, uint64_t user, uint64_t now_s, char out[TOKEN_MAX]);

#endif

/* Tokens: RFC 7519 claims in an RFC 7515 compact signature. The algorithm is the configuration's, never the token's.
 * With auth.h the only files that see a token; none is ever logged. */
#ifndef TIDEGATE_GATEWAY_JWT_H
#define TIDEGATE_GATEWAY_JWT_H

#include "common/buf.h"

enum jwt_result {
    JWT_OK,
    JWT_MISSING,
    JWT_MALFORMED, /* not three parts of base64url, or header or claims are no JSON objects */
    JWT_ALG,       /* another algorithm than configured; `none` too */
    JWT_SIGNATURE,
    JWT_EXPIRED,
    JWT_NOT_YET, /* nbf is ahead */
    JWT_NO_EXP,  /* none, and JWT_REQUIRE_EXP=1 */
    JWT_ISSUER,
    JWT_AUDIENCE,
    JWT_USER, /* no claim of JWT_USER_CLAIMS holds an id: text of 1 to 254 bytes or an integer */
    JWT_RESULT_COUNT
};

/* Each in snake_case, for logs and metrics. */
extern const char *const jwt_result_words[JWT_RESULT_COUNT];

struct jwt_policy {
    void *key;               /* owned: a cjose key */
    const char *alg;         /* "HS256" */
    const char *issuer;      /* NULL: any */
    const char *audience;    /* NULL: any */
    const char *user_claims; /* comma separated, the first present decides */
    uint64_t leeway_s;
    bool require_exp;
};

/* Sets key from the secret; the other members are the caller's to set. 0, or -1 when the library refuses the secret. */
int jwt_policy_init(struct jwt_policy *p, struct slice secret);
void jwt_policy_release(struct jwt_policy *p);

struct jwt_claims {
    struct buf user_json; /* the id's bytes in the token: 1 or "1" */
    struct buf user;      /* its text: 1 */
    uint64_t expires_s;   /* leeway included; 0: never */
};
void jwt_claims_release(struct jwt_claims *c);

/* Checks a token at the time given. *claims (zeroed by the caller, to be released by it) is filled on JWT_OK. */
enum jwt_result jwt_verify(const struct jwt_policy *p, struct slice token, uint64_t now_s, struct jwt_claims *claims);

/* Appends a token that jwt_verify accepts from now_s to life_s later: the user in the first claim that may hold it, and
 * the issuer and audience that are asked for. 0, or -1 when the user is no id or the library refuses. */
int jwt_sign(const struct jwt_policy *p, struct slice user, uint64_t now_s, uint64_t life_s, struct buf *out);

#endif

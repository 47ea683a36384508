/* Who is asking: finds the token of a request, checks it, and compares it with the user that the path names. */
#ifndef TIDEGATE_GATEWAY_AUTH_H
#define TIDEGATE_GATEWAY_AUTH_H

#include "gateway/close.h"
#include "gateway/config.h"
#include "gateway/jwt.h"

struct auth {
    const struct gateway_config *cfg;
    struct jwt_policy policy;
};

int auth_init(struct auth *a, const struct gateway_config *cfg);
void auth_release(struct auth *a);

/* Where tokens may stand; p NULL where there is none. The first that is present counts. */
struct auth_sources {
    struct slice query, authorization, subprotocol;
    struct slice path_user; /* decoded; p NULL: the path names nobody */
};

struct auth_verdict {
    bool ok;
    enum close_reason refusal; /* TOKEN or WRONG_USER, unless ok */
    enum jwt_result token;     /* what the token was */
    struct jwt_claims claims;  /* to be released by the caller in every case */
};

void auth_check(const struct auth *a, const struct auth_sources *from, uint64_t now_s, struct auth_verdict *out);

/* True when the header is "Bearer" and the server credential API_TOKEN; compares in constant time. */
bool auth_is_server(const struct auth *a, struct slice authorization);

#endif

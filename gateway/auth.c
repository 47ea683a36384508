/* The order of sources is query, Authorization, sub-protocol; WS_AUTH=path believes the path when none has a token. */
#include "gateway/auth.h"
#include "common/json_write.h"
#include "common/target.h"

#include <openssl/crypto.h>

static const char *const algorithms[] = {
    [JWT_ALG_HS256] = "HS256", [JWT_ALG_HS384] = "HS384", [JWT_ALG_HS512] = "HS512"};

int auth_init(struct auth *a, const struct gateway_config *cfg)
{
    *a = (struct auth){.cfg = cfg,
                       .policy = {.alg = algorithms[cfg->jwt_alg],
                                  .issuer = cfg->jwt_issuer,
                                  .audience = cfg->jwt_audience,
                                  .user_claims = cfg->jwt_user_claims,
                                  .leeway_s = cfg->jwt_leeway / 1000,
                                  .require_exp = cfg->jwt_require_exp}};
    return cfg->jwt_secret != NULL ? jwt_policy_init(&a->policy, slice_of(cfg->jwt_secret)) : 0;
}

void auth_release(struct auth *a)
{
    if (a->policy.key != NULL)
        jwt_policy_release(&a->policy);
}

/* RFC 6750 section 2.1; p NULL when the header is of another scheme. */
static struct slice bearer(struct slice authorization)
{
    const struct slice scheme = SLICE("bearer ");
    if (authorization.n < scheme.n || !slice_eq_nocase(slice_make(authorization.p, scheme.n), scheme))
        return (struct slice){NULL, 0};
    return slice_trim(slice_from(authorization, scheme.n));
}

static struct slice find_token(const struct auth_sources *from)
{
    if (from->query.p != NULL)
        return from->query;
    struct slice token = bearer(from->authorization);
    return token.p != NULL ? token : from->subprotocol;
}

/* WS_AUTH=path: the path is believed. */
static bool believe_path(struct slice user, struct auth_verdict *out)
{
    struct buf target = {0};
    bool ok = target_append_user(&target, user) == 0;
    buf_release(&target);
    if (ok) {
        buf_append(&out->claims.user, user);
        json_write_string(&out->claims.user_json, user);
    }
    return ok;
}

void auth_check(const struct auth *a, const struct auth_sources *from, uint64_t now_s, struct auth_verdict *out)
{
    *out = (struct auth_verdict){.refusal = CLOSE_TOKEN, .token = JWT_MISSING};
    struct slice token = find_token(from);
    if (token.n == 0 && a->cfg->ws_auth == WS_AUTH_PATH && from->path_user.n > 0) {
        out->ok = believe_path(from->path_user, out);
        return;
    }
    if (a->policy.key != NULL)
        out->token = jwt_verify(&a->policy, token, now_s, &out->claims);
    if (out->token != JWT_OK)
        return;
    if (from->path_user.p != NULL && !slice_eq(from->path_user, buf_slice(&out->claims.user))) {
        out->refusal = CLOSE_WRONG_USER;
        return;
    }
    out->ok = true;
}

bool auth_is_server(const struct auth *a, struct slice authorization)
{
    struct slice token = bearer(authorization), mine = slice_of(a->cfg->api_token);
    return mine.n > 0 && token.n == mine.n && CRYPTO_memcmp(token.p, mine.p, mine.n) == 0;
}

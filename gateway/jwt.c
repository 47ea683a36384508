/* cjose checks the signature; everything around it is checked here: the algorithm before, the claims after. */
#include "gateway/jwt.h"
#include "common/config.h"
#include "common/json.h"
#include "common/json_write.h"
#include "common/target.h"

#include <cjose/cjose.h>
#include <inttypes.h>
#include <stdlib.h>

#define CLAIMS_DEPTH 16

const char *const jwt_result_words[JWT_RESULT_COUNT] = {[JWT_OK] = "ok",
                                                        [JWT_MISSING] = "missing",
                                                        [JWT_MALFORMED] = "malformed",
                                                        [JWT_ALG] = "algorithm",
                                                        [JWT_SIGNATURE] = "signature",
                                                        [JWT_EXPIRED] = "expired",
                                                        [JWT_NOT_YET] = "not_yet_valid",
                                                        [JWT_NO_EXP] = "no_expiry",
                                                        [JWT_ISSUER] = "issuer",
                                                        [JWT_AUDIENCE] = "audience",
                                                        [JWT_USER] = "no_user"};

int jwt_policy_init(struct jwt_policy *p, struct slice secret)
{
    cjose_err err;
    p->key = cjose_jwk_create_oct_spec((const uint8_t *)secret.p, secret.n, &err);
    return p->key != NULL ? 0 : -1;
}

void jwt_policy_release(struct jwt_policy *p)
{
    cjose_jwk_release(p->key);
    p->key = NULL;
}

void jwt_claims_release(struct jwt_claims *c)
{
    buf_release(&c->user_json);
    buf_release(&c->user);
}

/* NumericDate, RFC 7519 section 2: seconds, perhaps with a fraction. False when v is no number at or above zero. */
static bool read_date(struct json_value v, uint64_t *seconds)
{
    char text[40];
    if (v.kind != JSON_NUMBER || v.raw.n >= sizeof(text))
        return false;
    memcpy(text, v.raw.p, v.raw.n);
    text[v.raw.n] = '\0';
    double value = strtod(text, NULL);
    if (!(value >= 0 && value < 1e15))
        return false;
    *seconds = (uint64_t)value;
    return true;
}

static enum jwt_result check_times(const struct jwt_policy *p, struct json_value exp, struct json_value nbf,
                                   uint64_t now_s, struct jwt_claims *claims)
{
    uint64_t at;
    if (exp.kind == JSON_ABSENT && p->require_exp)
        return JWT_NO_EXP;
    if (exp.kind != JSON_ABSENT) {
        if (!read_date(exp, &at))
            return JWT_MALFORMED;
        claims->expires_s = at + p->leeway_s;
        if (now_s >= claims->expires_s)
            return JWT_EXPIRED;
    }
    if (nbf.kind != JSON_ABSENT) {
        if (!read_date(nbf, &at))
            return JWT_MALFORMED;
        if (now_s + p->leeway_s < at)
            return JWT_NOT_YET;
    }
    return JWT_OK;
}

/* RFC 7519 section 4.1.3: one string, or an array in which one must match. */
static bool names_audience(struct json_value aud, const char *wanted)
{
    if (aud.kind == JSON_STRING)
        return json_string_is(aud.raw, slice_of(wanted));
    struct json_iter it = json_iter(aud);
    struct slice key;
    struct json_value v;
    while (aud.kind == JSON_ARRAY && json_next(&it, &key, &v))
        if (v.kind == JSON_STRING && json_string_is(v.raw, slice_of(wanted)))
            return true;
    return false;
}

static bool take_user(struct json_value v, struct jwt_claims *claims)
{
    struct slice text = v.raw;
    struct buf scratch = {0}, target = {0};
    bool is_id = json_is_integer(v) || (v.kind == JSON_STRING && json_string_decode(v, &scratch, &text) == 0);
    is_id = is_id && target_append_user(&target, text) == 0;
    if (is_id) {
        buf_append(&claims->user, text);
        buf_append(&claims->user_json, v.raw);
    }
    buf_release(&scratch);
    buf_release(&target);
    return is_id;
}

static enum jwt_result find_user(const struct jwt_policy *p, struct json_value root, struct jwt_claims *claims)
{
    struct slice rest = slice_of(p->user_claims), name;
    while (config_list_next(&rest, &name)) {
        struct json_value v = json_get(root, name);
        if (v.kind != JSON_ABSENT && v.kind != JSON_NULL)
            return take_user(v, claims) ? JWT_OK : JWT_USER;
    }
    return JWT_USER;
}

static enum jwt_result check_claims(const struct jwt_policy *p, struct slice text, uint64_t now_s,
                                    struct jwt_claims *claims)
{
    enum { EXP, NBF, ISS, AUD, COUNT };
    const struct slice wanted[COUNT] = {SLICE("exp"), SLICE("nbf"), SLICE("iss"), SLICE("aud")};
    struct json_value root, v[COUNT];
    struct json_error err;
    if (json_parse(text, CLAIMS_DEPTH, &root, &err) != 0 || json_pick(root, wanted, COUNT, v, &err) != 0)
        return JWT_MALFORMED;
    enum jwt_result r = check_times(p, v[EXP], v[NBF], now_s, claims);
    if (r != JWT_OK)
        return r;
    if (p->issuer != NULL && !(v[ISS].kind == JSON_STRING && json_string_is(v[ISS].raw, slice_of(p->issuer))))
        return JWT_ISSUER;
    if (p->audience != NULL && !names_audience(v[AUD], p->audience))
        return JWT_AUDIENCE;
    return find_user(p, root, claims);
}

static enum jwt_result check_signature(const struct jwt_policy *p, cjose_jws_t *jws)
{
    cjose_err err;
    cjose_header_t *header = cjose_jws_get_protected(jws);
    const char *alg = cjose_header_get(header, CJOSE_HDR_ALG, &err);
    if (alg == NULL || strcmp(alg, p->alg) != 0)
        return JWT_ALG;
    /* RFC 7515 section 4.1.11: extensions that must be understood, and none is */
    char *critical = cjose_header_get_raw(header, "crit", &err);
    if (critical != NULL) {
        cjose_get_dealloc()(critical);
        return JWT_MALFORMED;
    }
    return cjose_jws_verify(jws, p->key, &err) ? JWT_OK : JWT_SIGNATURE;
}

/* Base64url without padding, RFC 7515 section 2; cjose asserts that others have seen to that. */
static bool is_base64url(struct slice part)
{
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!digit)
            return false;
    }
    return part.n > 0 && part.n % 4 != 1;
}

/* RFC 7515 section 7.1: header, claims, signature, which is empty where alg is none. */
static bool is_compact(struct slice token)
{
    struct slice header = slice_cut(&token, '.'), claims = slice_cut(&token, '.'), signature = token;
    return is_base64url(header) && is_base64url(claims) && signature.p != NULL &&
           (signature.n == 0 || is_base64url(signature));
}

enum jwt_result jwt_verify(const struct jwt_policy *p, struct slice token, uint64_t now_s, struct jwt_claims *claims)
{
    cjose_err err;
    uint8_t *text;
    size_t n;
    if (token.n == 0)
        return JWT_MISSING;
    if (!is_compact(token))
        return JWT_MALFORMED;
    cjose_jws_t *jws = cjose_jws_import(token.p, token.n, &err);
    if (jws == NULL)
        return JWT_MALFORMED;
    enum jwt_result r = check_signature(p, jws);
    if (r == JWT_OK && !cjose_jws_get_plaintext(jws, &text, &n, &err))
        r = JWT_MALFORMED;
    if (r == JWT_OK)
        r = check_claims(p, slice_make(text, n), now_s, claims);
    cjose_jws_release(jws);
    return r;
}

static void add_claim(struct buf *claims, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(claims, ",\"%s\":", name);
    json_write_string(claims, slice_of(value));
}

static void write_claims(const struct jwt_policy *p, struct slice user, uint64_t now_s, uint64_t life_s,
                         struct buf *claims)
{
    struct slice rest = slice_of(p->user_claims), name;
    if (!config_list_next(&rest, &name))
        BUG("no claim may hold the user");
    buf_byte(claims, '{');
    json_write_string(claims, name);
    buf_byte(claims, ':');
    json_write_string(claims, user);
    buf_printf(claims, ",\"iat\":%" PRIu64 ",\"exp\":%" PRIu64, now_s, now_s + life_s);
    add_claim(claims, "iss", p->issuer);
    add_claim(claims, "aud", p->audience);
    buf_byte(claims, '}');
}

static int sign_claims(const struct jwt_policy *p, struct slice claims, struct buf *out)
{
    cjose_err err;
    const char *token = NULL;
    cjose_jws_t *jws = NULL;
    cjose_header_t *header = cjose_header_new(&err);
    if (header != NULL && cjose_header_set(header, CJOSE_HDR_ALG, p->alg, &err))
        jws = cjose_jws_sign(p->key, header, (const uint8_t *)claims.p, claims.n, &err);
    if (jws != NULL && cjose_jws_export(jws, &token, &err))
        buf_append(out, slice_of(token));
    cjose_jws_release(jws);
    cjose_header_release(header);
    return token != NULL ? 0 : -1;
}

int jwt_sign(const struct jwt_policy *p, struct slice user, uint64_t now_s, uint64_t life_s, struct buf *out)
{
    struct buf claims = {0}, target = {0};
    int rc = target_append_user(&target, user);
    if (rc == 0) {
        write_claims(p, user, now_s, life_s, &claims);
        rc = sign_claims(p, buf_slice(&claims), out);
    }
    buf_release(&claims);
    buf_release(&target);
    return rc;
}

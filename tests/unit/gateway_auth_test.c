/* Tokens of every kind, made here with OpenSSL's HMAC, so that the library under test does not judge itself. */
#include "gateway/auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define NOW    1700000000u

static void base64url(struct buf *out, const void *bytes, size_t n)
{
    char text[4096];
    int len = EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
    while (len > 0 && text[len - 1] == '=')
        len--;
    for (int i = 0; i < len; i++)
        buf_byte(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
}

static struct buf token(const char *header, const char *claims, const char *secret)
{
    struct buf t = {0};
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_n;
    base64url(&t, header, strlen(header));
    buf_byte(&t, '.');
    base64url(&t, claims, strlen(claims));
    HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)t.p, t.n, mac, &mac_n);
    buf_byte(&t, '.');
    base64url(&t, mac, mac_n);
    return t;
}

static struct gateway_config config(void)
{
    return (struct gateway_config){
        .jwt_secret = SECRET, .jwt_user_claims = "sub,user_id,userId", .jwt_alg = JWT_ALG_HS256};
}

static struct auth_verdict check(const struct gateway_config *cfg, struct slice text, struct slice path_user)
{
    struct auth a;
    struct auth_verdict v;
    struct auth_sources from = {.query = text, .path_user = path_user};
    assert_int_equal(auth_init(&a, cfg), 0);
    auth_check(&a, &from, NOW, &v);
    auth_release(&a);
    return v;
}

/* The verdict on claims under a configuration: checks the reason, and the user's JSON when it is accepted. */
static void judge(const struct gateway_config *cfg, const char *header, const char *claims, enum jwt_result want,
                  const char *user_json, const char *user)
{
    struct buf t = token(header, claims, SECRET);
    struct auth_verdict v = check(cfg, buf_slice(&t), (struct slice){NULL, 0});
    if (v.token != want)
        fail_msg("%s %s: %s", header, claims, jwt_result_words[v.token]);
    assert_true(v.ok == (want == JWT_OK));
    if (v.ok) {
        assert_true(slice_eq(buf_slice(&v.claims.user_json), slice_of(user_json)));
        assert_true(slice_eq(buf_slice(&v.claims.user), slice_of(user)));
    } else {
        assert_int_equal(v.refusal, CLOSE_TOKEN);
    }
    jwt_claims_release(&v.claims);
    buf_release(&t);
}

static void user_ids_keep_their_type(void **state)
{
    struct gateway_config cfg = config();
    judge(&cfg, HEADER, "{\"sub\":1}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":\"1\"}", JWT_OK, "\"1\"", "1");
    judge(&cfg, HEADER, "{\"sub\":123456789012345678901}", JWT_OK, "123456789012345678901", "123456789012345678901");
    judge(&cfg, HEADER, "{\"sub\":\"a\\u00e9\"}", JWT_OK, "\"a\\u00e9\"", "a\xc3\xa9");
    judge(&cfg, HEADER, "{\"userId\":\"u\",\"user_id\":2}", JWT_OK, "2", "2");
    judge(&cfg, HEADER, "{\"sub\":null,\"userId\":\"u\"}", JWT_OK, "\"u\"", "u");
    const char *none[] = {"{}",
                          "{\"sub\":\"\"}",
                          "{\"sub\":1.5}",
                          "{\"sub\":1e3}",
                          "{\"sub\":true}",
                          "{\"sub\":[1]}",
                          "{\"sub\":\"a\\u0000\"}",
                          "{\"sub\":\"\\ud800\"}",
                          "{\"id\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        judge(&cfg, HEADER, none[i], JWT_USER, NULL, NULL);
    cfg.jwt_user_claims = "id";
    judge(&cfg, HEADER, "{\"id\":1,\"sub\":2}", JWT_OK, "1", "1");
}

static void times_are_checked(void **state)
{
    struct gateway_config cfg = config();
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":1700000001}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":1700000001.9}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":1700000000}", JWT_EXPIRED, NULL, NULL);
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":\"1700000001\"}", JWT_MALFORMED, NULL, NULL);
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":-1}", JWT_MALFORMED, NULL, NULL);
    judge(&cfg, HEADER, "{\"sub\":1,\"nbf\":1700000000}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":1,\"nbf\":1700000001}", JWT_NOT_YET, NULL, NULL);
    cfg.jwt_leeway = 10000;
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":1699999991,\"nbf\":1700000010}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":1,\"exp\":1699999990}", JWT_EXPIRED, NULL, NULL);
    cfg.jwt_require_exp = true;
    judge(&cfg, HEADER, "{\"sub\":1}", JWT_NO_EXP, NULL, NULL);
}

static void issuer_and_audience(void **state)
{
    struct gateway_config cfg = config();
    judge(&cfg, HEADER, "{\"sub\":1,\"iss\":\"x\",\"aud\":\"y\"}", JWT_OK, "1", "1");
    cfg.jwt_issuer = "me";
    judge(&cfg, HEADER, "{\"sub\":1}", JWT_ISSUER, NULL, NULL);
    judge(&cfg, HEADER, "{\"sub\":1,\"iss\":\"me\"}", JWT_OK, "1", "1");
    cfg.jwt_audience = "us";
    judge(&cfg, HEADER, "{\"sub\":1,\"iss\":\"me\"}", JWT_AUDIENCE, NULL, NULL);
    judge(&cfg, HEADER, "{\"sub\":1,\"iss\":\"me\",\"aud\":\"us\"}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":1,\"iss\":\"me\",\"aud\":[\"a\",\"us\"]}", JWT_OK, "1", "1");
    judge(&cfg, HEADER, "{\"sub\":1,\"iss\":\"me\",\"aud\":[\"a\",[\"us\"]]}", JWT_AUDIENCE, NULL, NULL);
}

static void the_token_does_not_choose_its_algorithm(void **state)
{
    struct gateway_config cfg = config();
    judge(&cfg, "{\"alg\":\"none\"}", "{\"sub\":1}", JWT_ALG, NULL, NULL);
    judge(&cfg, "{\"alg\":\"HS512\"}", "{\"sub\":1}", JWT_ALG, NULL, NULL);
    judge(&cfg, "{\"alg\":\"RS256\"}", "{\"sub\":1}", JWT_ALG, NULL, NULL);
    judge(&cfg, "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":true}", "{\"sub\":1}", JWT_MALFORMED, NULL, NULL);
    cfg.jwt_alg = JWT_ALG_HS512;
    judge(&cfg, HEADER, "{\"sub\":1}", JWT_ALG, NULL, NULL);
}

static void signatures(void **state)
{
    struct gateway_config cfg = config();
    struct buf t = token(HEADER, "{\"sub\":1}", "another secret");
    assert_int_equal(check(&cfg, buf_slice(&t), (struct slice){NULL, 0}).token, JWT_SIGNATURE);
    buf_release(&t);
    t = token(HEADER, "{\"sub\":1}", SECRET);
    char *dot = memrchr(t.p, '.', t.n);
    assert_int_equal(check(&cfg, slice_make(t.p, (size_t)(dot - t.p) + 1), (struct slice){NULL, 0}).ok, false);
    buf_release(&t);
    const char *malformed[] = {"x", "..", "a.b", "a.b.c.d", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9",
                               /* padding, which the token library would abort the process over */
                               "A=AA.e30.AAAA", "e30=.e30.AAAA", "e30.A=AA.AAAA", "e30.e30.A=AA", "e30.e30.AAAAA",
                               "e3+0.e30.AAAA", "e30.e30 .AAAA"};
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        assert_int_equal(check(&cfg, slice_of(malformed[i]), (struct slice){NULL, 0}).token, JWT_MALFORMED);
    assert_int_equal(check(&cfg, SLICE(""), (struct slice){NULL, 0}).token, JWT_MISSING);
}

static void claims_must_be_an_object(void **state)
{
    struct gateway_config cfg = config();
    const char *bad[] = {"", "1", "[]", "{\"sub\":1", "{\"exp\":1,\"exp\":2,\"sub\":1}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        judge(&cfg, HEADER, bad[i], JWT_MALFORMED, NULL, NULL);
}

static void the_path_must_name_the_tokens_user(void **state)
{
    struct gateway_config cfg = config();
    struct buf t = token(HEADER, "{\"sub\":1}", SECRET);
    struct auth_verdict v = check(&cfg, buf_slice(&t), SLICE("1"));
    assert_true(v.ok);
    jwt_claims_release(&v.claims);
    v = check(&cfg, buf_slice(&t), SLICE("01"));
    assert_false(v.ok);
    assert_int_equal(v.refusal, CLOSE_WRONG_USER);
    jwt_claims_release(&v.claims);
    assert_int_equal(check(&cfg, SLICE(""), SLICE("1")).token, JWT_MISSING);
    cfg.ws_auth = WS_AUTH_PATH;
    v = check(&cfg, SLICE(""), SLICE("a\"b"));
    assert_true(v.ok);
    assert_true(slice_eq(buf_slice(&v.claims.user_json), SLICE("\"a\\\"b\"")));
    jwt_claims_release(&v.claims);
    assert_int_equal(check(&cfg, SLICE("bad"), SLICE("1")).token, JWT_MALFORMED);
    buf_release(&t);
}

static void sources_in_order(void **state)
{
    struct gateway_config cfg = config();
    struct auth a;
    struct auth_verdict v;
    struct buf one = token(HEADER, "{\"sub\":1}", SECRET), two = {0};
    buf_printf(&two, "bEARER  %.*s ", SLICE_ARG(buf_slice(&one)));
    assert_int_equal(auth_init(&a, &cfg), 0);
    auth_check(&a, &(struct auth_sources){.authorization = buf_slice(&two), .subprotocol = SLICE("bad")}, NOW, &v);
    assert_true(v.ok);
    jwt_claims_release(&v.claims);
    auth_check(&a, &(struct auth_sources){.authorization = SLICE("Basic x"), .subprotocol = buf_slice(&one)}, NOW, &v);
    assert_true(v.ok);
    jwt_claims_release(&v.claims);
    auth_check(&a, &(struct auth_sources){.query = SLICE("bad"), .subprotocol = buf_slice(&one)}, NOW, &v);
    assert_false(v.ok);
    buf_release(&one);
    buf_release(&two);
    auth_release(&a);
}

/* What is signed here is accepted here, and by nobody else. */
static void tokens_of_our_own(void **state)
{
    struct gateway_config cfg = config(), other;
    cfg.jwt_user_claims = "user_id,sub";
    cfg.jwt_issuer = "iss \"1\"";
    cfg.jwt_audience = "aud";
    cfg.jwt_require_exp = true;
    for (int alg = JWT_ALG_HS256; alg <= JWT_ALG_HS512; alg++) {
        struct auth a;
        struct buf t = {0};
        cfg.jwt_alg = (enum config_jwt_alg)alg;
        assert_int_equal(auth_init(&a, &cfg), 0);
        assert_int_equal(jwt_sign(&a.policy, SLICE("u \"1\""), NOW, 60, &t), 0);
        auth_release(&a);
        struct auth_verdict v = check(&cfg, buf_slice(&t), (struct slice){0});
        assert_true(v.ok);
        assert_true(slice_eq(buf_slice(&v.claims.user), SLICE("u \"1\"")));
        assert_int_equal(v.claims.expires_s, NOW + 60);
        jwt_claims_release(&v.claims);
        other = cfg;
        other.jwt_secret = "fedcba9876543210fedcba9876543210";
        v = check(&other, buf_slice(&t), (struct slice){0});
        assert_int_equal(v.token, JWT_SIGNATURE);
        jwt_claims_release(&v.claims);
        buf_release(&t);
    }
}

static void no_token_for_no_user(void **state)
{
    struct gateway_config cfg = config();
    struct auth a;
    struct buf t = {0};
    char long_name[300];
    memset(long_name, 'x', sizeof(long_name));
    assert_int_equal(auth_init(&a, &cfg), 0);
    assert_int_equal(jwt_sign(&a.policy, SLICE(""), NOW, 60, &t), -1);
    assert_int_equal(jwt_sign(&a.policy, slice_make(long_name, sizeof(long_name)), NOW, 60, &t), -1);
    assert_int_equal(t.n, 0);
    auth_release(&a);
}

static void the_server_credential(void **state)
{
    struct gateway_config cfg = config();
    struct auth a;
    assert_int_equal(auth_init(&a, &cfg), 0);
    assert_false(auth_is_server(&a, SLICE("Bearer ")));
    cfg.api_token = "server";
    assert_true(auth_is_server(&a, SLICE("Bearer server")));
    assert_false(auth_is_server(&a, SLICE("Bearer Server")));
    assert_false(auth_is_server(&a, SLICE("server")));
    assert_false(auth_is_server(&a, (struct slice){NULL, 0}));
    auth_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(user_ids_keep_their_type),
        cmocka_unit_test(times_are_checked),
        cmocka_unit_test(issuer_and_audience),
        cmocka_unit_test(the_token_does_not_choose_its_algorithm),
        cmocka_unit_test(signatures),
        cmocka_unit_test(claims_must_be_an_object),
        cmocka_unit_test(the_path_must_name_the_tokens_user),
        cmocka_unit_test(sources_in_order),
        cmocka_unit_test(tokens_of_our_own),
        cmocka_unit_test(no_token_for_no_user),
        cmocka_unit_test(the_server_credential),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}

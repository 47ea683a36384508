/* Tokens that strangers make up, and tokens with a good signature over claims that nobody expected. The first byte says
 * which: 0, the rest is a token; 1, it is the claims; 2, header and claims with a line feed between them. */
#include "common/json.h"
#include "common/target.h"
#include "gateway/jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "a secret of the fuzzer, 32 bytes!"
#define NOW    1700000000u

static void append_base64url(struct buf *b, struct slice bytes)
{
    char *out = xmalloc(bytes.n * 4 / 3 + 8);
    int n = EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)bytes.p, (int)bytes.n);
    for (int i = 0; i < n && out[i] != '='; i++)
        buf_byte(b, out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    free(out);
}

static void sign(struct buf *token, struct slice header, struct slice claims)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_n = 0;
    append_base64url(token, header);
    buf_byte(token, '.');
    append_base64url(token, claims);
    HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (unsigned char *)token->p, token->n, mac, &mac_n);
    buf_byte(token, '.');
    append_base64url(token, slice_make(mac, mac_n));
}

/* What every accepted token's user must be: a name of a target, and its JSON a value that reads as that name. */
static void check_claims(const struct jwt_claims *c)
{
    struct buf name = {0}, scratch = {0};
    struct json_value v;
    struct json_error err;
    struct slice text;
    if (target_append_user(&name, buf_slice(&c->user)) != 0)
        BUG("a user id that is no target");
    if (json_parse(buf_slice(&c->user_json), 1, &v, &err) != 0)
        BUG("a user id that is no JSON");
    text = v.raw;
    if (v.kind == JSON_STRING && json_string_decode(v, &scratch, &text) != 0)
        BUG("a user id that cannot be read");
    if (!slice_eq(text, buf_slice(&c->user)))
        BUG("user and user_json are not the same");
    if (c->expires_s != 0 && c->expires_s <= NOW)
        BUG("an expired token passed");
    buf_release(&name);
    buf_release(&scratch);
}

static enum jwt_result verify(struct slice token, bool strict)
{
    static struct jwt_policy policy;
    if (policy.key == NULL && jwt_policy_init(&policy, SLICE(SECRET)) != 0)
        BUG("the secret is refused");
    policy.alg = "HS256";
    policy.user_claims = "sub,user_id,userId";
    policy.issuer = strict ? "me" : NULL;
    policy.audience = strict ? "app" : NULL;
    policy.require_exp = strict;
    struct jwt_claims claims = {.expires_s = 0};
    enum jwt_result r = jwt_verify(&policy, token, NOW, &claims);
    if (r == JWT_OK)
        check_claims(&claims);
    if ((unsigned)r >= JWT_RESULT_COUNT || jwt_result_words[r] == NULL)
        BUG("no such result");
    jwt_claims_release(&claims);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct slice rest = slice_make(data + 1, size - 1), header = SLICE("{\"alg\":\"HS256\"}");
    struct buf token = {0};
    if (data[0] % 3 == 0) {
        buf_append(&token, rest);
    } else {
        if (data[0] % 3 == 2)
            header = slice_cut(&rest, '\n');
        sign(&token, header, rest);
    }
    /* what passes under strict rules passes under lax ones */
    if (verify(buf_slice(&token), true) == JWT_OK && verify(buf_slice(&token), false) != JWT_OK)
        BUG("refused only when less is asked");
    verify(buf_slice(&token), false);
    buf_release(&token);
    return 0;
}

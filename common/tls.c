/* OpenSSL between two memory BIOs: what the socket brought is written into one, what it is to carry is read from the
 * other. */
#include "common/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_CHUNK 16384 /* a record's text (RFC 8446, section 5.1) */

struct tls_client {
    SSL_CTX *ctx;
    char *server_name; /* NULL: the host */
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    bool ready;
    char reason[TLS_REASON_SIZE];
};

static const char *openssl_words(void)
{
    const char *words = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return words != NULL ? words : "no reason given";
}

static int load_trust(SSL_CTX *ctx, const char *ca, char **why)
{
    int ok = ca != NULL ? SSL_CTX_load_verify_locations(ctx, ca, NULL) : SSL_CTX_set_default_verify_paths(ctx);
    if (ok == 1)
        return 0;
    *why = xasprintf("the certificates to trust cannot be read from %s: %s", ca != NULL ? ca : "the system's folder",
                     openssl_words());
    return -1;
}

static int load_own(SSL_CTX *ctx, const struct tls_files *files, char **why)
{
    if (files->cert == NULL && files->key == NULL)
        return 0;
    if (files->cert == NULL || files->key == NULL) {
        *why = xstrdup("a certificate of our own needs its key, and a key its certificate");
        return -1;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ctx) == 1)
        return 0;
    *why = xasprintf("%s and %s are no certificate and its key: %s", files->cert, files->key, openssl_words());
    return -1;
}

struct tls_client *tls_client_new(const struct tls_files *files, char **why)
{
    struct tls_client *c = xcalloc(1, sizeof(*c));
    c->ctx = SSL_CTX_new(TLS_client_method());
    if (c->ctx == NULL)
        BUG("no TLS in this OpenSSL");
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS);
    c->server_name = files->server_name != NULL ? xstrdup(files->server_name) : NULL;
    if (load_trust(c->ctx, files->ca, why) == 0 && load_own(c->ctx, files, why) == 0)
        return c;
    tls_client_free(c);
    return NULL;
}

void tls_client_free(struct tls_client *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    free(c->server_name);
    free(c);
}

/* An address is looked for among the certificate's addresses; names also tell the server which certificate is meant. */
static void expect(SSL *ssl, const char *name)
{
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
        return;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set1_host(ssl, name) != 1 || SSL_set_tlsext_host_name(ssl, name) != 1)
        BUG("OpenSSL does not take the name %s", name);
}

static int fail(struct tls *t)
{
    long verified = SSL_get_verify_result(t->ssl);
    const char *words = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : openssl_words();
    snprintf(t->reason, sizeof(t->reason), "TLS: %s", words);
    ERR_clear_error();
    return -1;
}

static int shake_hands(struct tls *t)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    t->ready = rc == 1;
    return rc == 1 || SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ ? 0 : fail(t);
}

struct tls *tls_new(const struct tls_client *c, const char *host)
{
    struct tls *t = xcalloc(1, sizeof(*t));
    t->ssl = SSL_new(c->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->ssl == NULL || t->in == NULL || t->out == NULL)
        BUG("out of memory");
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_connect_state(t->ssl);
    expect(t->ssl, c->server_name != NULL ? c->server_name : host);
    (void)shake_hands(t); /* nothing was heard yet that it could fail for */
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    free(t);
}

int tls_feed(struct tls *t, struct slice bytes, struct buf *plain)
{
    BIO_write(t->in, bytes.p, (int)bytes.n);
    if (!t->ready && shake_hands(t) != 0)
        return -1;
    while (t->ready) {
        ERR_clear_error();
        int n = SSL_read(t->ssl, buf_reserve(plain, READ_CHUNK), READ_CHUNK);
        if (n > 0) {
            plain->n += (size_t)n;
            continue;
        }
        int error = SSL_get_error(t->ssl, n);
        if (error == SSL_ERROR_WANT_READ)
            break;
        if (error != SSL_ERROR_ZERO_RETURN)
            return fail(t);
        snprintf(t->reason, sizeof(t->reason), "TLS: the server closed the connection");
        return -1;
    }
    return 0;
}

bool tls_is_ready(const struct tls *t)
{
    return t->ready;
}

void tls_send(struct tls *t, struct slice text)
{
    assert(t->ready || text.n == 0);
    while (text.n > 0) {
        int n = SSL_write(t->ssl, text.p, (int)MIN(text.n, (size_t)INT32_MAX));
        if (n <= 0)
            return; /* a fatal error before: tls_feed says it */
        text = slice_from(text, (size_t)n);
    }
}

void tls_take_output(struct tls *t, struct buf *out)
{
    size_t n = BIO_ctrl_pending(t->out);
    if (n == 0)
        return;
    int got = BIO_read(t->out, buf_reserve(out, n), (int)n);
    out->n += got > 0 ? (size_t)got : 0;
}

const char *tls_reason(const struct tls *t)
{
    return t->reason;
}

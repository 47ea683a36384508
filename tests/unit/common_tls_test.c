/* The client's side of TLS against a server in memory, its certificates made on the spot. Bytes go over in pieces. */
#include "common/tls.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS_MAX 100

/* ---- certificates ---- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static struct identity ca, other_ca, server, server_by_address, client;
static char folder[] = "/tmp/tidegate-tls-XXXXXX";
static char ca_file[64], other_ca_file[64], cert_file[64], key_file[64];

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

static struct identity make(const char *name, const char *names, const struct identity *issuer)
{
    static long serial = 1;
    struct identity id = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    X509_set_version(id.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(id.cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                               0);
    X509_set_issuer_name(id.cert, X509_get_subject_name(issuer != NULL ? issuer->cert : id.cert));
    X509_set_pubkey(id.cert, id.key);
    if (issuer == NULL)
        add_extension(id.cert, NID_basic_constraints, "critical,CA:TRUE");
    if (names != NULL)
        add_extension(id.cert, NID_subject_alt_name, names);
    assert_true(X509_sign(id.cert, issuer != NULL ? issuer->key : id.key, EVP_sha256()) > 0);
    return id;
}

static void forget(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

static void write_cert(const char *path, X509 *cert)
{
    FILE *file = fopen(path, "w");
    assert_true(file != NULL && PEM_write_X509(file, cert) == 1);
    fclose(file);
}

static void write_key(const char *path, EVP_PKEY *key)
{
    FILE *file = fopen(path, "w");
    assert_true(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(file);
}

static int begin(void **state)
{
    ca = make("a CA", NULL, NULL);
    other_ca = make("another CA", NULL, NULL);
    server = make("redis", "DNS:redis.example", &ca);
    server_by_address = make("redis", "IP:127.0.0.1,IP:::1", &ca);
    client = make("tidegate", NULL, &ca);
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(ca_file, sizeof(ca_file), "%s/ca", folder);
    snprintf(other_ca_file, sizeof(other_ca_file), "%s/other", folder);
    snprintf(cert_file, sizeof(cert_file), "%s/cert", folder);
    snprintf(key_file, sizeof(key_file), "%s/key", folder);
    write_cert(ca_file, ca.cert);
    write_cert(other_ca_file, other_ca.cert);
    write_cert(cert_file, client.cert);
    write_key(key_file, client.key);
    return 0;
}

static int end(void **state)
{
    struct identity *all[] = {&ca, &other_ca, &server, &server_by_address, &client};
    char *files[] = {ca_file, other_ca_file, cert_file, key_file};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        forget(all[i]);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        unlink(files[i]);
    return rmdir(folder);
}

/* ---- the two ends ---- */

static SSL_CTX *server_ctx;
static SSL *peer;
static struct tls_client *c;
static struct tls *t;
static struct buf plain;
static int fed;

static void serve_as(const struct identity *id, bool asks_for_certificate, int version)
{
    server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(server_ctx, id->cert);
    SSL_CTX_use_PrivateKey(server_ctx, id->key);
    SSL_CTX_set_max_proto_version(server_ctx, version);
    if (asks_for_certificate) {
        SSL_CTX_set_verify(server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_load_verify_locations(server_ctx, ca_file, NULL);
    }
    peer = SSL_new(server_ctx);
    SSL_set_bio(peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(peer);
}

static void connect_as(const struct tls_files *files, const char *host)
{
    char *reason = NULL;
    c = tls_client_new(files, &reason);
    if (c == NULL)
        fail_msg("%s", reason);
    t = tls_new(c, host);
    fed = 0;
}

static void to_server(void)
{
    struct buf out = {0};
    tls_take_output(t, &out);
    if (out.n > 0)
        BIO_write(SSL_get_rbio(peer), out.p, (int)out.n);
    buf_release(&out);
}

/* What the server has to say, in pieces of so many bytes. */
static void from_server(size_t piece)
{
    char bytes[4096];
    int n;
    while (fed == 0 && (n = BIO_read(SSL_get_wbio(peer), bytes, (int)MIN(piece, sizeof(bytes)))) > 0)
        fed = tls_feed(t, slice_make(bytes, (size_t)n), &plain);
}

static bool shake(size_t piece)
{
    for (int i = 0; i < ROUNDS_MAX && fed == 0; i++) {
        to_server();
        bool done = SSL_do_handshake(peer) == 1;
        from_server(piece);
        if (done && tls_is_ready(t))
            return true;
    }
    return false;
}

static void hang_up(void)
{
    tls_free(t);
    tls_client_free(c);
    SSL_free(peer);
    SSL_CTX_free(server_ctx);
    buf_release(&plain);
    c = NULL;
    t = NULL;
}

static void check_text(size_t size)
{
    char *text = xmalloc(size), *heard = xmalloc(size);
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i * 31);
    tls_send(t, slice_make(text, size));
    to_server();
    for (int got; n < size && (got = SSL_read(peer, heard + n, (int)(size - n))) > 0;)
        n += (size_t)got;
    assert_int_equal(n, size);
    assert_memory_equal(text, heard, size);
    buf_clear(&plain);
    assert_int_equal(SSL_write(peer, text, (int)size), size);
    from_server(1000);
    assert_int_equal(plain.n, size);
    assert_memory_equal(plain.p, text, size);
    free(text);
    free(heard);
}

static void text_goes_both_ways(void **state)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
    static const size_t pieces[] = {1, 2, 4096};
    for (size_t v = 0; v < ARRAY_LEN(versions); v++)
        for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
            serve_as(&server, false, versions[v]);
            connect_as(&(struct tls_files){.ca = ca_file}, "redis.example");
            assert_true(shake(pieces[i]));
            check_text(1);
            check_text(100000);
            hang_up();
        }
}

static void keys_may_be_renewed(void **state)
{
    serve_as(&server, false, TLS1_3_VERSION);
    connect_as(&(struct tls_files){.ca = ca_file}, "redis.example");
    assert_true(shake(4096));
    assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
    check_text(1000);
    check_text(1000);
    hang_up();
}

static void addresses_in_certificates(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        serve_as(&server_by_address, false, TLS1_3_VERSION);
        connect_as(&(struct tls_files){.ca = ca_file}, hosts[i]);
        assert_true(shake(4096));
        hang_up();
    }
}

static void check_refused(const struct identity *id, const char *trusted, const char *name, const char *host,
                          const char *reason)
{
    serve_as(id, false, TLS1_3_VERSION);
    connect_as(&(struct tls_files){.ca = trusted, .server_name = name}, host);
    assert_false(shake(4096));
    assert_int_equal(fed, -1);
    assert_non_null(strstr(tls_reason(t), reason));
    hang_up();
}

static void servers_that_are_not_believed(void **state)
{
    check_refused(&server, other_ca_file, NULL, "redis.example", "unable to get local issuer certificate");
    check_refused(&server, ca_file, NULL, "other.example", "hostname mismatch");
    check_refused(&server, ca_file, NULL, "127.0.0.1", "IP address mismatch");
    check_refused(&server_by_address, ca_file, NULL, "127.0.0.2", "IP address mismatch");
    check_refused(&server, ca_file, "wrong.example", "redis.example", "hostname mismatch");
}

static void a_name_of_choice(void **state)
{
    serve_as(&server, false, TLS1_3_VERSION);
    connect_as(&(struct tls_files){.ca = ca_file, .server_name = "redis.example"}, "127.0.0.1");
    assert_true(shake(4096));
    hang_up();
}

static void a_certificate_of_our_own(void **state)
{
    serve_as(&server, true, TLS1_2_VERSION);
    connect_as(&(struct tls_files){.ca = ca_file, .cert = cert_file, .key = key_file}, "redis.example");
    assert_true(shake(4096));
    hang_up();
    serve_as(&server, true, TLS1_2_VERSION);
    connect_as(&(struct tls_files){.ca = ca_file}, "redis.example");
    assert_false(shake(4096));
    hang_up();
}

static void what_is_no_tls(void **state)
{
    connect_as(&(struct tls_files){.ca = ca_file}, "redis.example");
    assert_int_equal(tls_feed(t, SLICE("-ERR Protocol error\r\n"), &plain), -1);
    assert_int_equal(plain.n, 0);
    assert_non_null(strstr(tls_reason(t), "wrong version number"));
    tls_free(t);
    tls_client_free(c);
}

static void a_server_that_says_goodbye(void **state)
{
    serve_as(&server, false, TLS1_3_VERSION);
    connect_as(&(struct tls_files){.ca = ca_file}, "redis.example");
    assert_true(shake(4096));
    SSL_write(peer, "last words", 10);
    SSL_shutdown(peer);
    from_server(4096);
    assert_int_equal(fed, -1);
    assert_memory_equal(plain.p, "last words", 10);
    hang_up();
}

static void files_that_cannot_be_used(void **state)
{
    const struct tls_files bad[] = {{.ca = "/nowhere"},
                                    {.ca = key_file},
                                    {.ca = ca_file, .cert = cert_file},
                                    {.ca = ca_file, .key = key_file},
                                    {.ca = ca_file, .cert = ca_file, .key = key_file}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *reason = NULL;
        assert_null(tls_client_new(&bad[i], &reason));
        assert_non_null(reason);
        free(reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_goes_both_ways),
        cmocka_unit_test(keys_may_be_renewed),
        cmocka_unit_test(addresses_in_certificates),
        cmocka_unit_test(servers_that_are_not_believed),
        cmocka_unit_test(a_name_of_choice),
        cmocka_unit_test(a_certificate_of_our_own),
        cmocka_unit_test(what_is_no_tls),
        cmocka_unit_test(a_server_that_says_goodbye),
        cmocka_unit_test(files_that_cannot_be_used),
    };
    return cmocka_run_group_tests_name("tls", tests, begin, end);
}

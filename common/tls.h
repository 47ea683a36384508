/* The client's side of TLS without any I/O: bytes from the socket go in, text comes out, and the other way round.
 * TLS 1.2 or later (RFC 8446, RFC 5246); the server's certificate must be of a trusted CA and hold the name, or the
 * address, that was asked for (RFC 6125). */
#ifndef TIDEGATE_COMMON_TLS_H
#define TIDEGATE_COMMON_TLS_H

#include "common/buf.h"

/* Whom to trust and who we are: made at the start, shared by all threads. */
struct tls_client;

struct tls_files {
    const char *ca;          /* PEM of the CAs to trust; NULL: the system's */
    const char *cert, *key;  /* PEM of our own certificate and its key; NULL: none */
    const char *server_name; /* what certificates must hold instead of the host; NULL: the host */
};

/* Returns owned, or NULL with *why owned. */
struct tls_client *tls_client_new(const struct tls_files *files, char **why);
void tls_client_free(struct tls_client *c);

/* One connection. */
struct tls;

/* Begins a handshake: there is output at once. *Borrows* c for its life; host is the one that was connected to. */
struct tls *tls_new(const struct tls_client *c, const char *host);
void tls_free(struct tls *t);
/* Takes what came from the socket and appends the text in it to plain. 0, or -1 when the connection is at its end or
 * cannot be trusted: tls_reason. There may be output afterwards, whatever it returned. */
int tls_feed(struct tls *t, struct slice bytes, struct buf *plain);
/* The handshake is done: text may be sent. */
bool tls_is_ready(const struct tls *t);
/* Encrypts text into the output; none before the handshake is done. */
void tls_send(struct tls *t, struct slice text);
/* Moves the output, which is to be written to the socket, to the end of out. */
void tls_take_output(struct tls *t, struct buf *out);
/* Why tls_feed failed; lives as long as t. */
#define TLS_REASON_SIZE 200
const char *tls_reason(const struct tls *t);

#endif

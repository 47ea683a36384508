/* The server's side of the WebSocket opening handshake (RFC 6455 section 4.2), judged from the request's values alone:
 * give it every header, then ask. Slices are *borrowed* until the last question. */
#ifndef TIDEGATE_GATEWAY_HANDSHAKE_H
#define TIDEGATE_GATEWAY_HANDSHAKE_H

#include "common/slice.h"

/* A token may travel as an offered sub-protocol, "bearer." and the token behind it, because a browser can set no other
 * header. Such an entry is never selected, so its token is never sent back. A browser gives up when it offered
 * something and nothing was selected: it must offer a real sub-protocol beside the token,
 * new WebSocket(url, ["tidegate.v1.json", "bearer." + token]). */
#define HANDSHAKE_BEARER "bearer."

enum handshake_result {
    HANDSHAKE_OK,
    HANDSHAKE_BAD_METHOD,
    HANDSHAKE_OLD_HTTP,
    HANDSHAKE_HAS_BODY,
    HANDSHAKE_NO_UPGRADE,
    HANDSHAKE_NO_CONNECTION,
    HANDSHAKE_BAD_VERSION,
    HANDSHAKE_BAD_KEY
};

/* What to answer instead of 101. A 405 also wants "Allow: GET", a 426 "Upgrade: websocket". */
struct handshake_refusal {
    unsigned status;
    const char *reason;
    bool offer_version; /* add "Sec-WebSocket-Version: 13", section 4.4 */
};

struct handshake {
    const struct slice *supported; /* sub-protocols, in no order */
    int supported_n;
    int protocol;       /* selected: the first offered one that is supported, as index there; -1 none: send no header */
    struct slice token; /* of the first bearer entry; p is NULL when none was offered */
    struct slice key, version;
    unsigned keys, versions; /* how many headers; section 11.3 allows one each */
    bool upgrade, connection;
};

/* *Borrows* supported, a list of count names. */
void handshake_init(struct handshake *hs, const struct slice *supported, size_t count);

/* One header of the request, in any order; names that mean nothing here are passed over. Headers that are lists may
 * come in several pieces. (h2o keeps Upgrade apart, in req->upgrade, and leaves that empty unless Connection names
 * it.) */
void handshake_header(struct handshake *hs, struct slice name, struct slice value);

/* Call after all headers. http_version is major << 8 | minor. */
enum handshake_result handshake_check(const struct handshake *hs, struct slice method, unsigned http_version,
                                      bool has_body);

/* For every result but HANDSHAKE_OK. Static. */
const struct handshake_refusal *handshake_refusal(enum handshake_result result);

#define HANDSHAKE_ACCEPT_LEN 28
/* The value of Sec-WebSocket-Accept for a handshake that is OK (section 4.2.2), and a NUL. */
void handshake_accept(const struct handshake *hs, char out[HANDSHAKE_ACCEPT_LEN + 1]);

#endif

/* Each header that matters has a row and a function that notes what it says; the verdict is a walk over the notes in
 * the order in which a client would want to hear of its faults. */
#include "gateway/handshake.h"

#include <openssl/evp.h>
#include <stdio.h>

/* 16 bytes in base64: 22 digits and two pads. */
#define KEY_DIGITS 22
#define KEY_LEN    24

/* Section 1.3 */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

void handshake_init(struct handshake *hs, const struct slice *supported, size_t count)
{
    *hs = (struct handshake){.supported = supported, .supported_n = (int)count, .protocol = -1};
}

/* Takes the next element off a comma list (RFC 7230 section 7), empty ones passed over; false at its end. */
static bool next_element(struct slice *list, struct slice *element)
{
    while (list->p != NULL) {
        *element = slice_trim(slice_cut(list, ','));
        if (element->n > 0)
            return true;
    }
    return false;
}

static bool list_contains(struct slice list, struct slice token)
{
    struct slice element;
    while (next_element(&list, &element))
        if (slice_eq_nocase(element, token))
            return true;
    return false;
}

static void on_connection(struct handshake *hs, struct slice value)
{
    hs->connection |= list_contains(value, SLICE("upgrade"));
}

static void on_upgrade(struct handshake *hs, struct slice value)
{
    hs->upgrade |= list_contains(value, SLICE("websocket"));
}

static void on_key(struct handshake *hs, struct slice value)
{
    hs->key = slice_trim(value);
    hs->keys++;
}

static void on_version(struct handshake *hs, struct slice value)
{
    hs->version = slice_trim(value);
    hs->versions++;
}

static int find_supported(const struct handshake *hs, struct slice name)
{
    for (int i = 0; i < hs->supported_n; i++)
        if (slice_eq(hs->supported[i], name))
            return i;
    return -1;
}

static void on_protocols(struct handshake *hs, struct slice value)
{
    struct slice offered;
    while (next_element(&value, &offered)) {
        if (slice_starts(offered, SLICE(HANDSHAKE_BEARER))) {
            if (hs->token.p == NULL)
                hs->token = slice_from(offered, strlen(HANDSHAKE_BEARER));
        } else if (hs->protocol < 0) {
            hs->protocol = find_supported(hs, offered);
        }
    }
}

static const struct {
    struct slice name;
    void (*on_value)(struct handshake *hs, struct slice value);
} headers[] = {
    {{"connection", 10}, on_connection},
    {{"upgrade", 7}, on_upgrade},
    {{"sec-websocket-key", 17}, on_key},
    {{"sec-websocket-version", 21}, on_version},
    {{"sec-websocket-protocol", 22}, on_protocols},
};

void handshake_header(struct handshake *hs, struct slice name, struct slice value)
{
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        if (slice_eq_nocase(headers[i].name, name)) {
            headers[i].on_value(hs, value);
            return;
        }
}

static bool is_base64_digit(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* The last digit carries two bits of the sixteenth byte; its other four must be zero (RFC 4648 section 3.5). */
static bool key_is_valid(struct slice key)
{
    if (key.n != KEY_LEN || memcmp(key.p + KEY_DIGITS, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < KEY_DIGITS; i++)
        if (!is_base64_digit(key.p[i]))
            return false;
    return strchr("AQgw", key.p[KEY_DIGITS - 1]) != NULL;
}

enum handshake_result handshake_check(const struct handshake *hs, struct slice method, unsigned http_version,
                                      bool has_body)
{
    if (!slice_eq(method, SLICE("GET")))
        return HANDSHAKE_BAD_METHOD;
    if (http_version < 0x101)
        return HANDSHAKE_OLD_HTTP;
    if (has_body)
        return HANDSHAKE_HAS_BODY;
    if (!hs->upgrade)
        return HANDSHAKE_NO_UPGRADE;
    if (!hs->connection)
        return HANDSHAKE_NO_CONNECTION;
    if (hs->versions != 1 || !slice_eq(hs->version, SLICE("13")))
        return HANDSHAKE_BAD_VERSION;
    if (hs->keys != 1 || !key_is_valid(hs->key))
        return HANDSHAKE_BAD_KEY;
    return HANDSHAKE_OK;
}

static const struct handshake_refusal refusals[] = {
    [HANDSHAKE_BAD_METHOD] = {405, "a WebSocket is opened with GET", false},
    [HANDSHAKE_OLD_HTTP] = {400, "a WebSocket needs HTTP/1.1", false},
    [HANDSHAKE_HAS_BODY] = {400, "a WebSocket handshake has no body", false},
    [HANDSHAKE_NO_UPGRADE] = {426, "this is a WebSocket endpoint: Upgrade: websocket is missing", true},
    [HANDSHAKE_NO_CONNECTION] = {400, "Connection: Upgrade is missing", false},
    [HANDSHAKE_BAD_VERSION] = {426, "Sec-WebSocket-Version must be 13", true},
    [HANDSHAKE_BAD_KEY] = {400, "Sec-WebSocket-Key must be the base64 of 16 bytes", false},
};

const struct handshake_refusal *handshake_refusal(enum handshake_result result)
{
    assert(result > HANDSHAKE_OK && result < ARRAY_LEN(refusals));
    return &refusals[result];
}

void handshake_accept(const struct handshake *hs, char out[HANDSHAKE_ACCEPT_LEN + 1])
{
    char text[KEY_LEN + sizeof(ACCEPT_GUID)];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_n = 0;
    assert(hs->key.n == KEY_LEN);
    snprintf(text, sizeof(text), "%.*s%s", SLICE_ARG(hs->key), ACCEPT_GUID);
    if (EVP_Digest(text, sizeof(text) - 1, digest, &digest_n, EVP_sha1(), NULL) != 1)
        BUG("SHA-1 is not available");
    EVP_EncodeBlock((unsigned char *)out, digest, (int)digest_n);
}

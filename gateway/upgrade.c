/* What can be said in HTTP is refused in HTTP: a handshake that is none, a foreign Origin, limits of address and
 * process. What a browser must be able to see (it cannot see an HTTP status) is said by a close code after the 101. */
#include "gateway/upgrade.h"
#include "common/clock.h"
#include "common/event_id.h"
#include "common/hash.h"
#include "common/log.h"
#include "gateway/client_ip.h"
#include "gateway/conn.h"
#include "gateway/handshake.h"
#include "gateway/origin.h"
#include "gateway/transport_ws.h"
#include "gateway/worker.h"

#include <stdlib.h>

#define ECHO_MESSAGE_MAX (16u << 20)

/* What must outlive the request, which h2o frees before the socket is ours. */
struct upgrade {
    struct worker *worker;
    const struct dialect *dialect;
    struct limit_entry *ip;
    bool seated;
    uint32_t message_max;
    struct slice protocol; /* the sub-protocol to say; p NULL: none */
    char accept[HANDSHAKE_ACCEPT_LEN + 1];
    struct admission_ticket ticket; /* while it waits for its turn, and the request with it */
    struct http_pending *pending;
    bool refused;
    enum close_reason why;
    struct auth_verdict verdict;
    bool resumes; /* the client names where it stood: last_id */
    uint64_t last_id;
    uint8_t device_n;
    char device[DEVICE_ID_MAX];
};

static void upgrade_free(struct upgrade *u)
{
    limit_leave(&u->worker->gateway->addresses, u->ip);
    if (u->seated)
        limit_seat_give(&u->worker->gateway->seats);
    jwt_claims_release(&u->verdict.claims);
    free(u);
}

static void on_upgraded(void *data, h2o_socket_t *sock)
{
    struct upgrade *u = data;
    if (sock == NULL) { /* the client went away before the 101 was written */
        upgrade_free(u);
        return;
    }
    struct transport *t = transport_ws_new(sock, u->message_max);
    struct conn_identity who = {.user_json = buf_slice(&u->verdict.claims.user_json),
                                .user = buf_slice(&u->verdict.claims.user),
                                .expires_s = u->verdict.claims.expires_s,
                                .ip = u->ip,
                                .resumes = u->resumes,
                                .last_id = u->last_id,
                                .device = slice_make(u->device, u->device_n)};
    u->ip = NULL;
    u->seated = false;
    struct conn *c = conn_new(&u->worker->home, u->dialect, &who, t);
    if (u->refused)
        conn_close(c, u->why);
    else if (who.user.n > 0)
        conn_join_user(c, who.user);
    else
        conn_ready(c);
    upgrade_free(u);
}

static void accept_upgrade(h2o_req_t *req, struct upgrade *u)
{
    if (!u->refused && u->dialect->id != DIALECT_ID_ECHO && bus_is_away(&u->worker->bus)) {
        u->refused = true;
        u->why = CLOSE_BACKEND;
    }
    http_add_header(req, "sec-websocket-accept", slice_make(u->accept, HANDSHAKE_ACCEPT_LEN));
    if (u->protocol.p != NULL)
        http_add_header(req, "sec-websocket-protocol", u->protocol);
    http_upgrade(req, "websocket", on_upgraded, u);
}

/* ---- the reasons to refuse, in order ---- */

static void refuse_handshake(struct worker *w, h2o_req_t *req, enum handshake_result result)
{
    const struct handshake_refusal *r = handshake_refusal(result);
    counter_add(&w->metrics->handshakes_refused[REFUSED_HANDSHAKE], 1);
    if (r->status == 405)
        http_add_header(req, "allow", SLICE("GET"));
    if (r->offer_version)
        http_add_header(req, "sec-websocket-version", SLICE("13"));
    if (r->status == 426) {
        http_add_header(req, "upgrade", SLICE("websocket"));
        http_add_header(req, "connection", SLICE("upgrade")); /* RFC 9110 section 7.8 */
    }
    http_reply_error(req, (int)r->status, "bad_handshake", r->reason);
}

static bool origin_passes(struct worker *w, h2o_req_t *req)
{
    struct slice origin = http_header(req, "origin");
    if (origin_allowed(w->cfg->allowed_origins, origin))
        return true;
    counter_add(&w->metrics->handshakes_refused[REFUSED_ORIGIN], 1);
    log_warn("origin_refused", LOG_SL("origin", origin));
    http_reply_error(req, 403, "origin_not_allowed", "This origin is not in ALLOWED_ORIGINS");
    return false;
}

static void refuse_for_now(struct worker *w, h2o_req_t *req, unsigned retry_s, const char *code, const char *message)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", retry_s);
    http_add_header(req, "retry-after", slice_of(text));
    http_reply_error(req, 503, code, message);
}

static void refuse_draining(struct worker *w, h2o_req_t *req)
{
    counter_add(&w->metrics->handshakes_refused[REFUSED_DRAINING], 1);
    refuse_for_now(w, req, 1, "draining", "This gateway is going down; try again");
}

static bool process_has_room(h2o_req_t *req, struct upgrade *u)
{
    struct worker *w = u->worker;
    if (w->draining) {
        refuse_draining(w, req);
        return false;
    }
    u->seated = limit_seat_take(&w->gateway->seats) == 0;
    if (u->seated)
        return true;
    counter_add(&w->metrics->handshakes_refused[REFUSED_FULL], 1);
    refuse_for_now(w, req, 1, "full", "This gateway takes no more connections; try again");
    return false;
}

static bool address_has_room(h2o_req_t *req, struct upgrade *u)
{
    struct worker *w = u->worker;
    struct sockaddr_storage peer = {0};
    struct client_ip ip;
    if (w->cfg->max_connections_per_ip == 0)
        return true;
    http_peer(req, &peer);
    client_ip_of_peer((struct sockaddr *)&peer, &ip);
    ip = client_ip_find(&ip, http_headers_joined(req, "x-forwarded-for"), w->cfg->trusted_proxies);
    if (limit_enter(&w->gateway->addresses, slice_make(ip.bytes, sizeof(ip.bytes)), &u->ip) == 0)
        return true;
    counter_add(&w->metrics->handshakes_refused[REFUSED_ADDRESS], 1);
    http_reply_error(req, 429, "too_many_connections", "Too many connections from this address");
    return false;
}

static bool read_handshake(struct worker *w, h2o_req_t *req, struct handshake *hs, const struct slice *protocols,
                           size_t count)
{
    handshake_init(hs, protocols, count);
    struct slice name, value;
    handshake_header(hs, SLICE("upgrade"), http_upgrade_header(req));
    for (size_t i = 0; http_header_at(req, i, &name, &value); i++)
        handshake_header(hs, name, value);
    enum handshake_result result = handshake_check(hs, http_method(req), (unsigned)req->version, req->entity.len > 0);
    if (result != HANDSHAKE_OK)
        refuse_handshake(w, req, result);
    return result == HANDSHAKE_OK;
}

/* ---- who and how ---- */

static const struct dialect *choose_dialect(struct worker *w, h2o_req_t *req, const struct handshake *hs)
{
    if (hs->protocol >= 0)
        return dialect_by_subprotocol(hs->supported[hs->protocol]);
    struct slice asked = http_query(req, "dialect", NULL);
    if (asked.p == NULL)
        return dialect_by_name(slice_of(w->cfg->dialect));
    const struct dialect *d = dialect_by_name(asked);
    if (d == NULL || d->id == DIALECT_ID_ECHO)
        http_reply_error(req, 400, "unknown_dialect", "No such dialect");
    return d == NULL || d->id == DIALECT_ID_ECHO ? NULL : d;
}

/* The user that the path names, decoded once; false when its encoding is bad, which was answered. */
static bool path_user(h2o_req_t *req, struct slice *user)
{
    const struct slice prefix = SLICE("/ws/");
    struct slice path = slice_make(req->path.base, req->query_at == SIZE_MAX ? req->path.len : req->query_at);
    *user = (struct slice){NULL, 0};
    if (!slice_starts(path, prefix))
        return true;
    *user = http_decode(req, slice_from(path, prefix.n));
    if (user->n > 0)
        return true;
    http_reply_error(req, 400, "bad_path", "The user id in the path is empty or badly encoded");
    return false;
}

static void count_refusal(struct worker *w, const struct auth_verdict *v)
{
    counter_add(&w->metrics->tokens_refused[v->token], 1);
    log_info("token_refused",
             LOG_S("reason", v->refusal == CLOSE_WRONG_USER ? "wrong_user" : jwt_result_words[v->token]));
}

/* False when it was answered in HTTP. */
static bool authenticate(h2o_req_t *req, const struct handshake *hs, struct upgrade *u)
{
    struct worker *w = u->worker;
    bool malformed = false;
    struct auth_sources from = {.authorization = http_header(req, "authorization"), .subprotocol = hs->token};
    from.query = http_query(req, "token", &malformed);
    if (malformed)
        from.query = SLICE("%"); /* a token was meant: no other source may stand in for it */
    if (!path_user(req, &from.path_user))
        return false;
    auth_check(&w->auth, &from, clock_wall_ms() / 1000, &u->verdict);
    if (u->verdict.ok)
        return true;
    count_refusal(w, &u->verdict);
    u->refused = true;
    u->why = u->verdict.refusal;
    if (w->cfg->auth_failure != AUTH_FAILURE_HTTP)
        return true;
    int status = u->why == CLOSE_WRONG_USER ? 403 : 401;
    http_reply_error(req, status, close_rows[u->why].reason, "The token is missing, not valid, or not this user's");
    return false;
}

/* ?last_id= and ?device_id=; false when one of them is none, which was answered. */
static bool read_standing(h2o_req_t *req, struct upgrade *u)
{
    bool bad_id = false, bad_device = false;
    struct slice id = http_query(req, "last_id", &bad_id), device = http_query(req, "device_id", &bad_device);
    u->resumes = id.p != NULL;
    if (bad_id || (u->resumes && event_id_parse(id, &u->last_id) != 0)) {
        http_reply_error(req, 400, "bad_last_id", "last_id is no id of an event");
        return false;
    }
    if (bad_device || (device.p != NULL && !device_id_valid(device))) {
        http_reply_error(req, 400, "bad_device_id",
                         "device_id must be 1 to 128 bytes of text without control characters");
        return false;
    }
    u->device_n = (uint8_t)device.n;
    memcpy(u->device, device.p != NULL ? device.p : "", device.n);
    return true;
}

/* Its turn has come, or this gateway is going down. */
static void on_turn(struct admission_ticket *t, bool admitted)
{
    struct upgrade *u = CONTAINER_OF(t, struct upgrade, ticket);
    h2o_req_t *req = http_pending_take(u->pending);
    if (req != NULL && admitted) {
        accept_upgrade(req, u);
        return;
    }
    if (req != NULL)
        refuse_draining(u->worker, req);
    upgrade_free(u);
}

/* Those who are turned away come back over a while twice as long as they would have waited. */
static unsigned retry_after_admission(const struct worker *w)
{
    return (unsigned)(1 + hash_random() % (2 * w->cfg->admission_wait / 1000 + 1));
}

/* Whoever is let in only to hear why it is not takes no turn from those who may come in. */
static void admit(h2o_req_t *req, struct upgrade *u)
{
    struct worker *w = u->worker;
    switch (u->refused ? ADMISSION_NOW : admission_ask(&w->admission, &u->ticket, on_turn)) {
    case ADMISSION_NOW:
        accept_upgrade(req, u);
        return;
    case ADMISSION_LATER:
        u->pending = http_pending_new(req);
        return;
    case ADMISSION_NEVER:
        counter_add(&w->metrics->handshakes_refused[REFUSED_ADMISSION], 1);
        refuse_for_now(w, req, retry_after_admission(w), "too_fast", "Too many are coming at once; try again");
        upgrade_free(u);
    }
}

static struct upgrade *upgrade_new(struct worker *w, const struct dialect *d, const struct handshake *hs,
                                   uint64_t message_max)
{
    struct upgrade *u = xcalloc(1, sizeof(*u));
    *u = (struct upgrade){.worker = w, .dialect = d, .message_max = (uint32_t)message_max};
    if (hs->protocol >= 0)
        u->protocol = hs->supported[hs->protocol];
    handshake_accept(hs, u->accept);
    return u;
}

void upgrade_on_ws(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    struct slice protocols[DIALECT_ID_COUNT];
    struct handshake hs;
    size_t count = dialect_subprotocols(protocols);
    if (!read_handshake(w, req, &hs, protocols, count) || !origin_passes(w, req))
        return;
    const struct dialect *d = choose_dialect(w, req, &hs);
    if (d == NULL)
        return;
    struct upgrade *u = upgrade_new(w, d, &hs, w->cfg->max_message_size);
    if (!read_standing(req, u) || !process_has_room(req, u) || !address_has_room(req, u) ||
        !authenticate(req, &hs, u)) {
        upgrade_free(u);
        return;
    }
    admit(req, u);
}

void upgrade_on_echo(struct http_server *s, h2o_req_t *req)
{
    struct worker *w = s->conf.app;
    struct handshake hs;
    if (!w->cfg->conformance) {
        http_reply_error(req, 404, "not_found", "No such path");
        return;
    }
    if (!read_handshake(w, req, &hs, NULL, 0))
        return;
    struct upgrade *u = upgrade_new(w, dialects[DIALECT_ID_ECHO], &hs, ECHO_MESSAGE_MAX);
    if (process_has_room(req, u))
        accept_upgrade(req, u);
    else
        upgrade_free(u);
}

/* The states of a connection: joining → open → closing → dead. */
#include "gateway/conn.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/target.h"

#include <stdio.h>
#include <stdlib.h>

#define JOIN_DEADLINE_MS 5000
#define RETRY_SPREAD_MS  2000
#define GOLDEN_RATIO     0x9E3779B9u /* its fraction, of 2^32 */
/* Beyond REFILL_WAIT: for a Redis that is away, and until it is its turn. */
#define RESUME_DEADLINE_MS 30000

void conn_home_release(struct conn_home *home)
{
    for (size_t i = 0; i < DIALECT_ID_COUNT; i++)
        frame_unref(home->heartbeats[i]);
}

static struct frame *heartbeat_frame(struct conn_home *home, const struct dialect *d)
{
    if (home->heartbeats[d->id] == NULL)
        home->heartbeats[d->id] = d->encode_reply(&(struct reply){.kind = REPLY_PING});
    return home->heartbeats[d->id];
}

/* HEARTBEAT_INTERVAL=0: never. */
static void beat_later(struct conn *c)
{
    uint64_t interval = c->home->ctx->cfg->heartbeat_interval;
    roster_move(&c->home->roster->beating, &c->place,
                interval != 0 ? c->home->ctx->loop->now_ms + interval : UINT64_MAX);
}

/* Looked at twice in the shortest time that matters, so that what falls due is done at most half of it late. */
static void watch_later(struct conn *c)
{
    const struct gateway_config *cfg = c->home->ctx->cfg;
    uint64_t wait = (cfg->idle_ping != 0 ? cfg->idle_ping : cfg->connection_timeout) / 2;
    if (c->expires_s != 0 && clock_wall_ms() + wait >= c->expires_s * 1000)
        roster_expire_soon(c->home->roster, &c->place);
    else
        roster_watch(c->home->roster, &c->place, c->home->ctx->loop->now_ms + wait);
}

void conn_mark_dirty(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    roster_mark_dirty(c->home->roster, &c->place);
    loop_again(c->home->ctx->loop);
}

struct conn_more *conn_more(struct conn *c)
{
    if (c->more == NULL)
        c->more = xcalloc(1, sizeof(*c->more));
    return c->more;
}

void conn_shed_more(struct conn *c)
{
    if (c->more == NULL || c->more->user_json != NULL || c->more->device != NULL || c->more->replay != NULL ||
        c->more->recent != NULL)
        return;
    free(c->more);
    c->more = NULL;
}

struct conn *conn_new(struct conn_home *home, const struct dialect *d, const struct conn_identity *who,
                      struct transport *transport)
{
    struct conn *c = xmalloc(sizeof(*c));
    *c = (struct conn){.home = home,
                       .dialect = d,
                       .transport = transport,
                       .heard_ms = (uint32_t)home->ctx->loop->now_ms,
                       .expires_s = who->expires_s,
                       .ip = who->ip,
                       .state = CONN_JOINING};
    *conn_more(c) = (struct conn_more){.resumes = who->resumes, .last_id = who->last_id};
    if (who->device.n > 0)
        c->more->device = device_new(home->cursors, c, who->device);
    transport->conn = c;
    roster_place_init(&c->place);
    if (who->user_json.n > 0)
        c->more->user_json = slice_dup(who->user_json);
    home->roster->connections++;
    home->roster->live++;
    counter_add(&home->ctx->metrics->connects, 1);
    gauge_add(&home->ctx->metrics->connections, 1);
    roster_move(&home->roster->joining, &c->place, home->ctx->loop->now_ms + JOIN_DEADLINE_MS);
    return c;
}

static bool all_live(const struct conn *c)
{
    for (const struct member *m = c->members; m != NULL; m = m->next_of_conn)
        if (m->target->state != TARGET_LIVE)
            return false;
    return true;
}

void conn_join_user(struct conn *c, struct slice user)
{
    struct buf name = {0};
    if (target_append_user(&name, user) != 0)
        BUG("a user id that auth let pass is no target");
    hub_join(c->home->hub, c, &c->members, TARGET_EVERYBODY);
    hub_join(c->home->hub, c, &c->members, buf_slice(&name)); /* last, so first in c->members */
    buf_release(&name);
    if (all_live(c))
        conn_ready(c);
}

static uint64_t resume_deadline(const struct conn *c)
{
    return c->home->ctx->cfg->refill_wait + RESUME_DEADLINE_MS;
}

void conn_ready(struct conn *c)
{
    if (c->state != CONN_JOINING)
        return;
    enum hub_room room = c->members != NULL ? hub_room_of(c->home->hub, c->members->target) : HUB_ROOM;
    if (room == HUB_OVER)
        conn_close(c, CLOSE_USER_LIMIT);
    if (room != HUB_ROOM)
        return;
    if (c->members == NULL || (!c->more->resumes && c->more->device == NULL)) {
        conn_welcome(c, NULL);
        return;
    }
    c->state = CONN_RESUMING;
    roster_move(&c->home->roster->resuming, &c->place, c->home->ctx->loop->now_ms + resume_deadline(c));
    c->home->rescuer.on_ready(c->home->rescuer.arg, c);
}

/* It is one that may be asked to go elsewhere. */
static void note_resumes(struct conn *c)
{
    c->home->roster->movable += !c->resumes;
    c->resumes = true;
}

void conn_welcome(struct conn *c, const struct recovery *recovery)
{
    struct welcome w = {.user_json = slice_of(c->more->user_json), .recovery = recovery};
    c->state = CONN_OPEN;
    c->active_s = conn_now_s(c);
    if (c->more->resumes || c->more->device != NULL)
        note_resumes(c);
    beat_later(c);
    watch_later(c);
    if (c->dialect->hello != NULL)
        conn_send_owned(c, c->dialect->hello(&w));
    free(c->more->user_json);
    c->more->user_json = NULL;
    conn_shed_more(c);
    c->transport->ops->start(c->transport); /* not before: what the client said first is answered behind the hello */
}

void conn_ready_all(struct target *t)
{
    LIST_EACH_SAFE (it, &t->members) {
        struct conn *c = CONTAINER_OF(it, struct member, of_target)->conn;
        if (c->state == CONN_JOINING && all_live(c))
            conn_ready(c);
    }
}

static size_t outbox_max(const struct conn *c)
{
    return MAX(c->home->ctx->cfg->outbox_bytes, c->dialect->outbox_min);
}

bool conn_is_slow(const struct conn *c)
{
    return outbox_bytes(&c->outbox) > outbox_max(c) / 2;
}

static bool queue(struct conn *c, struct frame *f, size_t limit)
{
    if (c->state > CONN_OPEN)
        return false;
    if (outbox_push(&c->outbox, f, limit) == OUTBOX_FULL) {
        counter_add(&c->home->ctx->metrics->send_failures, 1);
        outbox_drop_waiting(&c->outbox);
        conn_close(c, CLOSE_SLOW);
        return false;
    }
    conn_mark_dirty(c);
    return true;
}

bool conn_send(struct conn *c, struct frame *f)
{
    return queue(c, f, outbox_max(c));
}

bool conn_send_missed(struct conn *c, struct frame *f)
{
    return queue(c, f, SIZE_MAX);
}

void conn_send_owned(struct conn *c, struct frame *f)
{
    if (f == NULL)
        return;
    conn_send(c, f);
    frame_unref(f);
}

static void leave_more(struct conn *c)
{
    if (conn_replay(c) != NULL)
        c->home->rescuer.on_left(c->home->rescuer.arg, c);
    if (c->more == NULL || c->more->device == NULL)
        return;
    device_depart(c->more->device);
    c->more->device = NULL;
}

static void leave(struct conn *c, enum close_reason why)
{
    c->reason = (uint8_t)why;
    roster_unwatch(&c->place);
    leave_more(c);
    hub_leave_all(c->home->hub, &c->members);
    limit_leave(c->home->ctx->addresses, c->ip);
    limit_seat_give(c->home->ctx->seats);
    c->ip = NULL;
    c->home->roster->connections--;
    c->home->roster->movable -= c->resumes;
    struct gateway_metrics *m = c->home->ctx->metrics;
    gauge_add(&m->connections, -1);
    counter_add(&m->disconnections, 1);
    counter_add(&m->closed[why], 1);
}

static void start_closing(struct conn *c)
{
    c->state = CONN_CLOSING;
    roster_move(&c->home->roster->closing, &c->place, c->home->ctx->loop->now_ms + CLOSE_GRACE_MS);
}

static uint16_t code_of(const struct conn *c, enum close_reason why)
{
    uint16_t code = close_rows[why].code;
    return code == close_rows[CLOSE_TOKEN].code ? (uint16_t)c->home->ctx->cfg->auth_close_code : code;
}

/* When to come back, another moment for each. By steps of the golden ratio any few in a row are spread evenly, while
 * chance would heap some of them. */
static unsigned retry_ms(struct conn_home *home)
{
    home->retry += GOLDEN_RATIO;
    return (unsigned)((uint64_t)home->retry * RETRY_SPREAD_MS >> 32);
}

/* A client that is sent away is told when to come back. */
static struct slice reason_text(struct conn *c, enum close_reason why, char text[WS_REASON_MAX])
{
    if (why != CLOSE_DRAIN && why != CLOSE_MOVE)
        return slice_of(close_rows[why].reason);
    int n = snprintf(text, WS_REASON_MAX, "%s retry=%u", close_rows[why].reason, retry_ms(c->home));
    return slice_make(text, (size_t)n);
}

void conn_close(struct conn *c, enum close_reason why)
{
    if (c->state >= CONN_CLOSING)
        return;
    leave(c, why);
    start_closing(c);
    char text[WS_REASON_MAX];
    c->transport->ops->close(c->transport, code_of(c, why), reason_text(c, why, text));
    c->transport->ops->start(c->transport); /* it may have waited to be ready; now its goodbye is awaited */
}

void conn_on_goodbye(struct conn *c, uint16_t code)
{
    if (c->state >= CONN_CLOSING)
        return;
    leave(c, CLOSE_PEER);
    start_closing(c);
    c->transport->ops->close(c->transport, code, SLICE(""));
}

void conn_gone(struct conn *c, enum close_reason why)
{
    if (c->state == CONN_DEAD)
        return;
    if (c->state < CONN_CLOSING)
        leave(c, why);
    c->state = CONN_DEAD;
    roster_move(&c->home->roster->dead, &c->place, 0);
    list_remove(&c->place.dirty);
}

void conn_abort(struct conn *c)
{
    c->transport->ops->abort(c->transport);
    conn_gone(c, CLOSE_GONE);
}

void conn_free(struct conn *c)
{
    assert(c->state == CONN_DEAD && c->members == NULL);
    outbox_release(&c->outbox);
    c->transport->ops->free(c->transport);
    if (c->more != NULL) {
        free(c->more->user_json);
        free(c->more->recent);
    }
    free(c->more);
    free(c);
}

void conn_flush(struct conn *c)
{
    if (c->state != CONN_DEAD)
        c->transport->ops->flush(c->transport);
}

static void refuse(struct conn *c, const char *code, const char *detail)
{
    counter_add(&c->home->ctx->metrics->errors_sent, 1);
    struct reply r = {.kind = REPLY_ERROR, .code = code, .detail = detail};
    conn_send_owned(c, c->dialect->encode_reply(&r));
}

static void on_ack(struct conn *c, uint64_t position)
{
    if (c->more == NULL || c->more->device == NULL)
        refuse(c, "no_device", "Only a client that named a device_id acknowledges");
    else if (device_on_ack(c->more->device, position) == DEVICE_ACK_AHEAD)
        refuse(c, "ack_ahead", "That position was not reached on this connection");
}

static void on_resume(struct conn *c, uint64_t position)
{
    if (conn_is_behind(c))
        refuse(c, "already_resuming", "What was missed is being sent already");
    else if (c->members != NULL) {
        note_resumes(c);
        c->home->rescuer.on_resume(c->home->rescuer.arg, c, position);
    }
}

static bool is_in(const struct conn *c, struct slice target)
{
    for (const struct member *m = c->members; m != NULL; m = m->next_of_conn)
        if (slice_eq(hub_name(m->target), target))
            return true;
    return false;
}

bool conn_repeats(struct conn *c, const struct envelope *e)
{
    size_t count = 0;
    for (size_t i = 0; i < e->target_count; i++)
        count += is_in(c, e->targets[i]);
    if (count < 2)
        return false;
    struct conn_more *more = conn_more(c);
    if (more->recent == NULL)
        more->recent = xcalloc(1, sizeof(*more->recent));
    /* a publisher's key may be unique within its topic only */
    return recent_knows(more->recent, e->coordinate.p != NULL ? e->coordinate : e->key);
}

static bool within_rate(struct conn *c)
{
    const struct gateway_config *cfg = c->home->ctx->cfg;
    if (c->members == NULL) /* no user: a conformance peer */
        return true;
    return limit_rate_allows(&c->members->target->rate, c->home->ctx->loop->now_ms, cfg->rate_limit_window,
                             (uint32_t)cfg->rate_limit_max_messages);
}

void conn_on_message(struct conn *c, struct slice bytes, bool binary)
{
    conn_on_alive(c);
    if (c->state > CONN_OPEN)
        return;
    counter_add(&c->home->ctx->metrics->messages_received, 1);
    if (!within_rate(c)) {
        refuse(c, "rate_limited", "Too many messages");
        conn_close(c, CLOSE_RATE_LIMIT);
        return;
    }
    struct message m;
    c->dialect->decode(bytes, binary, &m);
    switch (m.kind) {
    case MESSAGE_PING:
        conn_send_owned(c, c->dialect->encode_reply(&(struct reply){.kind = REPLY_PONG, .to = &m}));
        break;
    case MESSAGE_ECHO:
        conn_send_owned(c, c->dialect->encode_reply(&(struct reply){.kind = REPLY_ECHO, .to = &m}));
        break;
    case MESSAGE_PONG:
        break;
    case MESSAGE_ACK:
        on_ack(c, m.id);
        break;
    case MESSAGE_RESUME:
        on_resume(c, m.id);
        break;
    case MESSAGE_MALFORMED:
        refuse(c, "malformed_message", m.detail);
        break;
    case MESSAGE_UNKNOWN:
        refuse(c, "unknown_type", m.detail);
        break;
    }
}

void conn_on_alive(struct conn *c)
{
    c->heard_ms = (uint32_t)c->home->ctx->loop->now_ms;
}

void conn_on_pong(struct conn *c, struct slice payload)
{
    conn_on_alive(c);
    if (c->more != NULL && c->more->device != NULL)
        device_on_pong(c->more->device, payload);
}

void conn_on_drained(struct conn *c)
{
    if (conn_replay(c) != NULL)
        c->home->rescuer.on_drained(c->home->rescuer.arg, c);
}

void conn_ping(struct conn *c, struct slice payload)
{
    c->transport->ops->ping(c->transport, payload);
}

/* One that is awaited already is asked for again: a peer need only answer the last ping. */
static void ping_idle(struct conn *c)
{
    char text[DEVICE_PING_SIZE];
    bool named = c->more != NULL && c->more->device != NULL;
    conn_ping(c, named ? device_ping(c->more->device, text) : SLICE(""));
}

void conn_beat(struct conn *c)
{
    beat_later(c);
    if (c->dialect->hello != NULL)
        conn_send(c, heartbeat_frame(c->home, c->dialect));
}

void conn_watch(struct conn *c)
{
    const struct gateway_config *cfg = c->home->ctx->cfg;
    uint32_t silent = (uint32_t)c->home->ctx->loop->now_ms - c->heard_ms;
    if (silent >= cfg->connection_timeout) {
        outbox_drop_waiting(&c->outbox);
        conn_close(c, CLOSE_SILENT);
        return;
    }
    watch_later(c);
    if (cfg->idle_ping != 0 && silent >= cfg->idle_ping)
        ping_idle(c);
}

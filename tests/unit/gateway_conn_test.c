/* Connections, hub and fanout on a transport that only writes down what it is told. The clock is the test's. */
#include "common/target.h"
#include "gateway/conn.h"
#include "gateway/fanout.h"
#include "gateway/mover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- a worker without sockets ---- */

static struct loop l; /* of which only the clock is used */
static struct gateway_config cfg;
static struct metrics metrics;
static struct limit addresses;
static struct limit_seats seats;
static struct context ctx;
static struct roster roster;
static struct hub hub;
static struct conn_home home;
static struct fanout fanout;
static unsigned doubts;
static char watched[256]; /* what the hub told, in order */

static void note(const char *what, const struct target *t)
{
    size_t n = strlen(watched);
    snprintf(watched + n, sizeof(watched) - n, "%s %.*s;", what, SLICE_ARG(hub_name(t)));
}

static void on_occupied(void *arg, struct target *t, bool fresh)
{
    note(fresh ? "fresh" : "again", t);
}

static void on_vacant(void *arg, struct target *t)
{
    note("vacant", t);
}

static void on_count(void *arg, struct target *t)
{
}

static void on_doubt(void *arg, struct target *t)
{
    doubts++;
}

static int start(void **state)
{
    cfg = (struct gateway_config){.heartbeat_interval = 30000,
                                  .idle_ping = 25000,
                                  .connection_timeout = 60000,
                                  .outbox_bytes = 16384,
                                  .auth_close_code = 4001,
                                  .rate_limit_window = 60000,
                                  .rate_limit_max_messages = 100,
                                  .max_connections_per_user = 3};
    l = (struct loop){.now_ms = 1000000};
    metrics_init(&metrics, &gateway_metrics_table);
    limit_init(&addresses, 10);
    seats = (struct limit_seats){.max = 0};
    ctx = (struct context){
        .loop = &l, .cfg = &cfg, .metrics = metrics_instance(&metrics), .addresses = &addresses, .seats = &seats};
    roster_init(&roster);
    hub_init(&hub, &ctx,
             &(struct hub_watcher){
                 .on_occupied = on_occupied, .on_vacant = on_vacant, .on_count = on_count, .on_doubt = on_doubt});
    home = (struct conn_home){.ctx = &ctx, .hub = &hub, .roster = &roster};
    fanout_init(&fanout, &ctx);
    doubts = 0;
    watched[0] = '\0';
    return 0;
}

static void reap(void)
{
    struct roster_place *p;
    while ((p = roster_first_due(&roster.dead, UINT64_MAX)) != NULL) {
        list_remove(&p->by_due);
        conn_free(conn_of(p));
        roster.live--;
    }
}

/* All that was taken must be given back. */
static int stop(void **state)
{
    reap();
    conn_home_release(&home);
    assert_int_equal(roster.connections, 0);
    assert_int_equal(roster.live, 0);
    assert_true(list_empty(&roster.dirty) && list_empty(&roster.watched) && list_empty(&roster.expiring) &&
                list_empty(&roster.resuming));
    assert_int_equal(metrics_sum(&metrics, offsetof(struct gateway_metrics, connections)), 0);
    assert_int_equal(seats.taken, 0);
    assert_int_equal(addresses.entries.count, 0);
    assert_int_equal(hub.users, 0);
    assert_int_equal(frame_live(), 0);
    fanout_release(&fanout);
    hub_release(&hub);
    limit_release(&addresses);
    metrics_release(&metrics);
    return 0;
}

/* ---- the transport ---- */

struct fake {
    struct transport base;
    char log[4096]; /* start, ping, "close CODE REASON", abort; and frames as they are flushed */
    bool started;
    bool deaf; /* takes nothing: what is flushed stays in flight */
};

static char freed_log[4096]; /* of the transport that was freed last */

static void fake_note(struct transport *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fake_note(struct transport *t, const char *fmt, ...)
{
    struct fake *f = (struct fake *)t;
    size_t n = strlen(f->log);
    va_list args;
    va_start(args, fmt);
    vsnprintf(f->log + n, sizeof(f->log) - n, fmt, args);
    va_end(args);
}

static void fake_start(struct transport *t)
{
    if (!((struct fake *)t)->started)
        fake_note(t, "start;");
    ((struct fake *)t)->started = true;
}

static void fake_flush(struct transport *t)
{
    struct slice iov[64];
    if (outbox_in_flight(&t->conn->outbox) || !outbox_waiting(&t->conn->outbox))
        return;
    size_t n = outbox_take(&t->conn->outbox, iov, ARRAY_LEN(iov));
    for (size_t i = 0; i < n; i++)
        fake_note(t, "%.*s;", (int)iov[i].n - 2, iov[i].p + 2); /* short frames: two bytes of head */
    if (!((struct fake *)t)->deaf)
        outbox_written(&t->conn->outbox);
}

static void fake_ping(struct transport *t, struct slice payload)
{
    fake_note(t, "ping%.*s;", SLICE_ARG(payload));
}

static void fake_close(struct transport *t, uint16_t code, struct slice reason)
{
    fake_note(t, "close %u %.*s;", code, SLICE_ARG(reason));
}

static void fake_abort(struct transport *t)
{
    fake_note(t, "abort;");
}

static void fake_free(struct transport *t)
{
    memcpy(freed_log, ((struct fake *)t)->log, sizeof(freed_log));
    free(t);
}

static const struct transport_ops fake_ops = {.start = fake_start,
                                              .flush = fake_flush,
                                              .ping = fake_ping,
                                              .close = fake_close,
                                              .abort = fake_abort,
                                              .free = fake_free};

static const char *log_of(struct conn *c)
{
    return ((struct fake *)c->transport)->log;
}

static void forget_log(struct conn *c)
{
    ((struct fake *)c->transport)->log[0] = '\0';
}

static struct conn *connect_as(const char *user_json, uint64_t expires_s)
{
    struct fake *f = xcalloc(1, sizeof(*f));
    f->base.ops = &fake_ops;
    struct conn_identity who = {.user_json = slice_of(user_json), .expires_s = expires_s};
    assert_int_equal(limit_seat_take(&seats), 0);
    assert_int_equal(limit_enter(&addresses, SLICE("address"), &who.ip), 0);
    return conn_new(&home, dialects[DIALECT_ID_JSON], &who, &f->base);
}

static struct target *target_of_user(const char *user)
{
    struct buf name = {0};
    target_append_user(&name, slice_of(user));
    struct target *t = hub_find(&hub, buf_slice(&name));
    buf_release(&name);
    return t;
}

static void target_live(struct target *t)
{
    t->state = TARGET_LIVE;
    conn_ready_all(t);
}

/* The channels of everybody and of a user are subscribed and their metas were read. */
static void go_live(const char *user)
{
    target_live(hub_find(&hub, TARGET_EVERYBODY));
    target_live(target_of_user(user));
}

static struct conn *connect_user(const char *user)
{
    char json[64];
    snprintf(json, sizeof(json), "\"%s\"", user);
    struct conn *c = connect_as(json, 0);
    conn_join_user(c, slice_of(user));
    if (c->state == CONN_JOINING)
        go_live(user);
    conn_flush(c);
    forget_log(c);
    return c;
}

static void flush_all(void)
{
    struct roster_place *p;
    while ((p = roster_take_dirty(&roster)) != NULL)
        conn_flush(conn_of(p));
}

/* The socket is gone, and the turn over. */
static void lose(struct conn *c)
{
    conn_gone(c, CLOSE_GONE);
    reap();
}

static int64_t closed_for(enum close_reason why)
{
    return (int64_t)ctx.metrics->closed[why].n;
}

/* ---- life ---- */

static void hello_comes_first_when_all_is_subscribed(void **state)
{
    struct conn *c = connect_as("7", 0);
    conn_join_user(c, SLICE("7"));
    assert_string_equal(watched, "fresh g;fresh u:7;");
    assert_int_equal(c->state, CONN_JOINING);
    flush_all();
    assert_string_equal(log_of(c), ""); /* neither said nor heard anything */
    target_live(target_of_user("7"));
    assert_int_equal(c->state, CONN_JOINING); /* everybody's is still to come */
    go_live("7");
    assert_int_equal(c->state, CONN_OPEN);
    flush_all();
    assert_string_equal(
        log_of(c), "start;{\"type\":\"connected\",\"user_id\":7,\"message\":\"WebSocket connection established\"};");
    /* the second one finds a channel that lives */
    struct conn *d = connect_as("\"7\"", 0);
    conn_join_user(d, SLICE("7"));
    assert_int_equal(d->state, CONN_OPEN);
    assert_int_equal(target_of_user("7")->member_count, 2);
    lose(d);
    assert_string_equal(watched, "fresh g;fresh u:7;");
    lose(c);
    assert_string_equal(watched, "fresh g;fresh u:7;vacant u:7;vacant g;");
    assert_int_equal(closed_for(CLOSE_GONE), 2);
}

static void a_target_that_lingers_is_found_again(void **state)
{
    lose(connect_user("a"));
    watched[0] = '\0';
    struct conn *c = connect_as("\"a\"", 0);
    conn_join_user(c, SLICE("a"));
    assert_string_equal(watched, "again g;again u:a;");
    assert_int_equal(c->state, CONN_OPEN);
    lose(c);
}

static void goodbyes_have_their_code_and_reason(void **state)
{
    static const struct {
        enum close_reason why;
        const char *want;
    } cases[] = {{CLOSE_TOKEN, "close 1008 bad_token;start;"},
                 {CLOSE_WRONG_USER, "close 4002 wrong_user;start;"},
                 {CLOSE_BACKEND, "close 1013 backend_away;start;"},
                 {CLOSE_PROTOCOL, "close 1002 protocol_error;start;"}};
    cfg.auth_close_code = 1008;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct conn *c = connect_as("1", 0);
        conn_close(c, cases[i].why);
        conn_close(c, CLOSE_SLOW); /* nothing any more */
        conn_on_goodbye(c, 1000);
        assert_string_equal(log_of(c), cases[i].want);
        assert_int_equal(c->state, CONN_CLOSING);
        assert_int_equal(roster.connections, 0);
        assert_int_equal(closed_for(cases[i].why), 1);
        lose(c);
    }
    assert_int_equal(closed_for(CLOSE_SLOW) + closed_for(CLOSE_GONE), 0);
}

static void a_drained_client_is_told_when_to_come_back(void **state)
{
    struct conn *c = connect_user("a");
    unsigned ms;
    char end;
    conn_close(c, CLOSE_DRAIN);
    assert_int_equal(sscanf(log_of(c), "close 1001 going_away retry=%u%c", &ms, &end), 2);
    assert_true(ms < 2000 && end == ';');
    lose(c);
}

static void those_sent_away_are_spread_evenly(void **state)
{
    enum { PARTS = 10, EACH = 20 };
    unsigned parts[PARTS] = {0}, ms;
    home.retry = 12345;
    for (int i = 0; i < PARTS * EACH; i++) {
        struct conn *c = connect_user("a");
        conn_close(c, CLOSE_DRAIN);
        assert_int_equal(sscanf(log_of(c), "close 1001 going_away retry=%u", &ms), 1);
        assert_in_range(ms, 0, 1999);
        parts[ms / (2000 / PARTS)]++;
        lose(c);
        reap();
    }
    for (int i = 0; i < PARTS; i++)
        assert_in_range(parts[i], EACH - 2, EACH + 2);
}

static void a_goodbye_is_answered_by_its_own_code(void **state)
{
    struct conn *c = connect_user("a");
    conn_on_goodbye(c, 4000);
    assert_string_equal(log_of(c), "close 4000 ;");
    assert_int_equal(closed_for(CLOSE_PEER), 1);
    conn_on_message(c, SLICE("{\"type\":\"ping\"}"), false);
    flush_all();
    assert_string_equal(log_of(c), "close 4000 ;");
    lose(c);
}

static void one_that_does_not_end_is_aborted(void **state)
{
    struct conn *c = connect_user("a");
    conn_close(c, CLOSE_SILENT);
    assert_null(roster_first_due(&roster.closing, l.now_ms + CLOSE_GRACE_MS - 1));
    assert_ptr_equal(conn_of(roster_first_due(&roster.closing, l.now_ms + CLOSE_GRACE_MS)), c);
    conn_abort(c);
    assert_int_equal(c->state, CONN_DEAD);
    conn_gone(c, CLOSE_GONE); /* harmless */
    conn_mark_dirty(c);
    assert_true(list_empty(&roster.dirty));
    reap();
    assert_string_equal(freed_log, "close 1001 silent;abort;");
}

/* ---- messages ---- */

static void say(struct conn *c, const char *text)
{
    conn_on_message(c, slice_of(text), false);
    flush_all();
}

static void messages_are_answered(void **state)
{
    struct conn *c = connect_user("a");
    say(c, "{\"type\":\"ping\"}");
    say(c, "{\"type\":\"ping\",\"timestamp\":1.50,\"data\":{\"a\":1}}");
    say(c, "{\"type\":\"pong\",\"timestamp\":null}");
    assert_string_equal(log_of(c), "{\"type\":\"pong\"};{\"type\":\"pong\",\"data\":{\"a\":1},\"timestamp\":1.50};");
    forget_log(c);
    say(c, "{");
    assert_non_null(strstr(log_of(c), "\"code\":\"malformed_message\""));
    forget_log(c);
    say(c, "{\"type\":\"fly\"}");
    assert_non_null(strstr(log_of(c), "\"code\":\"unknown_type\""));
    conn_on_message(c, SLICE("{\"type\":\"ping\"}"), true);
    assert_int_equal(c->state, CONN_OPEN);
    assert_int_equal(ctx.metrics->errors_sent.n, 3);
    assert_int_equal(ctx.metrics->messages_received.n, 6);
    lose(c);
}

static void messages_of_a_user_are_counted_together(void **state)
{
    cfg.rate_limit_max_messages = 3;
    struct conn *c = connect_user("a"), *d = connect_user("a"), *other = connect_user("b");
    say(c, "{\"type\":\"ping\"}");
    say(d, "{\"type\":\"ping\"}");
    say(c, "{\"type\":\"ping\"}");
    forget_log(d);
    conn_on_message(d, SLICE("{\"type\":\"ping\"}"), false);
    assert_int_equal(d->state, CONN_CLOSING);
    assert_string_equal(log_of(d), "close 4029 rate_limited;");
    flush_all();
    assert_non_null(strstr(log_of(d), "\"code\":\"rate_limited\"")); /* said before the goodbye, which comes behind */
    say(other, "{\"type\":\"ping\"}");
    assert_int_equal(other->state, CONN_OPEN);
    l.now_ms += cfg.rate_limit_window;
    say(c, "{\"type\":\"ping\"}");
    assert_int_equal(c->state, CONN_OPEN);
    lose(c);
    lose(d);
    lose(other);
}

/* ---- time ---- */

static void heartbeats_are_one_frame_for_all(void **state)
{
    struct conn *c = connect_user("a"), *d = connect_user("b");
    assert_null(roster_first_due(&roster.beating, l.now_ms + 29999));
    l.now_ms += 30000;
    size_t frames = frame_live();
    for (unsigned i = 0; i < 2; i++)
        conn_beat(conn_of(roster_first_due(&roster.beating, l.now_ms)));
    assert_null(roster_first_due(&roster.beating, l.now_ms));
    assert_int_equal(frame_live(), frames + 1);
    flush_all();
    assert_string_equal(log_of(c), "{\"type\":\"ping\",\"timestamp\":null};");
    assert_string_equal(log_of(d), log_of(c));
    lose(c);
    lose(d);
    cfg.heartbeat_interval = 0;
    c = connect_user("a");
    assert_null(roster_first_due(&roster.beating, l.now_ms + 1000000000));
    lose(c);
}

static void the_silent_are_asked_and_then_closed(void **state)
{
    struct conn *c = connect_user("a"), *lively = connect_user("b");
    unsigned looks = 0;
    for (uint64_t until = l.now_ms + 61000; l.now_ms < until; l.now_ms += 100) {
        struct roster_place *p;
        while ((p = roster_first_to_watch(&roster, l.now_ms)) != NULL) {
            looks += conn_of(p) == c;
            conn_watch(conn_of(p));
        }
        if (l.now_ms % 1000 == 0)
            conn_on_alive(lively);
        if (c->state == CONN_OPEN && l.now_ms + 30000 == until)
            assert_non_null(strstr(log_of(c), "ping;"));
    }
    assert_true(looks <= 10);
    /* it is closed at the first look after CONNECTION_TIMEOUT */
    l.now_ms += 12500;
    conn_watch(c);
    assert_int_equal(c->state, CONN_CLOSING);
    assert_non_null(strstr(log_of(c), "close 1001 silent;"));
    assert_string_equal(log_of(lively), "");
    lose(c);
    lose(lively);
}

static void a_token_that_ends_soon_is_looked_at_apart(void **state)
{
    struct conn *c = connect_as("1", 1); /* 1970 */
    conn_join_user(c, SLICE("1"));
    go_live("1");
    assert_false(list_empty(&roster.expiring));
    assert_null(roster_first_to_watch(&roster, UINT64_MAX));
    conn_close(c, CLOSE_EXPIRED);
    flush_all();
    assert_non_null(strstr(log_of(c), "close 4003 token_expired;"));
    lose(c);
}

/* ---- events ---- */

static void publish(const char *user, const char *text)
{
    struct envelope e = {
        .event = SLICE("e"), .kind = ENVELOPE_TEXT, .payload = slice_of(text), .kafka_ms = UINT64_MAX / 2};
    fanout_deliver(&fanout, target_of_user(user), &e, 0);
}

static void an_event_is_one_frame_for_all_of_its_user(void **state)
{
    struct conn *c = connect_user("a"), *d = connect_user("a"), *other = connect_user("b");
    size_t frames = frame_live();
    publish("a", "x");
    assert_int_equal(frame_live(), frames + 1);
    flush_all();
    assert_int_equal(frame_live(), frames);
    assert_string_equal(log_of(c), "{\"type\":\"e\",\"data\":\"x\"};");
    assert_string_equal(log_of(d), log_of(c));
    assert_string_equal(log_of(other), "");
    assert_int_equal(ctx.metrics->messages_sent.n, 2);
    fanout_written(&fanout);
    assert_int_equal(fanout.pending_count, 0);
    lose(c);
    lose(d);
    lose(other);
}

static void who_has_it_from_its_replay_does_not_hear_it_again(void **state)
{
    struct conn *c = connect_user("a"), *d = connect_user("a");
    struct envelope e = {.id = 5, .event = SLICE("e"), .kind = ENVELOPE_TEXT, .payload = SLICE("x")};
    c->members->from = 5;
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    e.id = 6;
    e.payload = SLICE("y");
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    e.id = 0; /* ephemeral: always */
    e.payload = SLICE("z");
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    flush_all();
    assert_string_equal(log_of(c), "{\"type\":\"e\",\"data\":\"y\"};{\"type\":\"e\",\"data\":\"z\"};");
    assert_non_null(strstr(log_of(d), "\"data\":\"x\""));
    lose(c);
    lose(d);
}

static void who_is_joining_hears_nothing_yet(void **state)
{
    struct conn *c = connect_as("\"a\"", 0);
    conn_join_user(c, SLICE("a"));
    publish("a", "x");
    flush_all();
    assert_string_equal(log_of(c), "");
    assert_int_equal(ctx.metrics->messages_sent.n, 0);
    lose(c);
}

static void a_slow_reader_goes_alone(void **state)
{
    char wide[120];
    struct conn *slow = connect_user("a"), *c = connect_user("a"), *d = connect_user("a");
    ((struct fake *)c->transport)->deaf = false;
    ((struct fake *)slow->transport)->deaf = true;
    memset(wide, 'x', sizeof(wide) - 40);
    wide[sizeof(wide) - 40] = '\0';
    unsigned sent = 0;
    while (slow->state == CONN_OPEN && sent < 1000) {
        publish("a", wide);
        sent++;
        flush_all();
        forget_log(c);
        forget_log(d);
    }
    assert_in_range(sent, 100, 200);
    assert_int_equal(closed_for(CLOSE_SLOW), 1);
    assert_int_equal(ctx.metrics->send_failures.n, 1);
    assert_int_equal(ctx.metrics->messages_sent.n, 3 * sent - 1);
    assert_non_null(strstr(log_of(slow), "close 4008 slow_reader;"));
    assert_int_equal(c->state, CONN_OPEN);
    assert_int_equal(target_of_user("a")->member_count, 2);
    publish("a", "y");
    flush_all();
    assert_string_equal(log_of(c), "{\"type\":\"e\",\"data\":\"y\"};");
    assert_string_equal(log_of(d), log_of(c));
    lose(slow);
    lose(c);
    lose(d);
}

static uint64_t observed(const struct metric_histogram *h)
{
    uint64_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(h->buckets); i++)
        n += h->buckets[i];
    return n;
}

static void assert_observed(uint64_t redis, uint64_t write, uint64_t delivery)
{
    fanout_written(&fanout);
    assert_int_equal(observed(&ctx.metrics->redis_seconds), redis);
    assert_int_equal(observed(&ctx.metrics->write_seconds), write);
    assert_int_equal(observed(&ctx.metrics->delivery_seconds), delivery);
}

/* Once for each connection; nothing of what is told a second time, and no hop over Redis of what has no id. */
static void hops_are_observed(void **state)
{
    struct conn *c = connect_user("a"), *d = connect_user("a");
    struct envelope e = {.id = 1, .kafka_ms = 1, .event = SLICE("e"), .kind = ENVELOPE_TEXT, .payload = SLICE("x")};
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    assert_int_equal(observed(&ctx.metrics->delivery_seconds), 0); /* not written yet */
    assert_observed(2, 2, 2);
    e.id = 0;
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    assert_observed(2, 4, 4);
    member_had(c->members, &(struct seen){0});
    member_had(d->members, &(struct seen){0});
    e.id = 8;
    e.key = SLICE("t#1/0/5");
    e.flags = ENVELOPE_COORDINATE;
    fanout_deliver_again(&fanout, target_of_user("a"), &e, 0);
    assert_int_equal(ctx.metrics->messages_sent.n, 6);
    assert_observed(2, 4, 4);
    e.id = 9;
    e.kafka_ms = 0; /* its record has no time: it is not as old as Unix */
    e.key = SLICE("t#1/0/6");
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    assert_observed(4, 6, 4);
    lose(c);
    lose(d);
}

/* What Redis lost comes again to who may lack it, once, however often it is lost; what came live counts. */
static void what_was_lost_comes_again_once(void **state)
{
    struct conn *c = connect_user("a"), *d = connect_user("a");
    struct target *t = target_of_user("a");
    struct envelope e = {
        .id = 8, .event = SLICE("e"), .kind = ENVELOPE_TEXT, .payload = SLICE("x"), .flags = ENVELOPE_COORDINATE};
    struct seen had = {0};
    assert_true(seen_take(&had, seen_part(SLICE("t#1/0")), 3, 0));
    member_had(d->members, &had);
    assert_null(had.rows);
    assert_true(hub_saw(t, SLICE("t#1/0"), 6, 1));
    hub_lost(t, 8);
    static const struct {
        const char *key;
        bool again;
        unsigned expected;
    } steps[] = {{"t#1/0/3", true, 0},   {"t#1/0/4", true, 1},   {"t#1/0/4", true, 0}, {"t#1/0/6", false, 2},
                 {"t#1/0/6", true, 0},   {"t#1/0/5", true, 0},   {"t#1/1/5", true, 1}, {"t#1/1/5", true, 0},
                 {"t#1/0/6.1", true, 1}, {"an own key", true, 0}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        uint64_t before = ctx.metrics->messages_sent.n;
        e.id++;
        e.key = slice_of(steps[i].key);
        (steps[i].again ? fanout_deliver_again : fanout_deliver)(&fanout, t, &e, 0);
        if (ctx.metrics->messages_sent.n - before != steps[i].expected)
            fail_msg("step %zu, %s", i, steps[i].key);
    }
    member_had_all(d->members);
    e.key = SLICE("t#1/0/9");
    fanout_deliver_again(&fanout, t, &e, 0);
    assert_int_equal(ctx.metrics->messages_sent.n, 5);
    lose(c);
    lose(d);
}

/* Clocks of other machines may be ahead of ours. */
static void what_comes_from_the_future_took_no_time(void **state)
{
    struct conn *c = connect_user("a");
    const uint64_t times[] = {UINT64_MAX, UINT64_MAX / 1000, UINT64_MAX / 1000 + 1, 4102444800000};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct envelope e = {.id = UINT64_MAX - 4 + i,
                             .kafka_ms = times[i],
                             .event = SLICE("e"),
                             .kind = ENVELOPE_TEXT,
                             .payload = SLICE("x")};
        fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    }
    assert_observed(4, 4, 4);
    assert_int_equal(ctx.metrics->redis_seconds.buckets[0], 4);
    assert_int_equal(ctx.metrics->delivery_seconds.buckets[0], 4);
    lose(c);
}

static void a_turn_s_events_were_read_together(void **state)
{
    struct conn *c = connect_user("a");
    publish("a", "x");
    uint64_t read_us = fanout.read_us;
    publish("a", "y");
    assert_true(read_us != 0 && fanout.read_us == read_us);
    fanout_turn(&fanout);
    publish("a", "z");
    assert_true(fanout.read_us >= read_us);
    assert_int_equal(fanout.pending[0].read_us, read_us);
    assert_int_equal(fanout.pending[1].read_us, read_us);
    assert_int_equal(fanout.pending[2].read_us, fanout.read_us);
    lose(c);
}

static void only_recorded_traces_are_exemplars(void **state)
{
    struct conn *c = connect_user("a");
    const struct metric_histogram *h = &ctx.metrics->delivery_seconds;
    struct envelope e = {.id = 1,
                         .kafka_ms = 1,
                         .event = SLICE("e"),
                         .kind = ENVELOPE_TEXT,
                         .payload = SLICE("x"),
                         .traceparent = SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")};
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    fanout_written(&fanout);
    assert_int_equal(h->exemplars[h->bounds->count].seq, 0);
    e.traceparent = SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    fanout_deliver(&fanout, target_of_user("a"), &e, 0);
    fanout_written(&fanout);
    assert_int_equal(h->exemplars[h->bounds->count].seq, 2);
    assert_memory_equal((const void *)h->exemplars[h->bounds->count].trace_id, "4bf92f3577b34da6a3ce929d0e0e4736", 32);
    lose(c);
}

static void every_delivery_is_observed(void **state)
{
    struct conn *c = connect_user("a");
    for (unsigned i = 0; i < 3 * FANOUT_PENDING_MAX + 7; i++) {
        publish("a", "x");
        flush_all();
        forget_log(c);
    }
    fanout_written(&fanout);
    assert_int_equal(observed(&ctx.metrics->delivery_seconds), 3 * FANOUT_PENDING_MAX + 7);
    lose(c);
}

/* An event with an id, in one of its targets' channels. */
static void publish_in(struct target *t, uint64_t id, const char *key, struct slice a, struct slice b)
{
    struct envelope e = {.id = id,
                         .key = slice_of(key),
                         .event = SLICE("e"),
                         .kind = ENVELOPE_TEXT,
                         .payload = slice_of(key),
                         .targets = {a, b},
                         .target_count = 2};
    fanout_deliver(&fanout, t, &e, 0);
    flush_all();
}

static void an_event_for_several_targets_comes_once(void **state)
{
    struct conn *c = connect_user("a"), *d = connect_user("b");
    struct target *a = target_of_user("a"), *everybody = hub_find(&hub, TARGET_EVERYBODY);
    const struct slice g = TARGET_EVERYBODY, ua = SLICE("u:a");
    publish_in(a, 1, "k1", ua, g);
    publish_in(everybody, 2, "k1", ua, g);
    publish_in(everybody, 3, "k2", ua, g);
    publish_in(a, 4, "k2", ua, g);
    publish_in(a, 5, "k3", ua, SLICE("r:x"));
    publish_in(a, 6, "k3", ua, SLICE("r:x")); /* in one of them only: what comes twice is another matter */
    static const char *const got[] = {"k1", "k2", "k3", "k3"};
    char want[512] = "";
    for (size_t i = 0; i < ARRAY_LEN(got); i++) {
        size_t n = strlen(want);
        snprintf(want + n, sizeof(want) - n, "{\"type\":\"e\",\"data\":\"%s\",\"key\":\"%s\"};", got[i], got[i]);
    }
    assert_string_equal(log_of(c), want);
    assert_null(d->more); /* who is in one of them remembers nothing */
    lose(c);
    lose(d);
}

/* ---- what was missed ---- */

static void who_is_behind_gets_only_events_without_id(void **state)
{
    struct conn *c = connect_user("a");
    conn_more(c)->behind = true;
    publish_in(target_of_user("a"), 7, "k1", SLICE("u:a"), SLICE("r:x"));
    assert_string_equal(log_of(c), "");
    publish("a", "now");
    flush_all();
    assert_string_equal(log_of(c), "{\"type\":\"e\",\"data\":\"now\"};");
    forget_log(c);
    c->more->behind = false;
    c->members->from = 8;
    publish_in(target_of_user("a"), 8, "k2", SLICE("u:a"), SLICE("r:x"));
    assert_string_equal(log_of(c), "");
    publish_in(target_of_user("a"), 9, "k3", SLICE("u:a"), SLICE("r:x"));
    flush_all();
    assert_non_null(strstr(log_of(c), "k3"));
    conn_shed_more(c);
    assert_null(c->more);
    lose(c);
}

static uint64_t resumed_at;
static void note_resume(void *arg, struct conn *c, uint64_t position)
{
    resumed_at = position;
}

static void acks_and_resumes(void **state)
{
    struct conn *c = connect_user("a");
    home.rescuer.on_resume = note_resume;
    say(c, "{\"type\":\"ack\",\"id\":\"0\"}");
    assert_non_null(strstr(log_of(c), "\"code\":\"no_device\""));
    forget_log(c);
    say(c, "{\"type\":\"resume\",\"last_id\":\"1-5\"}");
    assert_string_equal(log_of(c), "");
    assert_int_equal(resumed_at, 1005);
    conn_more(c)->behind = true;
    say(c, "{\"type\":\"resume\",\"last_id\":\"2-0\"}");
    assert_non_null(strstr(log_of(c), "\"code\":\"already_resuming\""));
    assert_int_equal(resumed_at, 1005);
    lose(c);
}

static struct conn *connect_one_that_resumes(const char *user)
{
    struct conn *c = connect_user(user);
    home.rescuer.on_resume = note_resume;
    say(c, "{\"type\":\"resume\",\"last_id\":\"1-5\"}");
    return c;
}

static void who_resumes_is_moved_the_longest_idle_first(void **state)
{
    struct mover m = {.ctx = &ctx, .roster = &roster};
    struct conn *a = connect_one_that_resumes("a"), *plain = connect_user("p");
    l.now_ms += 2000;
    struct conn *b = connect_one_that_resumes("b"), *behind = connect_one_that_resumes("x");
    l.now_ms += 2000;
    struct conn *c = connect_one_that_resumes("c");
    publish_in(target_of_user("a"), 9, "k", SLICE("u:a"), SLICE("r:x"));
    conn_more(behind)->behind = true;
    assert_int_equal(roster.movable, 4);
    assert_int_equal(mover_move(&m, 0), 0);
    assert_int_equal(mover_move(&m, 1), 1);
    assert_int_equal(b->state, CONN_CLOSING);
    assert_non_null(strstr(log_of(b), "close 4004 move_elsewhere retry="));
    assert_int_equal(mover_move(&m, 5), 2);
    assert_true(a->state == CONN_CLOSING && c->state == CONN_CLOSING);
    assert_true(plain->state == CONN_OPEN && behind->state == CONN_OPEN);
    assert_int_equal(roster.movable, 1);
    assert_int_equal(closed_for(CLOSE_MOVE), 3);
    struct conn *all[] = {a, b, c, plain, behind};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        lose(all[i]);
    assert_int_equal(roster.movable, 0);
}

/* ---- the cap of a user ---- */

static void a_user_may_have_so_many_connections(void **state)
{
    struct conn *held[4];
    for (size_t i = 0; i < 3; i++)
        held[i] = connect_user("a");
    held[3] = connect_as("\"a\"", 0);
    conn_join_user(held[3], SLICE("a"));
    assert_string_equal(log_of(held[3]), "close 4029 too_many_connections;start;");
    assert_int_equal(doubts, 0); /* they are all here */
    struct conn *other = connect_user("b");
    lose(held[0]);
    struct conn *next = connect_user("a");
    assert_int_equal(next->state, CONN_OPEN);
    for (size_t i = 1; i < 4; i++)
        lose(held[i]);
    lose(next);
    lose(other);
}

static void a_count_of_others_lets_in_at_once_and_refuses_when_it_is_good(void **state)
{
    struct conn *first = connect_user("a"), *c, *d;
    struct target *t = target_of_user("a");
    t->elsewhere = 2;
    t->counted = HUB_COUNTED_WELL; /* of the first one */
    c = connect_as("\"a\"", 0);
    conn_join_user(c, SLICE("a"));
    assert_int_equal(c->state, CONN_JOINING);
    assert_int_equal(doubts, 1);
    t->counted = HUB_COUNTED_SINCE;
    conn_ready_all(t);
    assert_int_equal(c->state, CONN_JOINING);
    assert_int_equal(doubts, 2);
    t->elsewhere = 1;
    conn_ready_all(t);
    assert_int_equal(c->state, CONN_OPEN);
    d = connect_as("\"a\"", 0);
    conn_join_user(d, SLICE("a"));
    assert_int_equal(d->state, CONN_JOINING);
    t->counted = HUB_COUNTED_WELL;
    conn_ready_all(t);
    assert_int_equal(d->state, CONN_CLOSING);
    assert_int_equal(doubts, 3);
    lose(first);
    lose(c);
    lose(d);
}

/* ---- what a target has seen ---- */

static void coordinates_are_remembered_for_so_many_parts(void **state)
{
    struct conn *c = connect_user("a");
    struct target *t = target_of_user("a");
    char part[16];
    assert_true(hub_saw(t, SLICE("t#1/0"), 5, 0));
    assert_false(hub_saw(t, SLICE("t#1/0"), 5, 0));
    assert_false(hub_saw(t, SLICE("t#1/0"), 4, 9));
    assert_true(hub_saw(t, SLICE("t#1/0"), 5, 1));
    assert_true(hub_saw(t, SLICE("t#1/1"), 5, 1));
    assert_true(hub_saw(t, SLICE("t#1/0"), 6, 0));
    for (unsigned i = 2; i <= SEEN_MAX; i++) {
        snprintf(part, sizeof(part), "t#1/%u", i);
        assert_true(hub_saw(t, slice_of(part), 1, 0));
    }
    assert_int_equal(t->seen.count, SEEN_MAX);
    assert_true(hub_saw(t, SLICE("t#1/0"), 1, 0)); /* the oldest made room: a repeat at worst */
    assert_false(hub_saw(t, slice_of(part), 1, 0));
    lose(c);
}

#define CONN_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONN_TEST(hello_comes_first_when_all_is_subscribed),
        CONN_TEST(a_target_that_lingers_is_found_again),
        CONN_TEST(goodbyes_have_their_code_and_reason),
        CONN_TEST(a_drained_client_is_told_when_to_come_back),
        CONN_TEST(those_sent_away_are_spread_evenly),
        CONN_TEST(a_goodbye_is_answered_by_its_own_code),
        CONN_TEST(one_that_does_not_end_is_aborted),
        CONN_TEST(messages_are_answered),
        CONN_TEST(messages_of_a_user_are_counted_together),
        CONN_TEST(heartbeats_are_one_frame_for_all),
        CONN_TEST(the_silent_are_asked_and_then_closed),
        CONN_TEST(a_token_that_ends_soon_is_looked_at_apart),
        CONN_TEST(an_event_is_one_frame_for_all_of_its_user),
        CONN_TEST(who_is_joining_hears_nothing_yet),
        CONN_TEST(who_has_it_from_its_replay_does_not_hear_it_again),
        CONN_TEST(a_slow_reader_goes_alone),
        CONN_TEST(hops_are_observed),
        CONN_TEST(what_was_lost_comes_again_once),
        CONN_TEST(what_comes_from_the_future_took_no_time),
        CONN_TEST(a_turn_s_events_were_read_together),
        CONN_TEST(only_recorded_traces_are_exemplars),
        CONN_TEST(every_delivery_is_observed),
        CONN_TEST(an_event_for_several_targets_comes_once),
        CONN_TEST(who_is_behind_gets_only_events_without_id),
        CONN_TEST(acks_and_resumes),
        CONN_TEST(who_resumes_is_moved_the_longest_idle_first),
        CONN_TEST(a_user_may_have_so_many_connections),
        CONN_TEST(a_count_of_others_lets_in_at_once_and_refuses_when_it_is_good),
        CONN_TEST(coordinates_are_remembered_for_so_many_parts),
    };
    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}

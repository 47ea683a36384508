/* Channels of a node whose commands link leads to a server that answers what the test says; what a member gets is
 * written down as `text@position;`. Ids are small numbers. */
#include "common/event_id.h"
#include "common/target.h"
#include "gateway/channel.h"
#include "gateway/conn.h"
#include "loopback.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a worker with one node ---- */

static struct loop l;
static struct gateway_config cfg;
static struct metrics metrics;
static struct limit addresses;
static struct limit_seats seats;
static struct context ctx;
static struct roster roster;
static struct hub hub;
static struct conn_home home;
static struct fanout fanout;
static struct census census;
static struct positions positions;
static struct endpoint endpoint;
static struct redis_commands rc;
static struct redis_library library;
static struct channels ch;
static int listener, peer;
static char heard[1 << 20]; /* by the server */
static uint64_t sent;       /* by it, to its peer */

static void turn(void)
{
    loop_turn(&l, 1);
    if (peer < 0)
        return;
    size_t n = strlen(heard);
    ssize_t got = recv(peer, heard + n, sizeof(heard) - 1 - n, MSG_DONTWAIT);
    for (ssize_t i = 0; i < got; i++)
        heard[n + (size_t)i] = heard[n + (size_t)i] != '\0' ? heard[n + (size_t)i] : '0';
}

static void say_bytes(const char *bytes, size_t n)
{
    assert_int_equal(write(peer, bytes, n), n);
    sent += n;
    for (int i = 0; i < LOOPBACK_TURNS && !loopback_took(peer, sent); i++)
        turn();
    turn();
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

static void accept_link(void)
{
    for (int i = 0; i < LOOPBACK_TURNS && peer < 0; i++) {
        turn();
        peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    }
    assert_true(peer >= 0);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    for (int i = 0; i < LOOPBACK_TURNS && strstr(heard, "PING") == NULL; i++)
        turn();
    sent = 12;
    assert_int_equal(write(peer, "+OK\r\n+PONG\r\n", sent), sent);
    for (int i = 0; i < LOOPBACK_TURNS && !redis_commands_is_up(&rc); i++)
        turn();
    assert_true(redis_commands_is_up(&rc));
    memset(heard, 0, sizeof(heard));
}

static void on_occupied(void *arg, struct target *t, bool fresh)
{
    if (!fresh && t->state != TARGET_WANTED)
        channel_entered(&ch, t);
}

static void on_vacant(void *arg, struct target *t)
{
    channel_left(&ch, t);
    list_remove(&t->queued);
}

static void on_other(void *arg, struct target *t)
{
}

static void on_commands_up(struct redis_commands *c)
{
    MAP_EACH (node, &hub.targets)
        channel_ask_again(&ch, CONTAINER_OF(node, struct target, node));
}

static void on_library_ready(struct redis_library *lib)
{
    channels_go_on(&ch);
}

static int start(void **state)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&sa, &len) != 0)
        return -1;
    endpoint = (struct endpoint){.host = xstrdup("127.0.0.1"), .port = ntohs(sa.sin_port)};
    peer = -1;
    memset(heard, 0, sizeof(heard));
    loop_init(&l);
    cfg = (struct gateway_config){.outbox_bytes = 16384};
    metrics_init(&metrics, &gateway_metrics_table);
    limit_init(&addresses, 100);
    seats = (struct limit_seats){.max = 0};
    ctx = (struct context){
        .loop = &l, .cfg = &cfg, .metrics = metrics_instance(&metrics), .addresses = &addresses, .seats = &seats};
    roster_init(&roster);
    hub_init(&hub, &ctx,
             &(struct hub_watcher){
                 .on_occupied = on_occupied, .on_vacant = on_vacant, .on_count = on_other, .on_doubt = on_other});
    home = (struct conn_home){.ctx = &ctx, .hub = &hub, .roster = &roster};
    fanout_init(&fanout, &ctx);
    census = (struct census){.ctx = &ctx};
    list_init(&positions.nodes);
    redis_library_init(&library, &l, &rc, NULL, on_library_ready);
    channels_init(&ch, &ctx, &hub, &fanout, &census, &rc, &library, &positions);
    redis_commands_init(&rc, &l, &endpoint, NULL, on_commands_up, NULL);
    accept_link();
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

static int stop(void **state)
{
    redis_commands_release(&rc);
    channels_release(&ch);
    redis_library_release(&library);
    struct roster_place *p;
    while ((p = roster_first_due(&roster.beating, UINT64_MAX)) != NULL ||
           (p = roster_first_due(&roster.joining, UINT64_MAX)) != NULL)
        conn_gone(conn_of(p), CLOSE_GONE);
    reap();
    assert_int_equal(ch.position.held, 0);
    assert_int_equal(frame_live(), 0);
    fanout_release(&fanout);
    hub_release(&hub);
    limit_release(&addresses);
    metrics_release(&metrics);
    loop_release(&l);
    close(listener);
    if (peer >= 0)
        close(peer);
    endpoint_release(&endpoint);
    return 0;
}

/* ---- members ---- */

struct fake {
    struct transport base;
    char log[16384];
    bool deaf; /* takes nothing */
};

/* Copies what stands between a name and the next quote. */
static void cut(const char *text, const char *name, char out[64])
{
    const char *at = strstr(text, name);
    snprintf(out, 64, "%.*s", at != NULL ? (int)strcspn(at + strlen(name), "\"") : 0,
             at != NULL ? at + strlen(name) : "");
}

static void fake_flush(struct transport *t)
{
    struct fake *f = (struct fake *)t;
    struct slice iov[64];
    char data[64], id[64], from[64], to[64];
    while (!f->deaf && outbox_waiting(&t->conn->outbox)) {
        size_t n = outbox_take(&t->conn->outbox, iov, ARRAY_LEN(iov));
        for (size_t i = 0; i < n; i++) {
            char *text = slice_dup(slice_from(iov[i], 2));
            size_t at = strlen(f->log);
            cut(text, "\"data\":\"", data);
            cut(text, "\"id\":\"", id);
            cut(text, "\"from\":\"", from);
            cut(text, "\"to\":\"", to);
            if (strstr(text, "\"type\":\"gap\"") != NULL)
                snprintf(f->log + at, sizeof(f->log) - at, "gap %s..%s;", from, to);
            else if (strstr(text, "\"connected\"") == NULL)
                snprintf(f->log + at, sizeof(f->log) - at, "%s@%s;", data, id);
            free(text);
        }
        outbox_written(&t->conn->outbox);
    }
}

static void fake_nothing(struct transport *t)
{
}

static void fake_close(struct transport *t, uint16_t code, struct slice reason)
{
}

static void fake_free(struct transport *t)
{
    free(t);
}

static const struct transport_ops fake_ops = {.start = fake_nothing,
                                              .flush = fake_flush,
                                              .ping = NULL,
                                              .close = fake_close,
                                              .abort = fake_nothing,
                                              .free = fake_free};

static const char *log_of(struct conn *c)
{
    struct roster_place *p;
    while ((p = roster_take_dirty(&roster)) != NULL)
        conn_flush(conn_of(p));
    return ((struct fake *)c->transport)->log;
}

static void forget_log(struct conn *c)
{
    (void)log_of(c);
    ((struct fake *)c->transport)->log[0] = '\0';
}

static struct target *target(const char *user)
{
    struct buf name = {0};
    target_append_user(&name, slice_of(user));
    struct target *t = hub_find(&hub, buf_slice(&name));
    buf_release(&name);
    return t;
}

/* One that is open, on channels that are live. */
static struct conn *connect_user(const char *user)
{
    struct fake *f = xcalloc(1, sizeof(*f));
    f->base.ops = &fake_ops;
    struct conn_identity who = {.user_json = SLICE("1")};
    assert_int_equal(limit_seat_take(&seats), 0);
    assert_int_equal(limit_enter(&addresses, SLICE("address"), &who.ip), 0);
    struct conn *c = conn_new(&home, dialects[DIALECT_ID_JSON], &who, &f->base);
    conn_join_user(c, slice_of(user));
    struct target *everybody = hub_find(&hub, TARGET_EVERYBODY);
    if (everybody->state != TARGET_LIVE) {
        everybody->state = TARGET_LIVE;
        conn_ready_all(everybody);
    }
    return c;
}

/* ---- what the server hears and says ---- */

static void hears(const char *word)
{
    for (int i = 0; i < LOOPBACK_TURNS && strstr(heard, word) == NULL; i++)
        turn();
    if (strstr(heard, word) == NULL)
        fail_msg("%s was not heard", word);
    memset(heard, 0, sizeof(heard));
}

static void hears_nothing(void)
{
    for (int i = 0; i < 5; i++)
        turn();
    assert_string_equal(heard, "");
}

/* An envelope: id, the one before it, its offset in a partition, a text. */
static struct slice envelope_of(struct buf *b, uint64_t id, uint64_t prev, unsigned offset, const char *text)
{
    char number[EVENT_ID_SIZE], key[32];
    snprintf(key, sizeof(key), "t#1/0/%u", offset);
    struct envelope e = {.key = slice_of(key),
                         .event = SLICE("e"),
                         .targets = {SLICE("u:a")},
                         .target_count = 1,
                         .kind = ENVELOPE_TEXT,
                         .payload = slice_of(text),
                         .flags = ENVELOPE_COORDINATE};
    buf_clear(b);
    buf_append(b, event_id_format(id, number));
    buf_byte(b, ' ');
    buf_append(b, event_id_format(prev, number));
    buf_byte(b, ' ');
    envelope_encode(b, &e);
    return buf_slice(b);
}

static struct slice envelope(struct buf *b, uint64_t id, uint64_t prev, const char *text)
{
    return envelope_of(b, id, prev, (unsigned)id, text);
}

static void publish(const char *user, uint64_t id, uint64_t prev, const char *text)
{
    struct buf b = {0};
    channel_on_message(&ch, target(user), envelope(&b, id, prev, text));
    buf_release(&b);
}

/* What Redis lost is appended again, under another id: the log has it, in one chunk. */
static void append_again(const char *user, uint64_t id, uint64_t prev, unsigned offset)
{
    struct buf b = {0};
    struct slice e = envelope_of(&b, id, prev, offset, "again");
    channel_on_message(&ch, target(user), e);
    if (target(user)->state == TARGET_FILLING) {
        hears("tg1_read");
        struct buf all = {0};
        buf_printf(&all, "*2\r\n:1\r\n$%zu\r\n", e.n);
        buf_append(&all, e);
        buf_lit(&all, "\r\n");
        say_bytes(all.p, all.n);
        buf_release(&all);
    }
    buf_release(&b);
}

/* A chunk of a log: events from..to, the first of which names prev; their text is their number. */
static void say_chunk(bool ended, uint64_t from, uint64_t to, uint64_t prev)
{
    struct buf b = {0}, all = {0};
    char text[24];
    buf_printf(&all, "*%u\r\n:%d\r\n", (unsigned)(to + 1 - from) + 1, ended);
    for (uint64_t id = from; id <= to; id++) {
        snprintf(text, sizeof(text), "%u", (unsigned)id);
        struct slice e = envelope(&b, id, id == from ? prev : id - 1, text);
        buf_printf(&all, "$%zu\r\n", e.n);
        buf_append(&all, e);
        buf_lit(&all, "\r\n");
    }
    say_bytes(all.p, all.n);
    buf_release(&all);
    buf_release(&b);
}

static void say_meta(uint64_t id)
{
    const char reply[] = {'$', '3', '\r', '\n', (char)id, 7, 0, '\r', '\n'};
    say_bytes(reply, sizeof(reply));
}

/* A user with a connection, whose channel is live and whose last event is 5. */
static struct conn *live(const char *user)
{
    struct conn *c = connect_user(user);
    channel_on_subscribed(&ch, target(user));
    hears("GET");
    say_meta(5);
    position_heard(&ch.position, 5);
    assert_int_equal(target(user)->state, TARGET_LIVE);
    assert_int_equal(c->state, CONN_OPEN);
    return c;
}

static void reconnect(void)
{
    channels_reset(&ch);
    MAP_EACH (node, &hub.targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        channel_lost(&ch, t);
        list_remove(&t->queued);
        t->state = TARGET_ASKED;
    }
}

/* All that waits for a moment has waited so much longer. */
static void pass(uint64_t ms)
{
    LIST_EACH (it, &l.timers) {
        struct timer *t = CONTAINER_OF(it, struct timer, link);
        t->due_ms -= MIN(ms, t->due_ms);
    }
    MAP_EACH (node, &hub.targets) {
        struct target *t = CONTAINER_OF(node, struct target, node);
        t->due_ms -= MIN(ms, t->due_ms);
    }
    for (int i = 0; i < 5; i++)
        turn();
}

static uint64_t gaps(unsigned how)
{
    return ctx.metrics->gaps[how].n;
}

/* ---- tests ---- */

static void events_in_order_are_passed_on(void **state)
{
    struct conn *c = live("a");
    publish("a", 6, 5, "x");
    publish("a", 7, 6, "y");
    publish("a", 7, 6, "y");
    publish("a", 0, 0, "typing");
    assert_string_equal(log_of(c), "x@0-6;y@0-7;typing@;");
    assert_int_equal(ctx.metrics->repeats.n, 1);
    hears_nothing();
}

static void a_gap_is_filled_before_what_is_new(void **state)
{
    struct conn *c = live("a"), *other = connect_user("b");
    channel_on_subscribed(&ch, target("b"));
    hears("GET");
    say_meta(5);
    publish("a", 6, 5, "6");
    publish("a", 9, 8, "9");
    hears("tg1_read");
    assert_int_equal(target("a")->state, TARGET_FILLING);
    assert_string_equal(log_of(c), "6@0-6;");
    publish("a", 0, 0, "typing"); /* has no place in the log */
    publish("a", 10, 9, "10");    /* has: it is not held */
    publish("b", 11, 5, "11");    /* another channel does not wait, its position does */
    assert_string_equal(log_of(other), "11@0-6;");
    say_chunk(true, 7, 9, 6);
    assert_string_equal(log_of(c), "6@0-6;typing@;7@0-6;8@0-6;9@0-6;");
    hears("tg1_read"); /* 10 came meanwhile */
    say_chunk(true, 10, 10, 9);
    assert_int_equal(target("a")->state, TARGET_LIVE);
    publish("a", 12, 10, "12");
    assert_string_equal(log_of(c), "6@0-6;typing@;7@0-6;8@0-6;9@0-6;10@0-6;12@0-12;");
    assert_int_equal(gaps(GAP_EVENT), 1);
    assert_int_equal(ctx.metrics->repaired.n, 4);
    assert_int_equal(ctx.metrics->gaps_lost.n, 0);
}

static void chunks_go_on_until_the_end(void **state)
{
    struct conn *c = live("a");
    publish("a", 20, 19, "20");
    hears("tg1_read");
    say_chunk(false, 6, 9, 5);
    hears("tg1_read");
    say_chunk(false, 10, 10, 9);
    hears("tg1_read");
    say_chunk(true, 11, 20, 10);
    assert_non_null(strstr(log_of(c), "6@0-5;7@0-5;8@0-5;9@0-5;10@0-5;11@0-5;"));
    assert_int_equal(ctx.metrics->repaired.n, 15);
    assert_int_equal(target("a")->state, TARGET_LIVE);
    hears_nothing();
}

static void repeats_in_a_log_are_dropped_by_where_they_come_from(void **state)
{
    struct conn *c = live("a");
    publish("a", 6, 5, "6");
    assert_true(hub_saw(target("a"), SLICE("t#1/0"), 8, 0)); /* 7 and 8 came under other ids */
    publish("a", 9, 0, "9");
    hears("tg1_read");
    say_chunk(true, 7, 9, 0); /* a log that begins anew is no gap */
    assert_string_equal(log_of(c), "6@0-6;9@0-6;");
    assert_int_equal(ctx.metrics->gaps_lost.n, 0);
    assert_int_equal(ctx.metrics->repeats.n, 2);
}

static void what_the_log_no_longer_keeps_is_told(void **state)
{
    struct conn *c = live("a");
    publish("a", 20, 19, "20");
    hears("tg1_read");
    say_chunk(true, 18, 20, 17);
    assert_string_equal(log_of(c), "gap 0-5..0-18;18@0-5;19@0-5;20@0-5;");
    assert_int_equal(ctx.metrics->gaps_lost.n, 1);
    assert_int_equal(target("a")->state, TARGET_LIVE);
}

/* Routers append it again, under another id. */
static void what_was_heard_and_is_in_no_log_comes_again(void **state)
{
    struct conn *c = live("a");
    publish("a", 20, 19, "20");
    hears("tg1_read");
    say("*1\r\n:1\r\n"); /* Redis lost it in between */
    assert_string_equal(log_of(c), "");
    assert_int_equal(ctx.metrics->gaps_lost.n, 0);
    publish("a", 21, 5, "20");
    hears("tg1_read");
    say_chunk(true, 21, 21, 5);
    assert_string_equal(log_of(c), "21@0-20;");
}

/* To those that came in between, until the last of it is there again; then all have all. */
static void what_was_lost_comes_again_to_who_may_lack_it(void **state)
{
    struct conn *stayed = live("a"), *lacks;
    for (uint64_t id = 6; id <= 8; id++)
        publish("a", id, id - 1, "x");
    assert_false(hub_has_lost(target("a")));
    lacks = connect_user("a");
    member_had(lacks->members, &(struct seen){0});
    append_again("a", 20, 6, 7);
    assert_true(hub_has_lost(target("a")));
    append_again("a", 21, 20, 8);
    assert_false(hub_has_lost(target("a")));
    assert_null(lacks->members->had);
    publish("a", 22, 21, "y");
    assert_string_equal(log_of(stayed), "x@0-6;x@0-7;x@0-8;y@0-22;");
    assert_string_equal(log_of(lacks), "again@0-8;again@0-21;y@0-22;");
}

/* Its replay had read 9 already: a repeat for this member alone, also after all that the channel had seen came again.
 */
static void who_was_ahead_gets_nothing_twice(void **state)
{
    struct conn *stayed = live("a"), *ahead;
    struct seen had = {0};
    for (uint64_t id = 6; id <= 8; id++)
        publish("a", id, id - 1, "x");
    ahead = connect_user("a");
    assert_true(seen_take(&had, seen_part(SLICE("t#1/0")), 9, 0));
    member_had(ahead->members, &had);
    ahead->members->from = 9;
    append_again("a", 20, 7, 8);
    append_again("a", 21, 20, 9);
    assert_null(ahead->members->had);
    publish("a", 22, 21, "y");
    assert_string_equal(log_of(stayed), "x@0-6;x@0-7;x@0-8;again@0-21;y@0-22;");
    assert_string_equal(log_of(ahead), "y@0-22;");
}

static void a_loss_is_not_remembered_for_ever(void **state)
{
    const uint64_t ten_minutes = 600000000;
    live("a");
    publish("a", 6, 5, "x");
    assert_true(hub_saw(target("a"), SLICE("old#1/0"), 3, 0));
    append_again("a", 20, 4, 6);
    assert_true(hub_has_lost(target("a"))); /* of a topic that is gone */
    publish("a", 20 + ten_minutes, 20, "y");
    assert_true(hub_has_lost(target("a")));
    publish("a", 21 + ten_minutes, 20 + ten_minutes, "y");
    assert_false(hub_has_lost(target("a")));
}

static void who_was_ahead_is_caught_up_with(void **state)
{
    struct conn *ahead = live("a");
    struct seen had = {0};
    assert_true(seen_take(&had, seen_part(SLICE("t#1/0")), 7, 0));
    member_had(ahead->members, &had);
    ahead->members->from = 7;
    publish("a", 6, 5, "x");
    assert_non_null(ahead->members->had);
    publish("a", 7, 6, "x");
    assert_null(ahead->members->had);
    publish("a", 8, 7, "y");
    assert_string_equal(log_of(ahead), "y@0-8;");
}

static void what_comes_behind_the_read_is_looked_for_again(void **state)
{
    struct conn *c = live("a");
    publish("a", 8, 7, "8");
    hears("tg1_read");
    publish("a", 9, 8, "9"); /* the read may have been before it */
    say_chunk(true, 6, 8, 5);
    hears("tg1_read");
    say("*1\r\n:1\r\n"); /* but this one was not */
    assert_string_equal(log_of(c), "6@0-5;7@0-5;8@0-5;");
}

static void after_a_reconnect_only_what_went_on_is_read(void **state)
{
    struct conn *a = live("a"), *b = live("b");
    struct target *everybody = hub_find(&hub, TARGET_EVERYBODY);
    everybody->last_id = 5;
    reconnect();
    assert_int_equal(ch.position.held, 3);
    channel_on_subscribed(&ch, target("a"));
    channel_on_subscribed(&ch, target("b"));
    channel_on_subscribed(&ch, everybody);
    hears("tg1_heads");
    assert_int_equal(target("a")->state, TARGET_DOUBTED);
    publish("a", 6, 5, "6");    /* comes before the answer, which is older */
    for (int i = 0; i < 3; i++) /* each is in a bucket of its own */
        say("*1\r\n:5\r\n");
    assert_int_equal(target("b")->state, TARGET_LIVE);
    assert_int_equal(target("a")->state, TARGET_FILLING);
    hears("tg1_read");
    say_chunk(true, 6, 6, 5);
    assert_string_equal(log_of(a), "6@0-5;");
    assert_string_equal(log_of(b), "");
    assert_int_equal(gaps(GAP_RECONNECT), 1);
}

static void answers_from_before_a_reconnect_do_not_count(void **state)
{
    struct conn *c = live("a");
    publish("a", 9, 8, "9");
    hears("tg1_read");
    reconnect();
    channel_on_subscribed(&ch, target("a"));
    hears("tg1_heads");
    say_chunk(true, 6, 9, 5); /* read when nothing was subscribed: its end is not the end */
    assert_int_equal(target("a")->state, TARGET_DOUBTED);
    say("*1\r\n:10\r\n");
    hears("tg1_read");
    say_chunk(true, 6, 10, 5);
    assert_string_equal(log_of(c), "6@0-5;7@0-5;8@0-5;9@0-5;10@0-5;");
}

static void answers_about_another_subscription_do_not_count(void **state)
{
    struct conn *c = live("a");
    reconnect();
    channel_on_subscribed(&ch, target("a"));
    hears("tg1_heads");
    reconnect();
    channel_on_subscribed(&ch, target("a"));
    hears("tg1_heads");
    say("*1\r\n:5\r\n"); /* how it was before the second one */
    assert_int_equal(target("a")->state, TARGET_DOUBTED);
    say("*1\r\n:6\r\n");
    hears("tg1_read");
    channels_reset(&ch); /* other buckets have left this node: what was asked is void, */
    channel_ask_again(&ch, target("a"));
    hears("tg1_read");
    say_chunk(true, 6, 6, 5);
    assert_string_equal(log_of(c), "");
    say_chunk(true, 6, 7, 5);
    assert_string_equal(log_of(c), "6@0-5;7@0-5;");
}

static void a_meta_of_another_subscription_does_not_count(void **state)
{
    struct conn *c = connect_user("a");
    channel_on_subscribed(&ch, target("a"));
    hears("GET");
    channels_reset(&ch);
    channel_lost(&ch, target("a"));
    channel_on_subscribed(&ch, target("a"));
    hears("GET");
    say_meta(5);
    assert_int_equal(c->state, CONN_JOINING);
    say_meta(6);
    assert_int_equal(c->state, CONN_OPEN);
    publish("a", 7, 6, "7");
    assert_string_equal(log_of(c), "7@0-7;");
}

static void heads_that_cannot_be_read_are_no_excuse(void **state)
{
    struct conn *c = live("a");
    reconnect();
    channel_on_subscribed(&ch, target("a"));
    hears("tg1_heads");
    say("-CLUSTERDOWN The cluster is down\r\n");
    hears("tg1_read");
    say_chunk(true, 6, 7, 5);
    assert_string_equal(log_of(c), "6@0-5;7@0-5;");
}

static void a_head_that_went_back_is_nothing_to_fill(void **state)
{
    struct conn *c = live("a");
    reconnect();
    channel_on_subscribed(&ch, target("a"));
    hears("tg1_heads");
    say("*1\r\n:3\r\n");
    assert_int_equal(target("a")->state, TARGET_LIVE);
    publish("a", 6, 3, "6"); /* the log goes on where it was taken back to */
    hears("tg1_read");
    say_chunk(true, 6, 6, 3);
    assert_string_equal(log_of(c), "6@0-5;");
    assert_int_equal(ctx.metrics->gaps_lost.n, 0);
}

static void the_library_is_loaded_when_it_is_missing(void **state)
{
    struct conn *c = live("a");
    publish("a", 7, 6, "7");
    hears("tg1_read");
    say("-ERR Function not found\r\n");
    hears("tg1_version");
    say("-ERR Function not found\r\n");
    hears("LOAD");
    say("$8\r\ntidegate\r\n");
    hears("tg1_read");
    say_chunk(true, 6, 7, 5);
    assert_string_equal(log_of(c), "6@0-5;7@0-5;");
}

static void a_broken_commands_link_puts_it_off(void **state)
{
    struct conn *c = live("a");
    publish("a", 7, 6, "7");
    hears("tg1_read");
    close(peer);
    peer = -1;
    for (int i = 0; i < LOOPBACK_TURNS && redis_commands_is_up(&rc); i++)
        turn();
    publish("a", 8, 7, "8");
    pass(2000);
    accept_link();
    hears("tg1_read");
    say_chunk(true, 6, 8, 5);
    assert_string_equal(log_of(c), "6@0-5;7@0-5;8@0-5;");
}

static void another_kind_of_key_in_its_place(void **state)
{
    struct conn *c = live("a");
    publish("a", 7, 6, "7");
    hears("tg1_read");
    say("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    assert_int_equal(target("a")->state, TARGET_LIVE);
    assert_string_equal(log_of(c), "gap 0-5..0-7;");
    assert_true(redis_commands_is_up(&rc));
}

static void a_log_that_cannot_be_decoded_does_not_go_round(void **state)
{
    live("a");
    publish("a", 7, 6, "7");
    hears("tg1_read");
    say("*2\r\n:0\r\n$3\r\nabc\r\n");
    assert_int_equal(target("a")->state, TARGET_LIVE);
    hears_nothing();
}

static void a_head_that_is_ahead_has_a_second_to_arrive(void **state)
{
    struct conn *c = live("a");
    channels_sweep(&ch, target("a")->bucket);
    hears("tg1_heads");
    say("*1\r\n:6\r\n");
    assert_int_equal(target("a")->state, TARGET_LIVE);
    publish("a", 6, 5, "6");
    pass(1000);
    hears_nothing();
    assert_int_equal(gaps(GAP_SWEEP), 0);
    channels_sweep(&ch, target("a")->bucket);
    hears("tg1_heads");
    say("*1\r\n:7\r\n");
    pass(100);
    hears_nothing();
    pass(1000);
    hears("tg1_read");
    say_chunk(true, 7, 7, 6);
    assert_string_equal(log_of(c), "6@0-6;7@0-6;");
    assert_int_equal(gaps(GAP_SWEEP), 1);
}

static void who_comes_later_is_owed_nothing(void **state)
{
    struct conn *c = live("a");
    publish("a", 9, 8, "9");
    hears("tg1_read");
    conn_gone(c, CLOSE_GONE);
    assert_int_equal(ch.position.held, 0);
    struct conn *d = connect_user("a");
    assert_int_equal(d->state, CONN_JOINING);
    hears("GET");
    say_chunk(false, 6, 8, 5); /* the answer to what the first one was owed */
    hears_nothing();
    say_meta(9);
    assert_int_equal(d->state, CONN_OPEN);
    publish("a", 10, 9, "10");
    assert_string_equal(log_of(d), "10@0-10;");
}

static void one_who_is_left_alone_in_the_midst_is_forgotten(void **state)
{
    struct conn *c = live("a");
    publish("a", 9, 8, "9");
    hears("tg1_read");
    conn_gone(c, CLOSE_GONE);
    say_chunk(false, 6, 8, 5);
    hears_nothing();
    hub_forget(&hub, target("a"));
    hears_nothing();
}

static void a_fill_waits_for_a_slow_member_but_not_for_ever(void **state)
{
    struct conn *c = live("a");
    static char large[9000];
    memset(large, 'x', sizeof(large) - 1);
    ((struct fake *)c->transport)->deaf = true;
    publish("a", 6, 5, large);
    (void)log_of(c);
    publish("a", 9, 8, "9");
    hears_nothing();
    pass(20);
    hears_nothing();
    ((struct fake *)c->transport)->deaf = false;
    conn_mark_dirty(c);
    forget_log(c);
    pass(20);
    hears("tg1_read");
    ((struct fake *)c->transport)->deaf = true;
    publish("a", 0, 0, large);
    say_chunk(false, 7, 8, 6);
    hears_nothing();
    pass(2000);
    hears("tg1_read"); /* OUTBOX_BYTES decides now */
    say_chunk(true, 9, 9, 8);
    assert_int_equal(target("a")->state, TARGET_LIVE);
}

static void so_many_are_read_at_a_time(void **state)
{
    char user[4] = "u00";
    for (unsigned i = 0; i < 20; i++) {
        user[1] = (char)('0' + i / 10);
        user[2] = (char)('0' + i % 10);
        live(user);
    }
    for (unsigned i = 0; i < 20; i++) {
        user[1] = (char)('0' + i / 10);
        user[2] = (char)('0' + i % 10);
        publish(user, 7, 6, "7");
    }
    for (int i = 0; i < 20; i++)
        turn();
    assert_int_equal(ch.fill.reading, 16);
    for (unsigned i = 0; i < 20; i++)
        say_chunk(true, 6, 7, 5);
    assert_int_equal(ch.fill.reading, 0);
    assert_int_equal(ch.position.held, 0);
    assert_int_equal(ctx.metrics->repaired.n, 40);
}

static void what_is_owed_moves_with_the_bucket(void **state)
{
    struct node_position *here = &ch.position;
    struct channels there = {.ctx = &ctx, .hub = &hub};
    struct conn *c = live("a");
    position_add(&positions, &there.position);
    position_heard(&there.position, 100);
    publish("a", 6, 5, "6");
    channel_moved(&ch, &there, target("a"));
    channel_lost(&there, target("a"));
    assert_int_equal(here->held, 0);
    assert_int_equal(there.position.held, 1);
    position_heard(here, 200);
    position_heard(&there.position, 210);
    assert_int_equal(position_of(&positions, 210), 100);
    channel_moved(&there, &ch, target("a"));
    assert_int_equal(there.position.held, 0);
    assert_int_equal(position_safe(&positions), 200);
    conn_gone(c, CLOSE_GONE);
    position_remove(&there.position);
}

#define CHANNEL_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHANNEL_TEST(events_in_order_are_passed_on),
        CHANNEL_TEST(a_gap_is_filled_before_what_is_new),
        CHANNEL_TEST(chunks_go_on_until_the_end),
        CHANNEL_TEST(repeats_in_a_log_are_dropped_by_where_they_come_from),
        CHANNEL_TEST(what_the_log_no_longer_keeps_is_told),
        CHANNEL_TEST(what_was_heard_and_is_in_no_log_comes_again),
        CHANNEL_TEST(what_was_lost_comes_again_to_who_may_lack_it),
        CHANNEL_TEST(who_was_ahead_gets_nothing_twice),
        CHANNEL_TEST(a_loss_is_not_remembered_for_ever),
        CHANNEL_TEST(who_was_ahead_is_caught_up_with),
        CHANNEL_TEST(what_comes_behind_the_read_is_looked_for_again),
        CHANNEL_TEST(after_a_reconnect_only_what_went_on_is_read),
        CHANNEL_TEST(answers_from_before_a_reconnect_do_not_count),
        CHANNEL_TEST(answers_about_another_subscription_do_not_count),
        CHANNEL_TEST(a_meta_of_another_subscription_does_not_count),
        CHANNEL_TEST(heads_that_cannot_be_read_are_no_excuse),
        CHANNEL_TEST(a_head_that_went_back_is_nothing_to_fill),
        CHANNEL_TEST(the_library_is_loaded_when_it_is_missing),
        CHANNEL_TEST(a_broken_commands_link_puts_it_off),
        CHANNEL_TEST(another_kind_of_key_in_its_place),
        CHANNEL_TEST(a_log_that_cannot_be_decoded_does_not_go_round),
        CHANNEL_TEST(a_head_that_is_ahead_has_a_second_to_arrive),
        CHANNEL_TEST(who_comes_later_is_owed_nothing),
        CHANNEL_TEST(one_who_is_left_alone_in_the_midst_is_forgotten),
        CHANNEL_TEST(a_fill_waits_for_a_slow_member_but_not_for_ever),
        CHANNEL_TEST(so_many_are_read_at_a_time),
        CHANNEL_TEST(what_is_owed_moves_with_the_bucket),
    };
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}

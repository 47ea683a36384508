/* Links against a server that says what the test tells it to, byte by byte if need be. */
#include "common/redis_commands.h"
#include "common/redis_subscriber.h"
#include "loopback.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop l;
static struct endpoint endpoint;
static int listener, peer;
static char heard[65536]; /* by the server */
static size_t heard_n;
static uint64_t sent; /* bytes to the peer */

/* ---- the server ---- */

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
    heard_n = 0;
    loop_init(&l);
    return 0;
}

static void hang_up(void)
{
    if (peer >= 0)
        close(peer);
    peer = -1;
}

static int stop(void **state)
{
    loop_release(&l);
    hang_up();
    close(listener);
    endpoint_release(&endpoint);
    return 0;
}

static void turn(void)
{
    loop_turn(&l, 1);
}

static void accept_link(void)
{
    hang_up();
    for (int i = 0; i < LOOPBACK_TURNS && peer < 0; i++) {
        turn();
        peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    }
    assert_true(peer >= 0);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    heard_n = 0;
    sent = 0;
}

static void hear(const char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < LOOPBACK_TURNS && heard_n < n; i++) {
        turn();
        ssize_t got = read(peer, heard + heard_n, sizeof(heard) - heard_n);
        if (got > 0)
            heard_n += (size_t)got;
    }
    assert_true(heard_n >= n);
    assert_memory_equal(heard, text, n);
    heard_n -= n;
    memmove(heard, heard + n, heard_n);
}

static void say(const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(write(peer, text, n), n);
    sent += n;
    for (int i = 0; i < LOOPBACK_TURNS && !loopback_took(peer, sent); i++)
        turn();
    turn();
}

static void say_bytewise(const char *text)
{
    for (; *text != '\0'; text++)
        say((char[]){*text, '\0'});
}

#define SETNAME "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$8\r\ntidegate\r\n"
#define PING    "*1\r\n$4\r\nPING\r\n"

static void greet(void)
{
    accept_link();
    hear(SETNAME PING);
    say("+OK\r\n+PONG\r\n");
}

static void pass(uint64_t ms)
{
    loopback_now_ms += ms;
    loop_turn(&l, 0);
    loop_turn(&l, 0);
}

/* ---- commands ---- */

static struct redis_commands rc;
static unsigned ups, downs;
static char reason[64], said[256]; /* why it went down; what callbacks got, in order */

static void on_up(struct redis_commands *c)
{
    ups++;
}

static void on_down(struct redis_commands *c, const char *why)
{
    downs++;
    snprintf(reason, sizeof(reason), "%s", why);
}

static void on_reply(void *arg, const redisReply *reply)
{
    size_t n = strlen(said);
    snprintf(said + n, sizeof(said) - n, "%s=%s;", (const char *)arg, reply != NULL ? reply->str : "-");
}

static void open_commands(void)
{
    ups = downs = 0;
    said[0] = reason[0] = '\0';
    redis_commands_init(&rc, &l, &endpoint, NULL, on_up, on_down);
}

static int get(const char *key, redis_reply_cb cb)
{
    const struct slice argv[] = {SLICE("GET"), slice_of(key)};
    return redis_commands_send(&rc, argv, 2, cb, (void *)(uintptr_t)key);
}

#define GET(key) "*2\r\n$3\r\nGET\r\n$1\r\n" key "\r\n"

static void it_is_up_when_every_greeting_was_answered(void **state)
{
    endpoint.user = xstrdup("me");
    endpoint.password = xstrdup("secret");
    endpoint.db = 7;
    open_commands();
    assert_int_equal(get("a", on_reply), -1);
    accept_link();
    hear("*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n" SETNAME PING);
    say_bytewise("+OK\r\n+OK\r\n+OK\r\n+PONG\r");
    assert_int_equal(ups, 0);
    say("\n");
    assert_int_equal(ups, 1);
    assert_true(redis_commands_is_up(&rc));
    redis_commands_release(&rc);
    assert_int_equal(downs, 0);
}

static void a_refused_greeting_is_tried_again(void **state)
{
    static const char *const refusals[] = {"-ERR unknown command\r\n+PONG\r\n",
                                           "+OK\r\n-LOADING Redis is loading the dataset in memory\r\n",
                                           "+OK\r\n-NOAUTH Authentication required.\r\n"};
    open_commands();
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        accept_link();
        hear(SETNAME PING);
        say(refusals[i]);
        assert_int_equal(rc.link.state, REDIS_LINK_DOWN);
        assert_int_equal(rc.link.attempt, i + 1);
        pass(2000);
    }
    assert_int_equal(ups, 0);
    assert_int_equal(downs, 0); /* it never was up */
    greet();
    assert_int_equal(ups, 1);
    redis_commands_release(&rc);
}

static void a_server_that_hangs_up_at_once_is_given_time(void **state)
{
    open_commands();
    for (unsigned i = 0; i < 8; i++) {
        greet();
        assert_int_equal(ups, i + 1);
        hang_up();
        for (int n = 0; n < LOOPBACK_TURNS && downs < i + 1; n++)
            turn();
        assert_int_equal(downs, i + 1);
        pass(2000);
    }
    assert_int_equal(rc.link.attempt, 8);
    greet();
    pass(1000);
    assert_int_equal(rc.link.attempt, 0); /* it stayed */
    redis_commands_release(&rc);
}

static void replies_come_in_order_however_they_are_cut(void **state)
{
    open_commands();
    greet();
    get("a", on_reply);
    get("b", NULL);
    get("c", on_reply);
    hear(GET("a") GET("b") GET("c"));
    say_bytewise("$1\r\n1\r\n$1\r\n2\r\n-ERR");
    assert_string_equal(said, "a=1;");
    say(" no\r\n");
    assert_string_equal(said, "a=1;c=ERR no;");
    assert_int_equal(redis_commands_waiting(&rc), 0);
    redis_commands_release(&rc);
}

static void what_waits_is_told_when_the_link_breaks(void **state)
{
    open_commands();
    greet();
    get("a", on_reply);
    get("b", on_reply);
    hear(GET("a") GET("b"));
    say("$1\r\n1\r\n$5\r\nha");
    hang_up();
    for (int i = 0; i < LOOPBACK_TURNS && downs == 0; i++)
        turn();
    assert_string_equal(said, "a=1;b=-;");
    assert_int_equal(downs, 1);
    assert_int_equal(get("c", on_reply), -1);
    pass(2000);
    greet(); /* what stood half read is forgotten */
    get("d", on_reply);
    hear(GET("d"));
    say("$1\r\n4\r\n");
    assert_string_equal(said, "a=1;b=-;d=4;");
    redis_commands_release(&rc);
}

static void what_is_no_reply_ends_the_link(void **state)
{
    static const char *const texts[] = {"hello\r\n", "$1\r\n1\r\n$1\r\n2\r\n" /* one more than was asked for */};
    open_commands();
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        greet();
        get("a", NULL);
        hear(GET("a"));
        say(texts[i]);
        assert_int_equal(downs, i + 1);
        assert_string_equal(reason, "malformed reply");
        pass(2000);
    }
    redis_commands_release(&rc);
}

static void on_reply_drop(void *arg, const redisReply *reply)
{
    on_reply(arg, reply);
    redis_link_drop(&rc.link, "enough");
}

static void a_callback_may_drop_the_link(void **state)
{
    open_commands();
    greet();
    get("a", on_reply_drop);
    get("b", on_reply);
    hear(GET("a") GET("b"));
    say("$1\r\n1\r\n$1\r\n2\r\n");
    assert_string_equal(said, "a=1;b=-;");
    assert_string_equal(reason, "enough");
    redis_commands_release(&rc);
}

static void what_waits_is_told_at_the_release(void **state)
{
    open_commands();
    greet();
    get("a", on_reply);
    redis_commands_release(&rc);
    assert_string_equal(said, "a=-;");
    assert_int_equal(downs, 0);
}

static void a_silent_server_is_asked_and_then_dropped(void **state)
{
    open_commands();
    greet();
    get("a", on_reply);
    hear(GET("a"));
    pass(1000);
    hear(PING);
    say("$1\r\n1\r\n+PONG\r\n");
    assert_string_equal(said, "a=1;");
    for (int i = 0; i < 10; i++) { /* one that answers stays */
        pass(1000);
        hear(PING);
        say("+PONG\r\n");
    }
    assert_int_equal(downs, 0);
    get("b", on_reply);
    for (int i = 0; i < 4; i++)
        pass(1000);
    assert_int_equal(downs, 1);
    assert_string_equal(reason, "silent");
    assert_string_equal(said, "a=1;b=-;");
    redis_commands_release(&rc);
}

static void a_greeting_that_is_not_answered_ends(void **state)
{
    open_commands();
    accept_link();
    hear(SETNAME PING);
    pass(2000);
    assert_int_equal(rc.link.state, REDIS_LINK_DOWN);
    pass(2000);
    greet();
    assert_int_equal(ups, 1);
    redis_commands_release(&rc);
}

static void names_are_looked_up(void **state)
{
    free(endpoint.host);
    endpoint.host = xstrdup("localhost");
    open_commands();
    greet();
    assert_int_equal(ups, 1);
    redis_commands_release(&rc);
}

static void a_link_may_end_at_any_moment(void **state)
{
    open_commands();
    redis_commands_release(&rc);
    open_commands();
    turn();
    redis_commands_release(&rc); /* connecting */
    free(endpoint.host);
    endpoint.host = xstrdup("name.invalid");
    open_commands();
    loop_turn(&l, 0);
    assert_non_null(rc.link.resolving);
    redis_commands_release(&rc); /* looking up, which goes on without us */
}

/* ---- other servers ---- */

static void a_link_goes_where_it_is_told(void **state)
{
    open_commands();
    redis_link_redirect(&rc.link, &endpoint);
    greet();
    assert_int_equal(get("a", on_reply), 0);
    redis_link_redirect(&rc.link, NULL);
    assert_int_equal(downs, 1);
    assert_string_equal(said, "a=-;");
    assert_string_equal(rc.link.label, "nowhere");
    pass(60000);
    assert_int_equal(rc.link.state, REDIS_LINK_DOWN);
    assert_null(rc.link.sock);
    redis_link_redirect(&rc.link, &endpoint);
    greet();
    assert_int_equal(ups, 2);
    redis_commands_release(&rc);
    assert_int_equal(downs, 1);
}

static void a_link_may_begin_nowhere(void **state)
{
    ups = downs = 0;
    redis_commands_init(&rc, &l, NULL, NULL, on_up, on_down);
    pass(60000);
    assert_null(rc.link.sock);
    redis_link_redirect(&rc.link, &endpoint);
    greet();
    assert_int_equal(ups, 1);
    redis_commands_release(&rc);
}

static void redirect_it(void *arg, const redisReply *reply)
{
    on_reply(arg, reply);
    if (reply != NULL)
        redis_link_redirect(&rc.link, NULL);
}

static void a_callback_may_redirect_the_link(void **state)
{
    open_commands();
    greet();
    assert_int_equal(get("a", redirect_it), 0);
    assert_int_equal(get("b", on_reply), 0);
    hear(GET("a") GET("b"));
    say("+1\r\n+2\r\n");
    assert_string_equal(said, "a=1;b=-;");
    assert_int_equal(downs, 1);
    redis_commands_release(&rc);
}

static void a_server_without_tls_is_not_believed(void **state)
{
    char *why = NULL;
    struct tls_client *tls = tls_client_new(&(struct tls_files){.ca = NULL}, &why);
    assert_non_null(tls);
    endpoint.tls = tls;
    open_commands();
    accept_link();
    hear("\x16\x03\x01"); /* a handshake (RFC 8446, section 5.1) */
    say("-ERR Protocol error: unbalanced quotes in request\r\n");
    assert_int_equal(rc.link.attempt, 1);
    assert_null(rc.link.tls);
    assert_int_equal(ups + downs, 0);
    redis_commands_release(&rc);
    tls_client_free(tls);
}

/* ---- subscriptions ---- */

static struct redis_subscriber rs;
static char pushed[256];

static void on_events_up(struct redis_subscriber *s)
{
    const struct slice channels[] = {SLICE("x"), SLICE("yy")};
    ups++;
    assert_int_equal(redis_subscriber_subscribe(s, channels, 2), 0);
}

static void on_events_down(struct redis_subscriber *s, const char *why)
{
    downs++;
}

static void on_push(struct redis_subscriber *s, const struct resp_push *push)
{
    size_t n = strlen(pushed);
    snprintf(pushed + n, sizeof(pushed) - n, "%d:%.*s:%.*s;", (int)push->kind, SLICE_ARG(push->channel),
             SLICE_ARG(push->payload));
}

static void pushes_are_passed_on_and_errors_end_the_link(void **state)
{
    const struct slice channel = SLICE("x");
    ups = downs = 0;
    pushed[0] = '\0';
    rs = (struct redis_subscriber){.on_up = on_events_up, .on_down = on_events_down, .on_push = on_push};
    redis_subscriber_init(&rs, &l, &endpoint);
    assert_int_equal(redis_subscriber_subscribe(&rs, &channel, 1), -1);
    greet();
    hear("*3\r\n$10\r\nSSUBSCRIBE\r\n$1\r\nx\r\n$2\r\nyy\r\n");
    say_bytewise(
        "*3\r\n$10\r\nssubscribe\r\n$1\r\nx\r\n:1\r\n*3\r\n$8\r\nsmessage\r\n$1\r\nx\r\n$2\r\nhi\r\n+PONG\r\n");
    assert_string_equal(pushed, "1:x:1;0:x:hi;");
    assert_int_equal(redis_subscriber_unsubscribe(&rs, &channel, 1), 0);
    hear("*2\r\n$12\r\nSUNSUBSCRIBE\r\n$1\r\nx\r\n");
    say("-MOVED 1 127.0.0.1:1\r\n");
    assert_int_equal(downs, 1);
    pass(2000);
    greet();
    hear("*3\r\n$10\r\nSSUBSCRIBE\r\n$1\r\nx\r\n$2\r\nyy\r\n");
    say("*9\r\n");
    assert_int_equal(downs, 2);
    redis_subscriber_release(&rs);
}

static bool on_refused(struct redis_subscriber *s, struct slice error)
{
    snprintf(pushed, sizeof(pushed), "%.*s", SLICE_ARG(error));
    return slice_starts(error, SLICE("MOVED "));
}

static void a_refusal_may_be_dealt_with(void **state)
{
    ups = downs = 0;
    rs = (struct redis_subscriber){
        .on_up = on_events_up, .on_down = on_events_down, .on_push = on_push, .on_refused = on_refused};
    redis_subscriber_init(&rs, &l, &endpoint);
    greet();
    hear("*3\r\n$10\r\nSSUBSCRIBE\r\n$1\r\nx\r\n$2\r\nyy\r\n");
    say("-MOVED 1 127.0.0.1:1\r\n");
    assert_int_equal(downs, 0);
    assert_string_equal(pushed, "MOVED 1 127.0.0.1:1");
    say("-ERR something else\r\n");
    assert_string_equal(pushed, "ERR something else");
    assert_int_equal(downs, 1);
    redis_subscriber_release(&rs);
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(it_is_up_when_every_greeting_was_answered),
        LINK_TEST(a_refused_greeting_is_tried_again),
        LINK_TEST(a_server_that_hangs_up_at_once_is_given_time),
        LINK_TEST(replies_come_in_order_however_they_are_cut),
        LINK_TEST(what_waits_is_told_when_the_link_breaks),
        LINK_TEST(what_is_no_reply_ends_the_link),
        LINK_TEST(a_callback_may_drop_the_link),
        LINK_TEST(what_waits_is_told_at_the_release),
        LINK_TEST(a_silent_server_is_asked_and_then_dropped),
        LINK_TEST(a_greeting_that_is_not_answered_ends),
        LINK_TEST(names_are_looked_up),
        LINK_TEST(a_link_may_end_at_any_moment),
        LINK_TEST(a_link_goes_where_it_is_told),
        LINK_TEST(a_link_may_begin_nowhere),
        LINK_TEST(a_callback_may_redirect_the_link),
        LINK_TEST(a_server_without_tls_is_not_believed),
        LINK_TEST(pushes_are_passed_on_and_errors_end_the_link),
        LINK_TEST(a_refusal_may_be_dealt_with),
    };
    return cmocka_run_group_tests_name("redis_link", tests, NULL, NULL);
}

/* The life of one Redis connection: resolve, connect, secure, greet (AUTH, SELECT, CLIENT SETNAME), up, and down again.
 * Each state has one deadline, kept by the one timer. */
#include "common/redis_link.h"
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/resolve.h"

#include <stdio.h>
#include <stdlib.h>

#define CONNECT_DEADLINE_MS 2000
#define BACKOFF_MIN_MS      50
#define BACKOFF_MAX_MS      2000
#define WATCHDOG_MS         1000  /* silent that long: PING */
#define SILENCE_MAX_MS      3000  /* and that long: dropped */
#define OUTPUT_KEPT         65536 /* bytes of buffer that are kept between bursts */

static void connect_now(struct redis_link *link);

/* Full jitter over an exponential bound: many processes that lost one server must not return together. */
static uint64_t backoff_ms(unsigned attempt)
{
    uint64_t bound = BACKOFF_MIN_MS;
    while (attempt-- > 0 && bound < BACKOFF_MAX_MS)
        bound *= 2;
    if (bound > BACKOFF_MAX_MS)
        bound = BACKOFF_MAX_MS;
    return bound / 2 + hash_random() % (bound / 2 + 1);
}

static void close_socket(struct redis_link *link)
{
    if (link->resolving != NULL) {
        resolve_cancel(link->resolving);
        link->resolving = NULL;
    }
    if (link->sock != NULL) {
        h2o_socket_close(link->sock);
        link->sock = NULL;
    }
    tls_free(link->tls);
    link->tls = NULL;
    buf_clear(&link->in);
    buf_clear(&link->out);
    buf_clear(&link->in_flight);
}

static const char never_up[] = "is REDIS_URL right, and may we connect there? nothing is ready until then";

static void go_down(struct redis_link *link, const char *reason)
{
    bool was_up = link->state == REDIS_LINK_UP;
    close_socket(link);
    link->state = REDIS_LINK_DOWN;
    uint64_t wait = backoff_ms(link->attempt++);
    timer_start(link->loop, &link->timer, wait);
    if (was_up || !link->failed_once)
        log_warn("redis_down", LOG_S("address", link->label), LOG_S("reason", reason), LOG_I("retry_ms", wait),
                 LOG_SL("hint", was_up ? (struct slice){0} : slice_of(never_up)));
    link->failed_once = true;
    if (was_up)
        link->ops->on_down(link, reason);
}

void redis_link_drop(struct redis_link *link, const char *reason)
{
    if (link->state != REDIS_LINK_DOWN)
        go_down(link, reason);
}

static void go_up(struct redis_link *link)
{
    link->state = REDIS_LINK_UP;
    link->failed_once = link->refused_once = false;
    link->asked = false;
    timer_start(link->loop, &link->timer, WATCHDOG_MS);
    log_info("redis_up", LOG_S("address", link->label));
    link->ops->on_up(link);
}

/* The greeting's replies are single lines, "+OK" or "-ERR …". */
static ssize_t read_greeting(struct redis_link *link, char *bytes, size_t n)
{
    size_t used = 0;
    while (link->greeting > 0) {
        char *end = memmem(bytes + used, n - used, "\r\n", 2);
        if (end == NULL)
            return (ssize_t)used;
        *end = '\0';
        if (bytes[used] == '-') {
            if (!link->refused_once)
                log_error("redis_refused_greeting", LOG_S("address", link->label), LOG_S("reply", bytes + used + 1));
            link->refused_once = true;
            return -1;
        }
        used = (size_t)(end - bytes) + 2;
        link->greeting--;
    }
    return (ssize_t)used;
}

/* Returns how many bytes were used up. Afterwards the link may be another one: see whether its socket is. */
static size_t read_text(struct redis_link *link, char *bytes, size_t n)
{
    size_t greeted = 0;
    if (link->state == REDIS_LINK_GREETING) {
        ssize_t used = read_greeting(link, bytes, n);
        if (used < 0) {
            redis_link_drop(link, "greeting refused");
            return 0;
        }
        if (link->greeting > 0)
            return (size_t)used;
        greeted = (size_t)used;
        go_up(link);
    }
    if (link->state != REDIS_LINK_UP || greeted == n)
        return greeted;
    const h2o_socket_t *sock = link->sock;
    ssize_t used = link->ops->on_bytes(link, bytes + greeted, n - greeted);
    if (link->sock != sock)
        return 0; /* a callback dropped the link */
    if (used < 0)
        redis_link_drop(link, "malformed reply");
    return greeted + (size_t)MAX(used, 0);
}

static void greet(struct redis_link *link);

static void read_secured(struct redis_link *link, h2o_socket_t *sock)
{
    int rc = tls_feed(link->tls, slice_make(sock->input->bytes, sock->input->size), &link->in);
    h2o_buffer_consume(&sock->input, sock->input->size);
    if (link->state == REDIS_LINK_SECURING && tls_is_ready(link->tls))
        greet(link);
    if (link->in.n > 0) {
        size_t used = read_text(link, link->in.p, link->in.n);
        if (link->sock != sock)
            return;
        buf_consume(&link->in, used);
    }
    if (rc != 0) {
        char reason[TLS_REASON_SIZE];
        snprintf(reason, sizeof(reason), "%s", tls_reason(link->tls)); /* which goes with the connection */
        redis_link_drop(link, reason);
    }
}

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct redis_link *link = sock->data;
    if (err != NULL) {
        redis_link_drop(link, err);
        return;
    }
    link->heard_ms = link->loop->now_ms;
    link->asked = false;
    if (link->tls != NULL) {
        read_secured(link, sock);
        return;
    }
    size_t used = read_text(link, sock->input->bytes, sock->input->size);
    if (link->sock == sock)
        h2o_buffer_consume(&sock->input, used);
}

static void append_command(struct buf *out, const struct slice *argv, size_t argc)
{
    buf_byte(out, '*');
    buf_u64(out, argc);
    for (size_t i = 0; i < argc; i++) {
        buf_lit(out, "\r\n$");
        buf_u64(out, argv[i].n);
        buf_lit(out, "\r\n");
        buf_append(out, argv[i]);
    }
    buf_lit(out, "\r\n");
}

void redis_link_command(struct redis_link *link, const struct slice *argv, size_t argc)
{
    assert(link->state == REDIS_LINK_UP || link->state == REDIS_LINK_GREETING);
    append_command(&link->out, argv, argc);
}

void redis_link_append(struct redis_link *link, struct slice resp)
{
    assert(link->state == REDIS_LINK_UP);
    buf_append(&link->out, resp);
}

size_t redis_link_unsent(const struct redis_link *link)
{
    return link->out.n + link->in_flight.n;
}

static void write_out(struct redis_link *link);

static void on_written(h2o_socket_t *sock, const char *err)
{
    struct redis_link *link = sock->data;
    if (err != NULL) {
        redis_link_drop(link, err);
        return;
    }
    if (link->in_flight.cap > OUTPUT_KEPT)
        buf_release(&link->in_flight);
    buf_clear(&link->in_flight);
    write_out(link);
}

/* What waits is made ready for the socket. */
static void fill_flight(struct redis_link *link)
{
    if (link->tls == NULL) {
        struct buf swap = link->in_flight;
        link->in_flight = link->out;
        link->out = swap;
        return;
    }
    tls_send(link->tls, buf_slice(&link->out));
    buf_clear(&link->out);
    tls_take_output(link->tls, &link->in_flight);
}

static void write_out(struct redis_link *link)
{
    if (link->sock == NULL || h2o_socket_is_writing(link->sock))
        return;
    fill_flight(link);
    if (link->in_flight.n == 0)
        return;
    h2o_iovec_t v = h2o_iovec_init(link->in_flight.p, link->in_flight.n);
    h2o_socket_write(link->sock, &v, 1, on_written);
}

static bool on_turn(struct turn_hook *hook)
{
    struct redis_link *link = CONTAINER_OF(hook, struct redis_link, flush);
    if (link->state > REDIS_LINK_CONNECTING)
        write_out(link);
    return false;
}

static void greet(struct redis_link *link)
{
    const struct endpoint *e = &link->endpoint;
    link->state = REDIS_LINK_GREETING;
    link->greeting = 0;
    if (e->password != NULL) {
        struct slice auth[] = {SLICE("AUTH"), slice_of(e->user), slice_of(e->password)};
        if (e->user == NULL)
            auth[1] = auth[2];
        redis_link_command(link, auth, e->user != NULL ? 3 : 2);
        link->greeting++;
    }
    if (e->db != 0) {
        char db[16];
        snprintf(db, sizeof(db), "%u", e->db);
        redis_link_command(link, (const struct slice[]){SLICE("SELECT"), slice_of(db)}, 2);
        link->greeting++;
    }
    redis_link_command(link, (const struct slice[]){SLICE("CLIENT"), SLICE("SETNAME"), SLICE("tidegate")}, 3);
    /* a server that still loads its data takes all of the above, but answers this with an error */
    redis_link_command(link, (const struct slice[]){SLICE("PING")}, 1);
    link->greeting += 2;
}

static void on_connected(h2o_socket_t *sock, const char *err)
{
    struct redis_link *link = sock->data;
    if (err != NULL) {
        redis_link_drop(link, err);
        return;
    }
    link->heard_ms = link->loop->now_ms;
    h2o_socket_read_start(sock, on_readable);
    if (link->endpoint.tls == NULL) {
        greet(link);
        return;
    }
    link->state = REDIS_LINK_SECURING;
    link->tls = tls_new(link->endpoint.tls, link->endpoint.host);
}

/* A name with several addresses gets another one at each attempt. */
static void connect_to(struct redis_link *link, const struct addrinfo *found)
{
    size_t count = 1;
    for (const struct addrinfo *a = found->ai_next; a != NULL; a = a->ai_next)
        count++;
    for (size_t skip = link->attempt % count; skip > 0; skip--)
        found = found->ai_next;
    link->sock = h2o_socket_connect(link->loop->h2o, found->ai_addr, found->ai_addrlen, on_connected);
    if (link->sock == NULL)
        redis_link_drop(link, "cannot open a socket");
    else
        link->sock->data = link;
}

static void on_resolved(void *arg, const struct addrinfo *found, const char *why)
{
    struct redis_link *link = arg;
    link->resolving = NULL;
    if (found == NULL)
        redis_link_drop(link, why);
    else
        connect_to(link, found);
}

static void connect_now(struct redis_link *link)
{
    const struct addrinfo numeric = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const char *host = link->endpoint.host;
    struct addrinfo *found;
    char port[8];
    snprintf(port, sizeof(port), "%u", link->endpoint.port);
    link->state = REDIS_LINK_CONNECTING;
    timer_start(link->loop, &link->timer, CONNECT_DEADLINE_MS);
    if (getaddrinfo(host, port, &numeric, &found) == 0) {
        connect_to(link, found);
        freeaddrinfo(found);
    } else {
        link->resolving = resolve_start(link->loop, host, link->endpoint.port, on_resolved, link);
    }
}

static void watch(struct redis_link *link)
{
    uint64_t silent = link->loop->now_ms - link->heard_ms;
    link->attempt = 0; /* now, not when it came up: a server that hangs up at once is not asked without a pause */
    if (link->asked && silent >= SILENCE_MAX_MS) {
        redis_link_drop(link, "silent");
        return;
    }
    timer_start(link->loop, &link->timer, WATCHDOG_MS);
    if (silent >= WATCHDOG_MS && !link->asked) {
        link->asked = true;
        redis_link_command(link, (const struct slice[]){SLICE("PING")}, 1);
        link->ops->on_ping(link);
    }
}

static void on_timer(struct timer *t)
{
    struct redis_link *link = CONTAINER_OF(t, struct redis_link, timer);
    switch (link->state) {
    case REDIS_LINK_DOWN:
        connect_now(link);
        break;
    case REDIS_LINK_CONNECTING:
        redis_link_drop(link, "connect timed out");
        break;
    case REDIS_LINK_SECURING:
        redis_link_drop(link, "the handshake of TLS timed out");
        break;
    case REDIS_LINK_GREETING:
        redis_link_drop(link, "greeting timed out");
        break;
    case REDIS_LINK_UP:
        watch(link);
        break;
    }
}

static void point_at(struct redis_link *link, const struct endpoint *endpoint)
{
    link->attempt = 0;
    link->failed_once = link->refused_once = false;
    if (endpoint == NULL) {
        link->label = xstrdup("nowhere");
        timer_stop(&link->timer);
        return;
    }
    endpoint_copy(&link->endpoint, endpoint);
    link->label = endpoint_label(endpoint);
    timer_start(link->loop, &link->timer, 0);
}

static void point_nowhere(struct redis_link *link)
{
    close_socket(link);
    endpoint_release(&link->endpoint);
    free(link->label);
    link->label = NULL;
    link->state = REDIS_LINK_DOWN;
}

void redis_link_init(struct redis_link *link, struct loop *l, const struct endpoint *endpoint,
                     const struct redis_link_ops *ops)
{
    *link = (struct redis_link){.loop = l, .ops = ops};
    timer_init(&link->timer, on_timer);
    point_at(link, endpoint);
    loop_add_hook(l, &link->flush, on_turn);
}

void redis_link_redirect(struct redis_link *link, const struct endpoint *endpoint)
{
    bool was_up = link->state == REDIS_LINK_UP;
    point_nowhere(link);
    point_at(link, endpoint);
    if (was_up)
        link->ops->on_down(link, "it is to another node now");
}

void redis_link_release(struct redis_link *link)
{
    timer_stop(&link->timer);
    list_remove(&link->flush.link);
    point_nowhere(link);
    buf_release(&link->in);
    buf_release(&link->out);
    buf_release(&link->in_flight);
}

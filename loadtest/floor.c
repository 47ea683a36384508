/* The cheapest WebSocket writer there can be on epoll: nothing but write(2) of ready-made frames to each connection in
 * turn. What a gateway spends per message is judged as a ratio to what this spends in the same minute on the same
 * machine. It says so much: the CPU time of its own process (user and system) over the messages it wrote. */
#include "loadtest/lib/args.h"
#include "loadtest/lib/target.h"

#include "common/buf.h"
#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define EVENTS        256
#define BACKLOG       65535
#define REQUEST_MAX   4096
#define SENT_DIGITS   16
#define PAYLOAD_LEAST 64
#define PAYLOAD_MOST  65535
#define BURST_MOST    1024
#define GOODBYES_US   2000000u

static struct options {
    uint64_t port, conns, rounds, size, burst;
    double rate;
    bool commands;
} opt = {.port = 8090, .conns = 1000, .rounds = 100, .size = 500, .burst = 1, .rate = 100};

static const struct arg args[] = {
    {"port", ARG_COUNT, &opt.port, "Port on 127.0.0.1; 0 takes a free one and prints it."},
    {"conns", ARG_COUNT, &opt.conns, "Connections to wait for before writing."},
    {"rounds", ARG_COUNT, &opt.rounds, "Times that everybody is written to."},
    {"size", ARG_COUNT, &opt.size, "Payload bytes of a message."},
    {"burst", ARG_COUNT, &opt.burst, "Messages a round, in one write each connection."},
    {"rate", ARG_REAL, &opt.rate, "Rounds a second; 0 is as fast as possible."},
    {"commands", ARG_FLAG, &opt.commands, "Read lines \"rounds burst rate\" from stdin, run each, end with the input."},
};
static const struct arg_table table = {"floor", "a bare epoll writer, the baseline of the fan-out measurement", args,
                                       ARRAY_LEN(args)};

struct conn {
    int fd, place;   /* index in the list of those that are written to, -1 before the handshake */
    struct buf late; /* what the socket did not take */
};

struct server {
    int listener, epoll;
    struct conn **conns;
    size_t n, cap;
    size_t behind; /* connections with something late */
    uint64_t late; /* writes that a socket did not take whole */
};

static void conn_close(struct server *s, struct conn *c)
{
    s->behind -= c->late.n > 0;
    if (c->place >= 0) {
        s->conns[c->place] = s->conns[--s->n];
        s->conns[c->place]->place = c->place;
    }
    close(c->fd);
    buf_release(&c->late);
    free(c);
}

static void watch_for(struct server *s, struct conn *c, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(s->epoll, op, c->fd, &e);
}

static void accept_all(struct server *s)
{
    int fd, one = 1;
    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct conn *c = xcalloc(1, sizeof(*c));
        c->fd = fd;
        c->place = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch_for(s, c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* The answer to the key, RFC 6455 section 4.2.2; 0, or -1 when the request has none. */
static int accept_key(const char *request, char out[32])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", name[] = "sec-websocket-key:";
    unsigned char both[24 + sizeof(guid) - 1], digest[SHA_DIGEST_LENGTH];
    const char *key = strcasestr(request, name);
    if (key == NULL)
        return -1;
    key += sizeof(name) - 1;
    key += strspn(key, " ");
    if (strlen(key) < 24)
        return -1;
    memcpy(both, key, 24);
    memcpy(both + 24, guid, sizeof(guid) - 1);
    SHA1(both, sizeof(both), digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
    return 0;
}

/* Whole requests only: one that comes in pieces is refused, since only our own tools connect here. */
static void shake_hands(struct server *s, struct conn *c, char *request)
{
    char key[32], answer[192];
    if (strstr(request, "\r\n\r\n") == NULL || accept_key(request, key) != 0) {
        conn_close(s, c);
        return;
    }
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     key);
    if (write(c->fd, answer, (size_t)n) != n) {
        conn_close(s, c);
        return;
    }
    if (s->n == s->cap)
        s->conns = xrealloc(s->conns, (s->cap = MAX(1024, s->cap * 2)) * sizeof(struct conn *));
    c->place = (int)s->n;
    s->conns[s->n++] = c;
}

/* After the handshake whatever a client says is read and ignored, a close frame too: its end follows. */
static void on_readable(struct server *s, struct conn *c)
{
    char in[REQUEST_MAX + 1];
    ssize_t n = read(c->fd, in, REQUEST_MAX);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || ((unsigned char)in[0] == 0x88 && c->place >= 0)) {
        conn_close(s, c);
        return;
    }
    in[n] = '\0';
    if (c->place < 0)
        shake_hands(s, c, in);
}

static void flush_late(struct server *s, struct conn *c)
{
    ssize_t n = write(c->fd, c->late.p, c->late.n);
    if (n < 0 && errno != EAGAIN) {
        conn_close(s, c);
        return;
    }
    if (n > 0)
        buf_consume(&c->late, (size_t)n);
    if (c->late.n > 0)
        return;
    s->behind--;
    buf_release(&c->late);
    watch_for(s, c, EPOLL_CTL_MOD, EPOLLIN);
}

static void turn(struct server *s, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c == NULL)
            accept_all(s);
        else if (events[i].events & EPOLLOUT)
            flush_late(s, c);
        else
            on_readable(s, c);
    }
}

/* Appends one text frame; its payload begins with the time of sending, which is patched in every round. */
static void add_frame(struct buf *b, size_t size)
{
    buf_byte(b, (char)0x81);
    if (size < 126) {
        buf_byte(b, (char)size);
    } else {
        buf_byte(b, 126);
        buf_byte(b, (char)(size >> 8));
        buf_byte(b, (char)(size & 255));
    }
    size_t start = b->n;
    buf_lit(b, "{\"sent_us\":0000000000000000,\"type\":\"task_update\",\"fill\":\"");
    while (b->n - start < size - 2)
        buf_byte(b, 'x');
    buf_lit(b, "\"}");
}

static void stamp(struct buf *frames, size_t burst)
{
    char digits[32];
    size_t each = frames->n / burst, at = (each - opt.size) + strlen("{\"sent_us\":");
    snprintf(digits, sizeof(digits), "%0*" PRIu64, SENT_DIGITS, clock_wall_us());
    for (size_t i = 0; i < burst; i++)
        memcpy(frames->p + i * each + at, digits, SENT_DIGITS);
}

/* A connection that is gone is noticed by its reading side. */
static void write_to(struct server *s, struct conn *c, struct slice bytes)
{
    ssize_t n = c->late.n > 0 ? 0 : write(c->fd, bytes.p, bytes.n);
    if (n == (ssize_t)bytes.n || (n < 0 && errno != EAGAIN))
        return;
    s->late++;
    if (c->late.n == 0) {
        s->behind++;
        watch_for(s, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    buf_append(&c->late, slice_from(bytes, (size_t)MAX(n, 0)));
}

static uint64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void wait_until(struct server *s, uint64_t due_us)
{
    for (uint64_t now = clock_mono_us(); now < due_us; now = clock_mono_us())
        turn(s, (int)((due_us - now) / 1000) + 1);
    turn(s, 0);
}

static void run(struct server *s, uint64_t rounds, uint64_t burst, double rate)
{
    struct buf frames = {0};
    for (size_t i = 0; i < burst; i++)
        add_frame(&frames, opt.size);
    uint64_t before = cpu_us(), start = clock_mono_us(), messages = 0;
    s->late = 0;
    for (uint64_t r = 0; r < rounds; r++) {
        wait_until(s, rate > 0 ? start + (uint64_t)((double)r * 1e6 / rate) : 0);
        stamp(&frames, burst);
        for (size_t i = 0; i < s->n; i++)
            write_to(s, s->conns[i], buf_slice(&frames));
        messages += s->n * burst;
    }
    while (s->behind > 0)
        turn(s, 1000);
    uint64_t spent = cpu_us() - before;
    printf("{\"conns\":%zu,\"rounds\":%" PRIu64 ",\"burst\":%" PRIu64 ",\"size\":%" PRIu64 ",\"messages\":%" PRIu64
           ",\"seconds\":%.3f,\"cpu_us\":%" PRIu64 ",\"cpu_us_per_message\":%.4f,\"late_writes\":%" PRIu64 "}\n",
           s->n, rounds, burst, opt.size, messages, (double)(clock_mono_us() - start) / 1e6, spent,
           messages ? (double)spent / (double)messages : 0, s->late);
    fflush(stdout);
    buf_release(&frames);
}

static void server_listen(struct server *s)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int one = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s->listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(s->listener, BACKLOG) != 0)
        args_refuse(&table, "port %" PRIu64 ": %s", opt.port, strerror(errno));
    getsockname(s->listener, (struct sockaddr *)&at, &len);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e);
    fprintf(stderr, "floor: listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
}

static void check_run(uint64_t burst)
{
    if (burst == 0 || burst > BURST_MOST)
        args_refuse(&table, "a burst is 1 to %d messages", BURST_MOST);
}

static void check_options(void)
{
    if (opt.port > 65535)
        args_refuse(&table, "--port is at most 65535");
    if (opt.size < PAYLOAD_LEAST || opt.size > PAYLOAD_MOST)
        args_refuse(&table, "--size must be %d to %d", PAYLOAD_LEAST, PAYLOAD_MOST);
    if (opt.conns == 0 || opt.conns + 16 > descriptors_raise())
        args_refuse(&table, "--conns must be at least 1 and below the limit of open files");
    check_run(opt.burst);
}

/* Between commands the sockets are not served: whoever gives them expects silence. */
static void obey(struct server *s)
{
    char line[128];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t rounds = opt.rounds, burst = opt.burst;
        double rate = opt.rate;
        if (sscanf(line, "%" SCNu64 " %" SCNu64 " %lf", &rounds, &burst, &rate) < 1)
            args_refuse(&table, "not a command: %s", line);
        check_run(burst);
        run(s, rounds, burst, rate);
    }
}

/* Who counts messages leaves when it has them all; whoever stays is cut off. */
static void await_goodbyes(struct server *s)
{
    uint64_t until = clock_mono_us() + GOODBYES_US;
    while (s->n > 0 && clock_mono_us() < until)
        turn(s, 100);
    while (s->n > 0)
        conn_close(s, s->conns[s->n - 1]);
}

int main(int argc, char **argv)
{
    static struct server s;
    args_parse(&table, argc, argv);
    check_options();
    signal(SIGPIPE, SIG_IGN);
    server_listen(&s);
    while (s.n < opt.conns)
        turn(&s, 1000);
    fprintf(stderr, "floor: %zu connected\n", s.n);
    if (opt.commands)
        obey(&s);
    else
        run(&s, opt.rounds, opt.burst, opt.rate);
    await_goodbyes(&s);
    free(s.conns);
    return 0;
}

/* A peer goes from idle through connecting and shaking to open, and from there to closing (a close frame went out, the
 * end of the stream is awaited) and done. All peers of the process share one read buffer; what an unfinished frame
 * leaves there is kept on the heap until the rest comes. */
#include "loadtest/lib/crowd.h"

#include "common/clock.h"
#include "common/wire.h"
#include "loadtest/lib/sent.h"
#include "loadtest/lib/token.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS       256
#define READ_MAX     (256u << 10)
#define REQUEST_MAX  2048
#define ANSWER_MAX   (16u << 10)
#define OPENING_MAX  512u /* handshakes under way at once: stays below any listen backlog */
#define OPENING_US   30000000u
#define CLOSING_US   3000000u
#define SWEEP_US     1000000u
#define TURN_MS      100
#define RAMP_TURN_MS 2

enum peer_state { PEER_IDLE, PEER_CONNECTING, PEER_SHAKING, PEER_OPEN, PEER_CLOSING, PEER_DONE };

struct peer {
    char *kept;    /* the start of an unfinished frame or answer, kept_n bytes */
    uint64_t skip; /* payload still to come of a frame that is too large to look at */
    uint32_t kept_n;
    uint32_t started_us; /* after the crowd's start; wraps */
    int fd;
    unsigned char state;
};

struct crowd {
    const struct crowd_plan *plan;
    struct tally *tally;
    struct peer *peers;
    char *in; /* READ_MAX bytes */
    size_t hint;
    uint64_t start_us, started; /* peers [0, started) have left PEER_IDLE */
    uint32_t opening, live;     /* live: all that have a descriptor */
    int epoll;
};

static uint32_t elapsed_us(const struct crowd *c)
{
    return (uint32_t)(clock_mono_us() - c->start_us);
}

static void peer_end(struct crowd *c, struct peer *p)
{
    if (p->state == PEER_CONNECTING || p->state == PEER_SHAKING)
        c->opening--;
    close(p->fd);
    free(p->kept);
    p->kept = NULL;
    p->kept_n = 0;
    p->fd = -1;
    p->state = PEER_DONE;
    c->live--;
}

static void count_error(struct crowd *c, int error)
{
    c->tally->failed++;
    c->tally->errors[MIN(error, TALLY_ERRORS - 1)]++;
}

static void peer_fail(struct crowd *c, struct peer *p, int error)
{
    count_error(c, error);
    peer_end(c, p);
}

static void count_loss(struct crowd *c, unsigned code)
{
    c->tally->lost++;
    c->tally->close_codes[MIN(code, TALLY_CODES - 1)]++;
}

/* The stream has ended. What that means depends on how far the peer had come. */
static void peer_ended(struct crowd *c, struct peer *p, int error)
{
    if (p->state == PEER_CONNECTING || p->state == PEER_SHAKING) {
        peer_fail(c, p, error);
        return;
    }
    if (p->state == PEER_OPEN)
        count_loss(c, WIRE_NO_CLOSE);
    peer_end(c, p);
}

/* Control frames are small and rare: what the kernel does not take at once is given up. */
static void send_control(struct peer *p, unsigned char opcode, struct slice payload)
{
    unsigned char frame[WIRE_CONTROL_FRAME_MAX];
    size_t n = wire_control(opcode, payload, frame);
    (void)send(p->fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_close_frame(struct crowd *c, struct peer *p, struct slice payload)
{
    if (p->state == PEER_OPEN) {
        count_loss(c, wire_close_code(payload));
        send_control(p, WIRE_CLOSE, slice_make(payload.p, MIN(payload.n, 2)));
    }
    p->state = PEER_CLOSING;
}

/* One data frame. A message in several frames counts with its last one. */
static void on_data(struct crowd *c, const struct wire_frame *f, struct slice payload)
{
    if (slice_starts(payload, SLICE("{\"type\":\"connected\""))) {
        c->tally->welcomed++;
        return;
    }
    if (slice_starts(payload, SLICE("{\"type\":\"ping\"")) || slice_starts(payload, SLICE("{\"type\":\"pong\""))) {
        c->tally->notices++;
        return;
    }
    c->tally->bytes += f->length;
    if (!f->fin)
        return;
    uint64_t sent = sent_us(payload, &c->hint), now = sent ? clock_wall_us() : 0;
    if (sent != 0)
        hist_add(&c->tally->latency, now > sent ? now - sent : 0);
    c->tally->messages++;
}

static void on_frame(struct crowd *c, struct peer *p, const struct wire_frame *f, struct slice payload)
{
    switch (f->opcode) {
    case WIRE_PING:
        c->tally->notices++;
        send_control(p, WIRE_PONG, payload);
        return;
    case WIRE_PONG:
        return;
    case WIRE_CLOSE:
        on_close_frame(c, p, payload);
        return;
    default:
        on_data(c, f, payload);
    }
}

/* Each step takes one frame, or the head of the answer, off the front of in: the bytes used, 0 when more must come
 * first, -1 when the peer has been ended. */
static ssize_t step_frame(struct crowd *c, struct peer *p, struct slice in)
{
    struct wire_frame f;
    enum wire_result r = wire_frame_head(in, &f);
    if (r == WIRE_BAD) {
        if (p->state == PEER_OPEN)
            count_loss(c, WIRE_BAD_FRAME);
        peer_end(c, p);
        return -1;
    }
    if (r == WIRE_MORE)
        return 0;
    uint64_t whole = f.head + f.length;
    if (whole > in.n && whole <= READ_MAX)
        return 0;
    size_t here = (size_t)MIN(whole, in.n);
    p->skip = whole - here;
    on_frame(c, p, &f, slice_make(in.p + f.head, here - f.head));
    return (ssize_t)here;
}

static ssize_t step_answer(struct crowd *c, struct peer *p, struct slice in)
{
    size_t head;
    unsigned status;
    enum wire_result r = wire_response(in, &head, &status);
    if (r == WIRE_MORE && in.n < ANSWER_MAX)
        return 0;
    if (r != WIRE_OK) {
        peer_fail(c, p, EPROTO);
        return -1;
    }
    if (status != 101) {
        c->tally->failed++;
        c->tally->statuses[status]++;
        peer_end(c, p);
        return -1;
    }
    p->state = PEER_OPEN;
    c->opening--;
    c->tally->connected++;
    hist_add(&c->tally->connect, elapsed_us(c) - p->started_us);
    return (ssize_t)head;
}

static ssize_t step(struct crowd *c, struct peer *p, struct slice in)
{
    if (p->skip > 0) {
        size_t n = (size_t)MIN(p->skip, in.n);
        p->skip -= n;
        return (ssize_t)n;
    }
    return p->state == PEER_SHAKING ? step_answer(c, p, in) : step_frame(c, p, in);
}

static void keep(struct peer *p, struct slice rest)
{
    if (rest.n == 0) {
        free(p->kept);
        p->kept = NULL;
    } else {
        p->kept = xrealloc(p->kept, rest.n);
        memcpy(p->kept, rest.p, rest.n);
    }
    p->kept_n = (uint32_t)rest.n;
}

static void on_readable(struct crowd *c, struct peer *p)
{
    if (p->kept_n > 0)
        memcpy(c->in, p->kept, p->kept_n);
    ssize_t n = read(p->fd, c->in + p->kept_n, READ_MAX - p->kept_n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        peer_ended(c, p, n == 0 ? ECONNRESET : errno);
        return;
    }
    struct slice in = slice_make(c->in, p->kept_n + (size_t)n);
    while (in.n > 0) {
        ssize_t used = step(c, p, in);
        if (used < 0)
            return;
        if (used == 0)
            break;
        in = slice_from(in, (size_t)used);
    }
    keep(p, in);
}

/* The connection stands, or has failed: asks for the upgrade. */
static void on_writable(struct crowd *c, struct peer *p)
{
    const struct crowd_plan *plan = c->plan;
    uint64_t index = plan->first + (uint64_t)(p - c->peers);
    const struct target *t = &plan->targets[index % plan->targets_n];
    char token[TOKEN_MAX], request[REQUEST_MAX];
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        peer_fail(c, p, error);
        return;
    }
    size_t token_n = plan->secret.n ? token_make(plan->secret, index % plan->users, clock_wall_ms() / 1000, token) : 0;
    size_t n = wire_request(t->host, t->path, slice_make(token, token_n), request, sizeof(request));
    if (n == 0 || send(p->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n) {
        peer_fail(c, p, n ? errno : ENAMETOOLONG);
        return;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
    epoll_ctl(c->epoll, EPOLL_CTL_MOD, p->fd, &e);
    p->state = PEER_SHAKING;
}

static void on_event(struct crowd *c, const struct epoll_event *e)
{
    struct peer *p = e->data.ptr;
    if (p->state == PEER_CONNECTING)
        on_writable(c, p);
    else
        on_readable(c, p);
}

static void start_one(struct crowd *c)
{
    uint64_t index = c->plan->first + c->started;
    struct peer *p = &c->peers[c->started++];
    p->fd = target_connect(&c->plan->targets[index % c->plan->targets_n], index);
    if (p->fd < 0) {
        p->state = PEER_DONE;
        count_error(c, errno);
        return;
    }
    p->state = PEER_CONNECTING;
    p->started_us = elapsed_us(c);
    c->opening++;
    c->live++;
    struct epoll_event e = {.events = EPOLLOUT, .data.ptr = p};
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, p->fd, &e) != 0)
        peer_fail(c, p, errno);
}

static void start_due(struct crowd *c)
{
    double due = c->plan->rate > 0 ? c->plan->rate * (double)(clock_mono_us() - c->start_us) / 1e6 + 1 : 1e12;
    while (c->started < c->plan->count && (double)c->started < due && c->opening < OPENING_MAX)
        start_one(c);
}

static void fail_overdue(struct crowd *c)
{
    uint32_t now = elapsed_us(c);
    for (uint64_t i = 0; i < c->started && c->opening > 0; i++) {
        struct peer *p = &c->peers[i];
        bool opening = p->state == PEER_CONNECTING || p->state == PEER_SHAKING;
        if (opening && now - p->started_us > OPENING_US)
            peer_fail(c, p, ETIMEDOUT);
    }
}

static void turn(struct crowd *c, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(c->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++)
        on_event(c, &events[i]);
}

static void close_all(struct crowd *c)
{
    unsigned char normal[2] = {1000 >> 8, 1000 & 255};
    for (uint64_t i = 0; i < c->started; i++) {
        struct peer *p = &c->peers[i];
        if (p->state == PEER_OPEN) {
            send_control(p, WIRE_CLOSE, slice_make(normal, sizeof(normal)));
            p->state = PEER_CLOSING;
        } else if (p->state == PEER_CONNECTING || p->state == PEER_SHAKING) {
            peer_end(c, p);
        }
    }
    uint64_t until = clock_mono_us() + CLOSING_US;
    while (c->live > 0 && clock_mono_us() < until)
        turn(c, TURN_MS);
    for (uint64_t i = 0; i < c->started; i++)
        if (c->peers[i].fd >= 0 && c->peers[i].state != PEER_DONE)
            peer_end(c, &c->peers[i]);
}

int crowd_run(const struct crowd_plan *plan, struct tally *tally, const volatile sig_atomic_t *stop)
{
    struct crowd c = {.plan = plan, .tally = tally, .start_us = clock_mono_us()};
    c.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c.epoll < 0)
        return -1;
    c.peers = xcalloc(plan->count, sizeof(*c.peers));
    c.in = xmalloc(READ_MAX);
    uint64_t sweep_us = c.start_us;
    while (!*stop) {
        start_due(&c);
        turn(&c, c.started < plan->count ? RAMP_TURN_MS : TURN_MS);
        if (clock_mono_us() - sweep_us > SWEEP_US) {
            sweep_us = clock_mono_us();
            fail_overdue(&c);
        }
    }
    close_all(&c);
    free(c.in);
    free(c.peers);
    close(c.epoll);
    return 0;
}

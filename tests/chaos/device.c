/* A device goes from away through connecting and shaking to open, and from each of them back to away, where it waits a
 * random while. It never asks whether it is worth while: a client that gives up would hide a loss. */
#include "tests/chaos/device.h"
#include "loadtest/lib/token.h"
#include "tests/chaos/heard.h"

#include "common/clock.h"
#include "common/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX   2048
#define PATH_ROOM     256
#define BACK_OFF_US   400000u /* at most, before the next attempt */
#define ACK_US        200000u
#define STRANGES_SAID 20

uint32_t fleet_random(struct fleet *f, uint32_t below)
{
    /* xorshift64*, Vigna 2016 */
    f->random ^= f->random >> 12;
    f->random ^= f->random << 25;
    f->random ^= f->random >> 27;
    return (uint32_t)((f->random * UINT64_C(2685821657736338717)) >> 32) % below;
}

static void note(struct fleet *f, const struct device *d, struct ledger_entry e)
{
    e.device = d->number;
    ledger_write(f->ledger, e, f->now_us);
}

void device_release(struct device *d)
{
    if (d->fd >= 0)
        close(d->fd);
    free(d->kept);
    d->kept = NULL;
    d->kept_n = 0;
    d->fd = -1;
}

static void go_away(struct fleet *f, struct device *d, uint64_t away_us)
{
    if (d->welcomed)
        f->welcomed--;
    d->welcomed = false;
    device_release(d);
    d->state = DEVICE_AWAY;
    d->since_us = f->now_us;
    d->due_us = f->now_us + away_us;
}

static uint64_t back_off(struct fleet *f)
{
    return 10000 + fleet_random(f, BACK_OFF_US);
}

static void on_refused(struct fleet *f, struct device *d, unsigned status)
{
    f->refusals++;
    note(f, d, (struct ledger_entry){.kind = LEDGER_REFUSED, .note = (uint8_t)d->target, .number = status});
    go_away(f, d, back_off(f));
}

static void on_closed(struct fleet *f, struct device *d, unsigned code, enum ledger_closed by)
{
    note(f, d, (struct ledger_entry){.kind = LEDGER_CLOSED, .note = (uint8_t)by, .number = code});
    go_away(f, d, back_off(f));
}

/* Who is told when to come back does so. */
static void on_close_frame(struct fleet *f, struct device *d, struct slice payload)
{
    int retry_ms = wire_close_retry_ms(payload);
    on_closed(f, d, wire_close_code(payload), LEDGER_BY_GATEWAY);
    if (retry_ms >= 0)
        d->due_us = f->now_us + (uint64_t)retry_ms * 1000;
}

static void on_ended(struct fleet *f, struct device *d)
{
    if (d->state == DEVICE_OPEN)
        on_closed(f, d, WIRE_NO_CLOSE, LEDGER_BY_GATEWAY);
    else
        on_refused(f, d, 0);
}

/* ---- coming ---- */

static void watch(struct fleet *f, struct device *d, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = d};
    epoll_ctl(f->epoll, op, d->fd, &e);
}

static void come(struct fleet *f, struct device *d)
{
    d->target = fleet_random(f, (uint32_t)f->target_count);
    d->since_us = f->now_us;
    note(f, d, (struct ledger_entry){.kind = LEDGER_ASKED, .note = (uint8_t)d->target, .id = d->id_us});
    d->fd = target_connect(&f->targets[d->target], d->number);
    if (d->fd < 0) {
        on_refused(f, d, 0);
        return;
    }
    d->state = DEVICE_CONNECTING;
    watch(f, d, EPOLL_CTL_ADD, EPOLLOUT);
}

static void write_path(const struct device *d, char out[PATH_ROOM])
{
    switch (d->resume) {
    case RESUME_LAST_ID:
        snprintf(out, PATH_ROOM, "/ws?last_id=%s", d->id_us ? d->id : "0");
        return;
    case RESUME_ACK:
    case RESUME_PONG:
        snprintf(out, PATH_ROOM, "/ws?device_id=d%" PRIu32, d->number);
        return;
    default:
        snprintf(out, PATH_ROOM, "/ws");
    }
}

static void on_writable(struct fleet *f, struct device *d)
{
    char token[TOKEN_MAX], request[REQUEST_MAX], path[PATH_ROOM];
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        on_refused(f, d, 0);
        return;
    }
    write_path(d, path);
    size_t token_n = token_make(f->secret, d->user, clock_wall_ms() / 1000, token);
    size_t n =
        wire_request(f->targets[d->target].host, slice_of(path), slice_make(token, token_n), request, sizeof(request));
    if (n == 0 || send(d->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n) {
        on_refused(f, d, 0);
        return;
    }
    watch(f, d, EPOLL_CTL_MOD, EPOLLIN);
    d->state = DEVICE_SHAKING;
}

/* ---- being there ---- */

static void send_frame(struct device *d, unsigned char opcode, struct slice payload)
{
    unsigned char frame[WIRE_CONTROL_FRAME_MAX];
    size_t n = wire_control(opcode, payload, frame);
    (void)send(d->fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void acknowledge(struct fleet *f, struct device *d)
{
    char text[WIRE_CONTROL_MAX];
    int n = snprintf(text, sizeof(text), "{\"type\":\"ack\",\"id\":\"%s\"}", d->id);
    send_frame(d, WIRE_TEXT, slice_make(text, (size_t)n));
    d->acked_us = f->now_us;
    d->acked_id = d->id_us;
    note(f, d, (struct ledger_entry){.kind = LEDGER_ACKED, .id = d->id_us});
}

static void stand_at(struct device *d, const struct heard *h)
{
    if (h->id_us == 0)
        return;
    memcpy(d->id, h->id.p, h->id.n);
    d->id[h->id.n] = '\0';
    d->id_us = h->id_us;
}

static void on_event(struct fleet *f, struct device *d, const struct heard *h)
{
    bool was_done = d->own_done && d->everybody_done;
    f->events++;
    note(f, d,
         (struct ledger_entry){
             .kind = LEDGER_EVENT, .sequence = h->sequence, .number = h->number, .key = h->key, .id = h->id_us});
    stand_at(d, h);
    d->own_done |= h->last && h->sequence == d->user;
    d->everybody_done |= h->last && h->sequence == f->users;
    f->done += !was_done && d->own_done && d->everybody_done;
}

static void on_welcome(struct fleet *f, struct device *d, const struct heard *h)
{
    enum ledger_recovered said = !h->says_recovered ? LEDGER_UNSAID
                                 : h->recovered     ? LEDGER_RECOVERED
                                                    : LEDGER_NOT_RECOVERED;
    note(f, d,
         (struct ledger_entry){.kind = LEDGER_WELCOMED, .note = (uint8_t)said, .number = h->replay, .id = h->id_us});
    if (!d->welcomed)
        f->welcomed++;
    if (!d->arrived)
        f->arrived++;
    d->welcomed = d->arrived = true;
    /* What came on an earlier connection cannot be acknowledged on this one. */
    if (d->resume == RESUME_ACK)
        d->acked_id = d->id_us = h->id_us;
}

static void on_message(struct fleet *f, struct device *d, struct slice message)
{
    struct heard h;
    heard_read(message, &h);
    switch (h.kind) {
    case HEARD_EVENT:
        on_event(f, d, &h);
        return;
    case HEARD_WELCOME:
        on_welcome(f, d, &h);
        return;
    case HEARD_GAP:
        note(f, d, (struct ledger_entry){.kind = LEDGER_GAP});
        return;
    case HEARD_HEARTBEAT:
        return;
    case HEARD_STRANGE:
        note(f, d, (struct ledger_entry){.kind = LEDGER_STRANGE});
        if (f->stranges++ < STRANGES_SAID)
            fprintf(stderr, "device %" PRIu32 " heard: %.*s\n", d->number, (int)MIN(message.n, 300), message.p);
    }
}

/* False when the device is gone. */
static bool on_frame(struct fleet *f, struct device *d, const struct wire_frame *frame, struct slice payload)
{
    if (frame->opcode == WIRE_PING) {
        send_frame(d, WIRE_PONG, payload);
    } else if (frame->opcode == WIRE_CLOSE) {
        on_close_frame(f, d, payload);
        return false;
    } else if (frame->opcode != WIRE_PONG) {
        on_message(f, d, payload);
    }
    return true;
}

/* One frame, or the head of the answer, off the front of in: the bytes used, 0 when more must come first, -1 when the
 * device is gone. */
static ssize_t step_frame(struct fleet *f, struct device *d, struct slice in)
{
    struct wire_frame frame;
    enum wire_result r = wire_frame_head(in, &frame);
    if (r == WIRE_BAD || (r == WIRE_OK && frame.head + frame.length > DEVICE_READ_MAX)) {
        on_closed(f, d, WIRE_BAD_FRAME, LEDGER_BY_DEVICE);
        return -1;
    }
    if (r == WIRE_MORE || frame.head + frame.length > in.n)
        return 0;
    size_t whole = frame.head + (size_t)frame.length;
    return on_frame(f, d, &frame, slice_make(in.p + frame.head, (size_t)frame.length)) ? (ssize_t)whole : -1;
}

static ssize_t step_answer(struct fleet *f, struct device *d, struct slice in)
{
    size_t head;
    unsigned status;
    enum wire_result r = wire_response(in, &head, &status);
    if (r == WIRE_MORE)
        return 0;
    if (r != WIRE_OK || status != 101) {
        on_refused(f, d, r == WIRE_OK ? status : 0);
        return -1;
    }
    d->state = DEVICE_OPEN;
    d->since_us = f->now_us;
    f->connects++;
    return (ssize_t)head;
}

static void keep(struct device *d, struct slice rest)
{
    char *kept = rest.n > 0 ? xmalloc(rest.n) : NULL;
    if (rest.n > 0)
        memcpy(kept, rest.p, rest.n);
    free(d->kept);
    d->kept = kept;
    d->kept_n = rest.n;
}

static void on_readable(struct fleet *f, struct device *d)
{
    if (d->kept_n > 0)
        memcpy(f->in, d->kept, d->kept_n);
    ssize_t n = read(d->fd, f->in + d->kept_n, DEVICE_READ_MAX - d->kept_n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        on_ended(f, d);
        return;
    }
    d->heard_us = f->now_us;
    struct slice in = slice_make(f->in, d->kept_n + (size_t)n);
    while (in.n > 0) {
        ssize_t used = d->state == DEVICE_SHAKING ? step_answer(f, d, in) : step_frame(f, d, in);
        if (used < 0)
            return;
        if (used == 0)
            break;
        in = slice_from(in, (size_t)used);
    }
    keep(d, in);
}

void device_on_event(struct fleet *f, struct device *d)
{
    if (d->state == DEVICE_CONNECTING)
        on_writable(f, d);
    else if (d->state != DEVICE_AWAY)
        on_readable(f, d);
}

/* ---- time ---- */

static void tick_open(struct fleet *f, struct device *d)
{
    uint64_t quiet_since = MAX(d->heard_us, d->since_us);
    if (f->now_us > quiet_since + f->silence_us)
        on_closed(f, d, WIRE_NO_CLOSE, LEDGER_SILENT);
    else if (d->resume == RESUME_ACK && d->welcomed && d->id_us > d->acked_id && f->now_us > d->acked_us + ACK_US)
        acknowledge(f, d);
}

void device_tick(struct fleet *f, struct device *d)
{
    if (d->state == DEVICE_OPEN)
        tick_open(f, d);
    else if (d->state == DEVICE_AWAY && f->now_us >= d->due_us)
        come(f, d);
    else if (d->state != DEVICE_AWAY && f->now_us > d->since_us + f->patience_us)
        on_refused(f, d, 0);
}

void device_leave(struct fleet *f, struct device *d, bool politely, uint64_t away_us)
{
    unsigned char normal[2] = {1000 >> 8, 1000 & 255};
    struct linger reset = {.l_onoff = 1};
    if (d->state != DEVICE_OPEN || !d->welcomed)
        return;
    if (politely)
        send_frame(d, WIRE_CLOSE, slice_make(normal, sizeof(normal)));
    else
        setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    note(f, d, (struct ledger_entry){.kind = LEDGER_CLOSED, .note = LEDGER_BY_DEVICE, .number = 1000});
    go_away(f, d, away_us);
}

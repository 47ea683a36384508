/* Devices in three lists: to be written, to be asked by a ping, and by age, so that one who is connected for long
 * without an event is not forgotten. */
#include "gateway/cursor.h"
#include "common/event_id.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/utf8.h"

#include <stdlib.h>

/* Of a DEVICE_TTL, how much may pass before a connected device is written again. */
#define FRESH_PART 4
/* More than these that left unwritten are let go: Redis has been away for long. */
#define DEPARTED_MAX 65536
/* A refusal may be a matter of moments, and come back as often: retries come at their own pace, doubled up to an
 * interval. */
#define RETRY_MS 100

static_assert(DEVICE_PING_SIZE >= EVENT_ID_SIZE, "a ping carries a position");

bool device_id_valid(struct slice id)
{
    if (id.n == 0 || id.n > DEVICE_ID_MAX || !utf8_valid(id))
        return false;
    for (size_t i = 0; i < id.n; i++)
        if ((unsigned char)id.p[i] < 0x20 || id.p[i] == 0x7f)
            return false;
    return true;
}

/* ---- devices ---- */

struct device *device_new(struct cursors *cs, struct conn *c, struct slice id)
{
    assert(id.n <= DEVICE_ID_MAX);
    struct device *d = xcalloc(1, sizeof(*d) + id.n);
    d->cursors = cs;
    d->conn = c;
    d->id_n = (uint8_t)id.n;
    memcpy(d->id, id.p, id.n);
    list_init(&d->dirty);
    list_init(&d->unproven);
    list_init(&d->fresh);
    return d;
}

static void device_free(struct device *d)
{
    list_remove(&d->dirty);
    list_remove(&d->unproven);
    list_remove(&d->fresh);
    free(d->target);
    free(d);
}

static void mark_dirty(struct device *d)
{
    if (d->writing)
        d->again = true;
    else if (list_empty(&d->dirty))
        list_push_back(&d->cursors->dirty, &d->dirty);
}

void device_depart(struct device *d)
{
    struct cursors *cs = d->cursors;
    bool clean = list_empty(&d->dirty);
    d->conn = NULL;
    list_remove(&d->unproven);
    list_remove(&d->fresh);
    if (clean || (cs->departed >= DEPARTED_MAX && !d->writing))
        device_free(d);
    else
        cs->departed++;
}

void device_start(struct device *d, struct slice target, uint64_t position, bool acks)
{
    if (d->target == NULL)
        d->target = slice_dup(target);
    d->acks |= acks;
    d->acked = MAX(d->acked, position);
    d->sent = MAX(d->sent, position);
    d->written_ms = d->cursors->ctx->loop->now_ms;
    list_remove(&d->fresh);
    list_push_back(&d->cursors->fresh, &d->fresh);
    mark_dirty(d);
}

static void wait_for_proof(struct device *d)
{
    if (!d->acks && d->pinged == 0 && d->sent > d->acked && list_empty(&d->unproven))
        list_push_back(&d->cursors->unproven, &d->unproven);
}

void device_sent(struct device *d, uint64_t position)
{
    if (position <= d->sent)
        return;
    d->sent = position;
    wait_for_proof(d);
}

static void raise(struct device *d, uint64_t position)
{
    if (position <= d->acked)
        return;
    d->acked = position;
    mark_dirty(d);
}

enum device_ack device_on_ack(struct device *d, uint64_t position)
{
    if (position > d->sent)
        return DEVICE_ACK_AHEAD;
    if (!d->acks) {
        d->acks = true;
        d->pinged = 0;
        list_remove(&d->unproven);
        mark_dirty(d);
    }
    raise(d, position);
    return DEVICE_ACK_OK;
}

struct slice device_ping(const struct device *d, char out[DEVICE_PING_SIZE])
{
    return d->pinged != 0 ? event_id_format(d->pinged, out) : SLICE("");
}

void device_on_pong(struct device *d, struct slice payload)
{
    char text[DEVICE_PING_SIZE];
    if (d->acks || d->pinged == 0 || !slice_eq(payload, device_ping(d, text)))
        return;
    raise(d, d->pinged);
    d->pinged = 0;
    wait_for_proof(d);
}

/* ---- writing ---- */

struct cursor_write {
    struct cursors *cursors;
    struct list devices; /* by dirty */
};

static struct device *first_of(struct list *dirty)
{
    return CONTAINER_OF(dirty->next, struct device, dirty);
}

static void on_device_written(struct device *d, bool ok)
{
    struct cursors *cs = d->cursors;
    list_remove(&d->dirty);
    d->writing = false;
    if (!ok || d->again)
        mark_dirty(d);
    d->again = false;
    if (d->conn != NULL || !list_empty(&d->dirty))
        return;
    cs->departed--;
    device_free(d);
}

static void end_write(struct cursor_write *w, bool ok)
{
    counter_add(ok ? &w->cursors->ctx->metrics->cursor_writes : &w->cursors->ctx->metrics->cursor_failures, 1);
    LIST_EACH_SAFE (it, &w->devices)
        on_device_written(CONTAINER_OF(it, struct device, dirty), ok);
    free(w);
}

static void note_refused(struct cursors *cs, const char *target, const char *reply)
{
    if (timer_is_armed(&cs->retry))
        return;
    if (cs->refusals == 0)
        log_warn("cursors_refused", LOG_S("target", target), LOG_S("reply", reply));
    uint64_t ms = (uint64_t)RETRY_MS << MIN(cs->refusals, 10);
    if (ms < cs->ctx->cfg->cursor_interval)
        timer_start(cs->ctx->loop, &cs->retry, ms);
    cs->refusals++;
}

static void note_accepted(struct cursors *cs)
{
    if (cs->refusals > 0)
        log_info("cursors_accepted", LOG_I("retries", cs->refusals));
    cs->refusals = 0;
}

static void on_written(void *arg, const redisReply *reply)
{
    struct cursor_write *w = arg;
    bool ok = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
    if (ok)
        note_accepted(w->cursors);
    else if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        note_refused(w->cursors, first_of(&w->devices)->target, reply->str);
    end_write(w, ok);
}

static void write_user(struct cursors *cs, struct device *const *devices, size_t count)
{
    struct redis_fn_device rows[REDIS_FN_DEVICES_MAX];
    struct slice target = slice_of(devices[0]->target);
    unsigned bucket = target_bucket(target);
    struct cursor_write *w = xmalloc(sizeof(*w));
    w->cursors = cs;
    list_init(&w->devices);
    for (size_t i = 0; i < count; i++) {
        struct device *d = devices[i];
        rows[i] = (struct redis_fn_device){.id = device_id(d), .position = d->acked, .acks = d->acks};
        d->written_ms = cs->ctx->loop->now_ms;
        d->writing = true;
        list_remove(&d->dirty);
        list_push_back(&w->devices, &d->dirty);
        if (d->conn != NULL) {
            list_remove(&d->fresh);
            list_push_back(&cs->fresh, &d->fresh);
        }
    }
    redis_fn_cursor(&cs->call, bucket, target, cs->ctx->cfg->device_ttl, (uint64_t)cs->ctx->cfg->devices_max, rows,
                    count);
    if (FAULT(skip_cursor_write))
        end_write(w, true);
    else if (redis_commands_send(cs->redis_of(cs->redis_arg, bucket), cs->call.argv, cs->call.argc, on_written, w) != 0)
        end_write(w, false);
}

static int by_target(const void *a, const void *b)
{
    const struct device *const *left = a, *const *right = b;
    return strcmp((*left)->target, (*right)->target);
}

void cursors_flush(struct cursors *cs)
{
    size_t count = 0, n = 0;
    LIST_EACH (it, &cs->dirty)
        count++;
    if (count == 0)
        return;
    struct device **devices = xmalloc(count * sizeof(struct device *));
    LIST_EACH (it, &cs->dirty)
        devices[n++] = CONTAINER_OF(it, struct device, dirty);
    qsort(devices, count, sizeof(struct device *), by_target);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && to - from < REDIS_FN_DEVICES_MAX; to++)
            if (strcmp(devices[from]->target, devices[to]->target) != 0)
                break;
        write_user(cs, devices + from, to - from);
    }
    free(devices);
}

/* ---- once an interval ---- */

static void ask_unproven(struct cursors *cs)
{
    char text[DEVICE_PING_SIZE];
    while (!list_empty(&cs->unproven)) {
        struct device *d = CONTAINER_OF(cs->unproven.next, struct device, unproven);
        list_remove(&d->unproven);
        d->pinged = d->sent;
        cs->ping(d->conn, device_ping(d, text));
    }
}

static void refresh_old(struct cursors *cs)
{
    uint64_t now = cs->ctx->loop->now_ms, age = cs->ctx->cfg->device_ttl / FRESH_PART;
    LIST_EACH (it, &cs->fresh) {
        struct device *d = CONTAINER_OF(it, struct device, fresh);
        if (now - d->written_ms < age)
            break;
        mark_dirty(d);
    }
}

static void on_retry(struct timer *t)
{
    cursors_flush(CONTAINER_OF(t, struct cursors, retry));
}

static void on_timer(struct timer *t)
{
    struct cursors *cs = CONTAINER_OF(t, struct cursors, timer);
    timer_start(cs->ctx->loop, t, cs->ctx->cfg->cursor_interval);
    ask_unproven(cs);
    refresh_old(cs);
    cursors_flush(cs);
}

void cursors_init(struct cursors *cs, struct context *ctx,
                  struct redis_commands *(*redis_of)(void *arg, unsigned bucket), void *redis_arg,
                  void (*ping)(struct conn *c, struct slice payload))
{
    *cs = (struct cursors){.ctx = ctx, .redis_of = redis_of, .redis_arg = redis_arg, .ping = ping};
    list_init(&cs->dirty);
    list_init(&cs->unproven);
    list_init(&cs->fresh);
    timer_init(&cs->timer, on_timer);
    timer_init(&cs->retry, on_retry);
    timer_start(ctx->loop, &cs->timer, ctx->cfg->cursor_interval);
}

void cursors_release(struct cursors *cs)
{
    timer_stop(&cs->timer);
    timer_stop(&cs->retry);
    LIST_EACH_SAFE (it, &cs->dirty)
        device_free(CONTAINER_OF(it, struct device, dirty));
    redis_fn_call_release(&cs->call);
}

/* An event is encoded once and shared by the calls for its targets, each of which goes to the pipe of its bucket's
 * node. */
#include "router/publisher.h"
#include "common/clock.h"
#include "common/coordinate.h"
#include "common/log.h"
#include "common/traceparent.h"
#include "router/publisher_homes.h"
#include "router/route.h"

/* Refills under way at a node: so many that Redis is not idle in between, so few that a live event that comes behind
 * them does not notice. While more live events than LIVE_BUSY wait, refills get what is left. */
#define REFILL_MOST  16
#define REFILL_LEAST 4
#define LIVE_BUSY    64

struct node *publisher_node(struct publisher *pub, unsigned bucket)
{
    return pub->nodes[pub->home[bucket]];
}

struct redis_commands *publisher_commands(struct publisher *pub, unsigned bucket)
{
    return &publisher_node(pub, bucket)->rc;
}

/* How long the log of a target is kept belongs to the kind of target: several routes may feed it. */
static void set_history(const struct router_config *conf, struct pipe_call *call)
{
    switch (call->target.p[0]) {
    case 'u':
        call->maxlen = (uint64_t)conf->user_history_length;
        call->ttl_ms = conf->user_history_retention;
        break;
    case 'r':
        call->maxlen = (uint64_t)conf->room_history_length;
        call->ttl_ms = conf->room_history_retention;
        break;
    default:
        call->maxlen = (uint64_t)conf->global_history_length;
        call->ttl_ms = conf->global_history_retention;
    }
}

static void encode(struct buf *out, const struct event *ev, struct slice part, uint64_t offset)
{
    char key_text[COORDINATE_PART_MAX + 32];
    struct buf key = {.p = key_text, .cap = sizeof(key_text)};
    coordinate_append(&key, &(struct coordinate){.part = part, .offset = offset});
    assert(key.p == key_text);
    bool own_key = ev->key.p != NULL;
    struct envelope e = {.key = own_key ? ev->key : buf_slice(&key),
                         .coordinate = own_key ? buf_slice(&key) : (struct slice){0},
                         .kafka_ms = ev->time_ms,
                         .event = ev->name,
                         .target_count = ev->target_count,
                         .kind = ev->kind,
                         .payload = ev->payload,
                         .source_device = ev->source_device,
                         .traceparent = ev->traceparent,
                         .conflate_key = ev->conflate_key,
                         .flags = ev->flags | (own_key ? 0 : ENVELOPE_COORDINATE)};
    memcpy(e.targets, ev->targets, ev->target_count * sizeof(ev->targets[0]));
    envelope_encode(out, &e);
}

/* The envelope, then what calls need beside it: the event's slices do not outlive this turn. */
static struct body *make_body(struct publisher *pub, const struct event *ev, const struct step *step, uint64_t offset,
                              size_t *envelope_size)
{
    struct buf *b = &pub->scratch;
    buf_clear(b);
    encode(b, ev, slice_of(step->partition->part), offset);
    *envelope_size = b->n;
    buf_append(b, ev->dedupe_key);
    for (size_t i = 0; i < ev->target_count; i++)
        buf_append(b, ev->targets[i]);
    buf_append(b, ev->traceparent);
    struct body *body = body_new(b->n);
    memcpy(body->bytes, b->p, b->n);
    return body;
}

struct sending {
    struct body *body;
    struct pipe_call call; /* of the next target */
    size_t at;             /* where its name is in the body */
};

static struct sending begin_sending(struct publisher *pub, const struct event *ev, uint64_t offset,
                                    const struct step *step, enum pipe_kind kind)
{
    size_t at;
    struct body *body = make_body(pub, ev, step, offset, &at);
    return (struct sending){
        .body = body,
        .at = at + ev->dedupe_key.n,
        .call = {.kind = kind,
                 .envelope = {body->bytes, at},
                 .dedupe_key = {ev->dedupe_key.p != NULL ? body->bytes + at : NULL, ev->dedupe_key.n},
                 .traceparent = {ev->traceparent.p != NULL ? body->bytes + body->size - ev->traceparent.n : NULL,
                                 ev->traceparent.n},
                 .offset = offset,
                 .window_ms = pub->conf->dedupe_window,
                 .kafka_ms = ev->time_ms,
                 .queued_us = clock_mono_us()}};
}

static void next_target(struct publisher *pub, struct sending *s, size_t target_size)
{
    s->call.target = slice_make(s->body->bytes + s->at, target_size);
    s->call.bucket = target_bucket(s->call.target);
    s->at += target_size;
    set_history(pub->conf, &s->call);
}

static void push(struct sending *s, struct pipe *pipe, const struct step *step)
{
    s->call.body = body_ref(s->body);
    s->call.step = partition_add_step(step);
    pipe_push(pipe, &s->call);
}

void publisher_send(struct publisher *pub, const struct event *ev, uint64_t offset, const struct step *step)
{
    struct sending s = begin_sending(pub, ev, offset, step, ev->route->ephemeral ? PIPE_PUBLISH : PIPE_APPEND);
    for (size_t i = 0; i < ev->target_count; i++) {
        next_target(pub, &s, ev->targets[i].n);
        push(&s, &publisher_node(pub, s.call.bucket)->pipe, step);
    }
    body_unref(s.body);
}

void publisher_refill(struct publisher *pub, const struct event *ev, uint64_t offset, const struct step *step,
                      bool (*is_awaited)(const void *arg, unsigned bucket), const void *arg)
{
    bool any = false;
    for (size_t i = 0; i < ev->target_count && !ev->route->ephemeral; i++)
        any |= is_awaited(arg, target_bucket(ev->targets[i]));
    if (!any)
        return;
    uint64_t now_ms = clock_wall_ms();
    struct sending s = begin_sending(pub, ev, offset, step, PIPE_REFILL);
    for (size_t i = 0; i < ev->target_count; i++) {
        next_target(pub, &s, ev->targets[i].n);
        if (ev->time_ms + s.call.ttl_ms >= now_ms && is_awaited(arg, s.call.bucket))
            push(&s, node_refill_pipe(publisher_node(pub, s.call.bucket)), step);
    }
    body_unref(s.body);
}

size_t publisher_refill_room(const struct publisher *pub)
{
    size_t room = SIZE_MAX;
    for (size_t i = 0; i < pub->node_count; i++) {
        const struct node *n = pub->nodes[i];
        if (!publisher_uses(pub, i))
            continue;
        size_t max = n->pipe.appends > LIVE_BUSY ? REFILL_LEAST : REFILL_MOST;
        room = MIN(room, !n->refill.held && n->refill.appends < max ? max - n->refill.appends : 0);
    }
    return room;
}

uint64_t publisher_retention_ms(const struct publisher *pub)
{
    const struct router_config *conf = pub->conf;
    return MAX(conf->user_history_retention, MAX(conf->room_history_retention, conf->global_history_retention));
}

size_t publisher_waiting(const struct publisher *pub)
{
    size_t waiting = 0;
    for (size_t i = 0; i < pub->node_count; i++)
        waiting += pub->nodes[i]->pipe.appends;
    return waiting;
}

bool publisher_is_idle(const struct publisher *pub)
{
    size_t waiting = 0;
    for (size_t i = 0; i < pub->node_count; i++)
        waiting += pub->nodes[i]->pipe.count;
    return waiting == 0;
}

/* The fullest pipe decides: order allows nothing to go past it. A node without buckets may have no pipe at all. */
size_t publisher_room(const struct publisher *pub)
{
    size_t room = SIZE_MAX;
    for (size_t i = 0; i < pub->node_count; i++) {
        const struct pipe *p = &pub->nodes[i]->pipe;
        if (!publisher_uses(pub, i))
            continue;
        size_t max = (size_t)pub->conf->max_inflight;
        size_t own = p->appends < max && p->bytes < pub->conf->max_inflight_bytes ? max - p->appends : 0;
        room = MIN(room, p->state == PIPE_CLOSED || p->held ? 0 : own);
    }
    return room;
}

bool publisher_is_ready(const struct publisher *pub)
{
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i) && pub->nodes[i]->state != NODE_READY)
            return false;
    return pub->topology.known;
}

bool publisher_is_fine(const struct publisher *pub)
{
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i) && !node_is_fine(pub->nodes[i]))
            return false;
    return pub->topology.known;
}

void publisher_read_markers(struct publisher *pub, const char *const *parts, size_t count)
{
    pub->asked = 0;
    pub->answered_well = true;
    for (size_t i = 0; i < pub->node_count; i++)
        pub->asked += publisher_uses(pub, i);
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i))
            markers_read(&pub->nodes[i]->markers, parts, count);
}

struct markers_part publisher_part(const struct publisher *pub, size_t i)
{
    struct markers_part all = {.lowest = MARKERS_NO_WATERMARK};
    for (size_t k = 0; k < pub->node_count; k++) {
        if (!publisher_uses(pub, k))
            continue;
        const struct markers_part *own = &pub->nodes[k]->markers.parts[i];
        all.unbound |= own->unbound;
        if (own->lowest != MARKERS_NO_WATERMARK && (all.lowest == MARKERS_NO_WATERMARK || own->lowest < all.lowest))
            all.lowest = own->lowest;
    }
    return all;
}

size_t publisher_missing(const struct publisher *pub)
{
    size_t missing = 0;
    for (size_t i = 0; i < pub->node_count; i++)
        missing += publisher_uses(pub, i) ? pub->nodes[i]->markers.missing : 0;
    return missing;
}

size_t publisher_refilling(const struct publisher *pub)
{
    size_t refilling = 0;
    for (size_t i = 0; i < pub->node_count; i++)
        refilling += publisher_uses(pub, i) ? pub->nodes[i]->markers.refilling : 0;
    return refilling;
}

void publisher_create_markers(struct publisher *pub, enum redis_fn_create create,
                              const struct redis_fn_watermark *fields, size_t count)
{
    counter_add(&pub->metrics->epochs, publisher_missing(pub));
    pub->asked = 0;
    pub->answered_well = true;
    for (size_t i = 0; i < pub->node_count; i++)
        pub->asked += publisher_uses(pub, i) && pub->nodes[i]->markers.missing > 0;
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i) && pub->nodes[i]->markers.missing > 0)
            markers_create(&pub->nodes[i]->markers, create, fields, count);
}

void publisher_open(struct publisher *pub)
{
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i))
            node_open(pub->nodes[i]);
}

bool publisher_mark(struct publisher *pub, unsigned first, unsigned count, const struct redis_fn_watermark *watermarks,
                    size_t watermark_count)
{
    bool all = true;
    for (unsigned bucket = first; bucket < first + count; bucket++)
        all &= pipe_mark(&publisher_node(pub, bucket)->pipe, bucket, watermarks, watermark_count);
    if (all)
        counter_add(&pub->metrics->watermarks, (uint64_t)count * watermark_count);
    return all;
}

void publisher_check(struct publisher *pub, unsigned count)
{
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i) && pub->nodes[i]->state == NODE_READY)
            markers_check(&pub->nodes[i]->markers, count);
}

void publisher_second(struct publisher *pub)
{
    if (!publisher_is_ready(pub))
        redis_topology_doubt(&pub->topology);
    for (size_t i = 0; i < pub->node_count; i++)
        if (publisher_uses(pub, i))
            node_second(pub->nodes[i]);
}

/* ---- what nodes say ---- */

static void on_ready(struct node *n)
{
    struct publisher *pub = n->owner;
    counter_add(&pub->metrics->redis_connects, 1);
    if (publisher_is_ready(pub))
        pub->ops->on_ready(pub);
}

static void on_markers_lost(struct node *n)
{
    struct publisher *pub = n->owner;
    pub->ops->on_markers_lost(pub);
}

/* Whether this was the last of the nodes that were asked; *ok: all of them answered well. */
static bool is_last_answer(struct publisher *pub, bool *ok)
{
    pub->answered_well &= *ok;
    *ok = pub->answered_well;
    return --pub->asked == 0;
}

static void on_markers_read(struct node *n, bool ok)
{
    struct publisher *pub = n->owner;
    if (!ok)
        redis_topology_doubt(&pub->topology);
    if (!is_last_answer(pub, &ok))
        return;
    pub->ops->on_markers_read(pub, ok);
    publisher_homes_move(pub);
}

static void on_markers_created(struct node *n, bool ok)
{
    struct publisher *pub = n->owner;
    if (!is_last_answer(pub, &ok))
        return;
    pub->ops->on_markers_created(pub, ok);
    publisher_homes_move(pub);
}

static void on_data_lost(struct node *n)
{
    struct publisher *pub = n->owner;
    pub->ops->on_data_lost(pub);
}

static void on_flowing(struct node *n)
{
    struct publisher *pub = n->owner;
    pub->ops->on_flowing(pub);
}

static void on_down(struct node *n)
{
    struct publisher *pub = n->owner;
    pub->ops->on_down(pub);
    redis_topology_doubt(&pub->topology);
    if (publisher_is_ready(pub))
        pub->ops->on_ready(pub); /* it has no buckets: nobody waits for its return */
}

/* Kafka's clock is another machine's, and may be ahead of ours; a record without a time is of no age. A call is queued
 * in the turn that reads its record. */
static void observe(struct router_metrics *m, const struct pipe_call *call, uint64_t append_us)
{
    uint64_t now_us = clock_wall_us(), kafka_us = MIN(call->kafka_ms, UINT64_MAX / 1000) * 1000;
    uint64_t record_us = now_us > kafka_us ? now_us - kafka_us : 0;
    const struct {
        struct metric_histogram *histogram;
        uint64_t us;
    } hops[] = {{&m->append_seconds, append_us},
                {&m->kafka_seconds, record_us > append_us ? record_us - append_us : 0},
                {&m->record_seconds, record_us}};
    struct slice trace_id = traceparent_sampled_id(call->traceparent);
    for (size_t i = 0; i < (kafka_us != 0 ? ARRAY_LEN(hops) : 1); i++) {
        histogram_observe(hops[i].histogram, hops[i].us);
        if (trace_id.p != NULL)
            histogram_exemplify(hops[i].histogram, hops[i].us, trace_id, now_us / 1000);
    }
}

/* What Redis had is no measure of anything: after a pause, partitions go back and all of it comes again. */
static void on_confirmed(struct node *n, const struct pipe_call *call, bool duplicate, uint64_t latency_us)
{
    struct publisher *pub = n->owner;
    if (call->kind == PIPE_PUBLISH)
        counter_add(&pub->metrics->publishes, 1);
    else
        counter_add(duplicate ? &pub->metrics->repeats : &pub->metrics->appends, 1);
    if (call->traceparent.p != NULL)
        log_debug("event_appended", LOG_SL("trace_id", traceparent_trace_id(call->traceparent)),
                  LOG_S("part", call->step.partition->part), LOG_I("offset", call->offset),
                  LOG_SL("target", call->target), LOG_I("duplicate", duplicate));
    if (!duplicate)
        observe(pub->metrics, call, latency_us);
}

static void on_refilled(struct node *n, const struct pipe_call *call, bool duplicate)
{
    struct publisher *pub = n->owner;
    counter_add(duplicate ? &pub->metrics->refill_repeats : &pub->metrics->refill_appends, 1);
}

static void on_refused(struct node *n, const struct pipe *p, enum redis_fn_result why)
{
    struct publisher *pub = n->owner;
    counter_add(&pub->metrics->append_errors[why], 1);
    if (why == REDIS_FN_MOVED || why == REDIS_FN_RETRY)
        redis_topology_refused(&pub->topology, slice_of(p->refusal));
}

static void on_still(struct node *n)
{
    publisher_homes_move(n->owner);
}

static const struct node_ops node_ops = {.on_ready = on_ready,
                                         .on_markers_lost = on_markers_lost,
                                         .on_markers_read = on_markers_read,
                                         .on_markers_created = on_markers_created,
                                         .on_data_lost = on_data_lost,
                                         .on_flowing = on_flowing,
                                         .on_down = on_down,
                                         .on_confirmed = on_confirmed,
                                         .on_refilled = on_refilled,
                                         .on_refused = on_refused,
                                         .on_still = on_still};

void publisher_init(struct publisher *pub, struct loop *l, const struct redis_site *redis,
                    const struct router_config *conf, struct router_metrics *metrics, const struct publisher_ops *ops,
                    void *owner)
{
    *pub = (struct publisher){.ops = ops, .owner = owner, .conf = conf, .metrics = metrics, .loop = l};
    publisher_homes_init(pub, redis, &node_ops);
}

void publisher_release(struct publisher *pub)
{
    publisher_homes_release(pub);
    buf_release(&pub->scratch);
}

/* Everything here runs on the one loop; nothing waits. The order of a record's life: consumer_poll, decode, append to
 * each target, confirmed, position moves, watermark and commit say so. */
#include "router/downstream.h"
#include "common/clock.h"
#include "common/log.h"
#include "router/message.h"

#include <stdlib.h>

#define SLICES           16 /* a round of watermarks, and one of epochs, is spread over so many */
#define WATCH_MS         100
#define AWAY_MS          1000
#define REVOKE_COMMIT_MS 1000
#define FIELDS_MAX       3     /* of a partition, in a marker */
#define UNFINISHED_MAX   65536 /* records of one partition behind a dead letter */

static struct downstream *of_consumer(struct consumer *c)
{
    return c->owner;
}

/* ---- records ---- */

static size_t room(struct consumer *c)
{
    struct downstream *d = of_consumer(c);
    if (!assignment_is_fetched(&d->assignment))
        return SIZE_MAX; /* only rebalances can come */
    if (d->stopping || d->deadletters->waiting >= DEADLETTERS_MAX)
        return 0;
    for (size_t i = 0; i < d->assignment.count && d->deadletters->waiting > 0; i++)
        if (d->assignment.rows[i]->count >= UNFINISHED_MAX)
            return 0;
    size_t n = publisher_room(&d->publisher);
    if (n > 0)
        d->flowed_ms = d->loop->now_ms;
    return n;
}

static void count_event(struct router_metrics *m, const struct decoder *d)
{
    counter_add(&m->records[RECORD_EVENT], 1);
    if (d->traceparent.p != NULL)
        counter_add(&m->traceparents[TRACE_CARRIED], 1);
    if (d->bad_traceparent)
        counter_add(&m->traceparents[TRACE_MALFORMED], 1);
}

static void dispatch(struct downstream *d, struct partition *p, rd_kafka_message_t *m)
{
    struct record_header headers[MESSAGE_HEADERS_MAX];
    const struct record r = message_record(m, headers);
    struct step step = partition_open(p, m->offset, m);
    struct event ev;
    enum decode_outcome outcome = decode_record(&d->decoder, &r, &ev);
    if (outcome == DECODE_EVENT) {
        count_event(d->metrics, &d->decoder);
        publisher_send(&d->publisher, &ev, (uint64_t)m->offset, &step);
    } else if (outcome == DECODE_TOMBSTONE)
        counter_add(&d->metrics->records[RECORD_IGNORED], 1);
    else {
        struct buf why = {0};
        counter_add(&d->metrics->refused[outcome], 1);
        decode_describe(&d->decoder, outcome, &why);
        const struct refusal refusal = {decode_outcome_word(outcome), buf_slice(&why), d->decoder.traceparent};
        deadletters_send(d->deadletters, &r, &refusal, &step);
        buf_release(&why);
    }
    partition_finish(&step);
}

static void on_record(struct consumer *c, rd_kafka_message_t *m)
{
    struct downstream *d = of_consumer(c);
    struct partition *p = assignment_find(&d->assignment, rd_kafka_topic_name(m->rkt), m->partition);
    if (p == NULL || !p->placed || d->stopping) {
        if (p != NULL)
            p->fetched = PARTITION_NO_OFFSET; /* to be read again once it has its place */
        rd_kafka_message_destroy(m);
        return;
    }
    if (assignment_asks_again(&d->assignment, p, m->offset)) {
        rd_kafka_message_destroy(m);
        return;
    }
    /* The library went back to the beginning, because there is no such offset any more. */
    if (m->offset < p->next)
        p = assignment_renew(&d->assignment, p, m->offset);
    dispatch(d, p, m);
}

/* ---- watermarks ---- */

/* Where a partition's live events start stands before its watermark: markers that miss its history take it once. */
static size_t add_fields(const struct partition *p, int64_t watermark, struct redis_fn_watermark *out)
{
    struct slice part = slice_of(p->part);
    size_t n = 0;
    if (p->unbound)
        out[n++] = (struct redis_fn_watermark){.part = part, .offset = (uint64_t)p->bound, .field = REDIS_FN_BOUND};
    if (p->unbound && p->bound == 0)
        out[n++] = (struct redis_fn_watermark){.part = part, .offset = 0, .field = REDIS_FN_REFILLED};
    out[n++] = (struct redis_fn_watermark){.part = part, .offset = (uint64_t)watermark, .field = REDIS_FN_APPLIED};
    return n;
}

static size_t collect_watermarks(struct downstream *d, bool only_new)
{
    const struct assignment *a = &d->assignment;
    if (d->watermark_cap < FIELDS_MAX * a->count) {
        d->watermark_cap = FIELDS_MAX * a->count;
        d->watermarks = xrealloc(d->watermarks, d->watermark_cap * sizeof(*d->watermarks));
    }
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct partition *p = a->rows[i];
        int64_t watermark = p->placed ? partition_watermark(p) : PARTITION_NO_OFFSET;
        if (watermark >= 0 && !(only_new && p->written == p->marking && !p->unbound))
            n += add_fields(p, watermark, &d->watermarks[n]);
    }
    return n;
}

static void mark_everything(struct downstream *d)
{
    size_t n = collect_watermarks(d, false);
    if (n > 0 && !publisher_mark(&d->publisher, 0, TARGET_BUCKETS, d->watermarks, n))
        return;
    d->marks_due = false;
}

static void begin_round(struct downstream *d)
{
    for (size_t i = 0; i < d->assignment.count; i++) {
        struct partition *p = d->assignment.rows[i];
        p->marking = p->placed ? partition_watermark(p) : PARTITION_NO_OFFSET;
        p->bounding = p->placed && p->unbound;
    }
    d->round_spoiled = false;
}

static void end_round(struct downstream *d)
{
    for (size_t i = 0; i < d->assignment.count && !d->round_spoiled; i++) {
        struct partition *p = d->assignment.rows[i];
        p->written = p->marking;
        p->unbound &= !p->bounding;
    }
}

static void on_mark_timer(struct timer *t)
{
    struct downstream *d = CONTAINER_OF(t, struct downstream, mark_timer);
    timer_start(d->loop, t, d->conf->watermark_interval / SLICES);
    if (d->marks_due)
        mark_everything(d);
    if (d->mark_bucket == 0)
        begin_round(d);
    size_t n = collect_watermarks(d, true);
    if (n > 0 && !publisher_mark(&d->publisher, d->mark_bucket, TARGET_BUCKETS / SLICES, d->watermarks, n))
        d->round_spoiled = true;
    d->mark_bucket = (d->mark_bucket + TARGET_BUCKETS / SLICES) % TARGET_BUCKETS;
    if (d->mark_bucket == 0)
        end_round(d);
}

static void on_check_timer(struct timer *t)
{
    struct downstream *d = CONTAINER_OF(t, struct downstream, check_timer);
    timer_start(d->loop, t, 1000 / SLICES);
    if (d->assignment.has_read)
        publisher_check(&d->publisher, TARGET_BUCKETS / SLICES);
    if (++d->ticks % SLICES == 0) {
        publisher_second(&d->publisher);
        if (!d->stopping)
            assignment_second(&d->assignment);
        assignment_remember(&d->assignment);
    }
}

/* ---- commits ---- */

void downstream_commit_now(struct downstream *d, int wait_ms)
{
    commits_send_now(&d->commits, NULL, wait_ms);
}

static void on_commit_timer(struct timer *t)
{
    struct downstream *d = CONTAINER_OF(t, struct downstream, commit_timer);
    timer_start(d->loop, t, d->conf->commit_interval);
    commits_send(&d->commits);
}

static void on_commit_failed(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    commits_fail(&of_consumer(c)->commits, partitions);
}

/* ---- rebalances ---- */

static void on_assigned(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    struct downstream *d = of_consumer(c);
    d->flowed_ms = d->loop->now_ms; /* where they start must be asked first */
    assignment_add(&d->assignment, partitions);
}

/* The next owner starts at the lowest watermark: the nearer it is, the less is applied twice. */
static void on_revoked(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions, bool lost)
{
    struct downstream *d = of_consumer(c);
    assignment_answer(&d->assignment);
    if (!lost) {
        mark_everything(d);
        commits_send_now(&d->commits, partitions, REVOKE_COMMIT_MS);
    } else
        commits_copy(&d->commits); /* the topic may be gone, and its commits with it */
    assignment_remove(&d->assignment, partitions);
    if (!d->stopping)
        refill_wake(&d->refill);
}

static void on_doubt(struct consumer *c)
{
    struct downstream *d = of_consumer(c);
    if (d->stopping)
        return;
    d->round_spoiled = true;
    commits_copy(&d->commits); /* of the topic as we know it */
    assignment_doubt(&d->assignment);
}

static void on_placed(struct assignment *a)
{
    struct downstream *d = a->owner;
    d->marks_due = true;
    mark_everything(d);
    /* from now on the group has commits on these topics: new partitions start at their beginning */
    commits_send(&d->commits);
    commits_copy(&d->commits);
    if (!d->stopping)
        refill_wake(&d->refill);
}

/* ---- Redis ---- */

static void on_ready(struct publisher *pub)
{
    struct downstream *d = pub->owner;
    assignment_settle(&d->assignment);
}

static void on_markers_lost(struct publisher *pub)
{
    struct downstream *d = pub->owner;
    assignment_settle(&d->assignment);
}

static void on_markers_read(struct publisher *pub, bool ok)
{
    struct downstream *d = pub->owner;
    assignment_on_markers(&d->assignment, ok);
}

static void on_markers_created(struct publisher *pub, bool ok)
{
    struct downstream *d = pub->owner;
    assignment_on_markers_created(&d->assignment, ok);
}

static void on_data_lost(struct publisher *pub)
{
    struct downstream *d = pub->owner;
    d->round_spoiled = true;
    refill_halt(&d->refill);
    assignment_lose(&d->assignment);
}

static void on_flowing(struct publisher *pub)
{
    struct downstream *d = pub->owner;
    d->round_spoiled = true;
    if (d->marks_due)
        mark_everything(d);
}

static void on_moved(struct publisher *pub)
{
    struct downstream *d = pub->owner;
    if (!d->stopping)
        refill_move(&d->refill);
}

static void on_down(struct publisher *pub)
{
    struct downstream *d = pub->owner;
    d->round_spoiled = true;
    refill_halt(&d->refill);
    assignment_rewind(&d->assignment);
}

/* Pausing costs half a second without records on return: only when Redis has been away for a while. */
static void hold_or_go(struct downstream *d)
{
    bool flows = publisher_is_fine(&d->publisher) && publisher_room(&d->publisher) > 0;
    if (flows)
        d->flowed_ms = d->loop->now_ms;
    if (d->consumer.paused && flows) {
        consumer_resume(&d->consumer);
        log_info("partitions_resumed", LOG_I("count", d->assignment.count));
    } else if (!d->consumer.paused && d->loop->now_ms - d->flowed_ms >= AWAY_MS && d->assignment.count > 0) {
        consumer_pause(&d->consumer);
        log_warn("partitions_paused", LOG_I("count", d->assignment.count), LOG_S("reason", "Redis takes no appends"));
    }
}

/* ---- stopping ---- */

static bool is_drained(struct downstream *d)
{
    bool away = !publisher_is_fine(&d->publisher) && d->loop->now_ms - d->flowed_ms >= AWAY_MS;
    return (publisher_waiting(&d->publisher) == 0 && d->deadletters->waiting == 0) || away;
}

static void go_on_stopping(struct downstream *d)
{
    if (!d->last_marks && is_drained(d)) {
        d->last_marks = true;
        mark_everything(d);
    } else if (d->last_marks && !d->closing) {
        if (publisher_is_fine(&d->publisher) && !publisher_is_idle(&d->publisher))
            return; /* watermarks are under way */
        d->closing = true;
        commits_send_now(&d->commits, NULL, REVOKE_COMMIT_MS);
        assignment_answer(&d->assignment);
        consumer_close(&d->consumer);
    }
    if (d->closing && d->consumer.state == CONSUMER_CLOSED && d->assignment.lookup == NULL && d->probe == NULL &&
        refill_is_quiet(&d->refill)) {
        void (*on_stopped)(struct downstream *) = d->on_stopped;
        d->on_stopped = NULL;
        if (on_stopped != NULL)
            on_stopped(d);
    }
}

/* ---- Kafka ---- */

static void on_probed(struct lookup *l)
{
    struct downstream *d = l->owner;
    d->probe = NULL;
    if (l->error == NULL && d->consumer.unreachable) {
        log_info("kafka_reachable", LOG_S("brokers", d->conf->kafka_brokers));
        d->consumer.unreachable = false;
    }
    lookup_free(l);
}

/* librdkafka says when all brokers are gone, not when one is back. */
static void probe_kafka(struct downstream *d)
{
    if (d->consumer.unreachable && d->probe == NULL)
        d->probe = lookup_start(d->loop,
                                &(struct lookup_question){.rk = d->consumer.rk,
                                                          .partitions = rd_kafka_topic_partition_list_new(0),
                                                          .topics = d->assignment.topics,
                                                          .topic_count = d->assignment.topic_count,
                                                          .since_ms = -1},
                                d, on_probed);
}

static void on_watch_timer(struct timer *t)
{
    struct downstream *d = CONTAINER_OF(t, struct downstream, watch_timer);
    timer_start(d->loop, t, d->stopping ? 10 : WATCH_MS);
    if (!d->stopping) {
        hold_or_go(d);
        assignment_supervise(&d->assignment);
        probe_kafka(d);
        commits_copy_first(&d->commits);
    } else
        go_on_stopping(d);
}

void downstream_stop(struct downstream *d, void (*on_stopped)(struct downstream *))
{
    d->stopping = true;
    d->on_stopped = on_stopped;
    refill_halt(&d->refill);
    d->flowed_ms = d->loop->now_ms;
    timer_start(d->loop, &d->watch_timer, 0);
}

static const struct consumer_ops consumer_ops = {.room = room,
                                                 .on_record = on_record,
                                                 .on_assigned = on_assigned,
                                                 .on_revoked = on_revoked,
                                                 .on_doubt = on_doubt,
                                                 .on_commit_failed = on_commit_failed};
static const struct publisher_ops publisher_ops = {.on_ready = on_ready,
                                                   .on_markers_lost = on_markers_lost,
                                                   .on_markers_read = on_markers_read,
                                                   .on_markers_created = on_markers_created,
                                                   .on_data_lost = on_data_lost,
                                                   .on_moved = on_moved,
                                                   .on_flowing = on_flowing,
                                                   .on_down = on_down};

static void start_timers(struct downstream *d)
{
    static void (*const callbacks[])(struct timer *) = {on_mark_timer, on_check_timer, on_commit_timer, on_watch_timer};
    struct timer *timers[] = {&d->mark_timer, &d->check_timer, &d->commit_timer, &d->watch_timer};
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        timer_init(timers[i], callbacks[i]);
        timer_start(d->loop, timers[i], WATCH_MS);
    }
}

int downstream_start(struct downstream *d, const struct downstream_setup *setup, char **why)
{
    *d = (struct downstream){.loop = setup->loop,
                             .conf = setup->conf,
                             .metrics = setup->metrics,
                             .deadletters = setup->deadletters,
                             .flowed_ms = setup->loop->now_ms};
    /* The hooks of those who read stand before the link's, so that what a turn dispatches is written in the same turn.
     */
    if (consumer_start(&d->consumer, d->loop, setup->consumer, setup->topics, setup->topic_count, d->metrics,
                       &consumer_ops, d, why) != 0) {
        rd_kafka_conf_destroy(setup->reader);
        return -1;
    }
    refill_init(&d->refill, d->loop, setup->decoder, setup->reader, d->metrics, &d->publisher, &d->assignment);
    decoder_init(&d->decoder, setup->decoder);
    publisher_init(&d->publisher, d->loop, setup->redis, d->conf, d->metrics, &publisher_ops, d);
    d->commits = (struct commits){
        .assignment = &d->assignment, .consumer = &d->consumer, .publisher = &d->publisher, .metrics = d->metrics};
    assignment_init(&d->assignment, d->loop, d->conf, &d->consumer, &d->publisher, setup->topics, setup->topic_count, d,
                    on_placed);
    start_timers(d);
    return 0;
}

void downstream_release(struct downstream *d)
{
    struct timer *timers[] = {&d->mark_timer, &d->check_timer, &d->commit_timer, &d->watch_timer};
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        timer_stop(timers[i]);
    refill_release(&d->refill);
    publisher_release(&d->publisher); /* ends a reading of markers, of which the assignment is told */
    assignment_release(&d->assignment);
    decoder_release(&d->decoder);
    free(d->watermarks);
    consumer_release(&d->consumer);
}

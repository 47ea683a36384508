/* A life: look at the markers that are not whole; ask Kafka where the partitions begin; read, and write marks every few
 * seconds behind what was appended; at the end tell every bucket, and look again: what is still awaited then (a mark
 * was lost, a bucket was lost meanwhile) is the next plan. Everything that changes places ends the plan, and the
 * markers say where the next one goes on; an event that is sent twice is dropped by its second log. */
#include "router/refill.h"
#include "common/clock.h"
#include "common/log.h"
#include "router/message.h"
#include "router/route.h"

#include <stdlib.h>

#define TICK_MS      100
#define LOOK_MS      500 /* between looks that found something unsettled */
#define MARK_SLICE   32  /* buckets a tick: a round takes 3.2 s */
#define LAST_SLICE   128
#define STALE_MAX    64
#define PART_FIELDS  2
#define NEVER_OFFSET (((uint64_t)1 << 53) - 1)

static void look(struct refill *r);

static void drop_plan(struct refill *r)
{
    if (r->reader.rk != NULL)
        reader_assign(&r->reader, NULL);
    r->running = r->looking = r->asking = false;
    refill_plan_clear(&r->plan);
}

static void say_done(struct refill *r)
{
    if (r->begun_ms == 0)
        return;
    log_info(r->assignment->count > 0 ? "refill_done" : "refill_left_to_others", LOG_I("records", r->records),
             LOG_I("ms", r->loop->now_ms - r->begun_ms));
    r->begun_ms = r->records = 0;
}

/* ---- what the markers await ---- */

static struct refill *of_cell(const uint16_t *cell)
{
    return CONTAINER_OF(cell - *cell, struct refill, cells[0]);
}

/* Nobody can refill it: it counts as done, so that no reader waits for it. */
static void write_off(struct refill *r, unsigned bucket, struct slice part)
{
    const struct redis_fn_watermark fields[] = {
        {.part = part, .offset = 0, .field = REDIS_FN_BOUND},
        {.part = part, .offset = NEVER_OFFSET, .field = REDIS_FN_REFILLED},
    };
    struct pipe *pipe = node_refill_pipe(publisher_node(r->publisher, bucket));
    log_info("refill_written_off", LOG_SL("part", part), LOG_I("bucket", bucket));
    if (!pipe_mark(pipe, bucket, fields, ARRAY_LEN(fields)))
        r->plan.unsettled = true;
}

static uint64_t oldest_ms(const struct refill *r)
{
    uint64_t now_ms = clock_wall_ms(), retention_ms = publisher_retention_ms(r->publisher);
    return now_ms > retention_ms ? now_ms - retention_ms : 0;
}

static void take_marker(struct refill *r, unsigned bucket, const redisReply *reply)
{
    struct slice stale[STALE_MAX];
    size_t n = refill_plan_take(&r->plan, bucket, reply, oldest_ms(r), stale, STALE_MAX);
    for (size_t i = 0; i < n; i++)
        write_off(r, bucket, stale[i]);
    r->plan.unsettled |= n == STALE_MAX;
}

static void on_looked_up(struct lookup *l);

static void ask_kafka(struct refill *r)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)r->plan.count);
    for (size_t i = 0; i < r->plan.count; i++)
        rd_kafka_topic_partition_list_add(list, r->plan.rows[i].partition->topic, r->plan.rows[i].partition->id);
    r->asking = true;
    const struct lookup_question q = {
        .rk = r->assignment->consumer->rk, .partitions = list, .since_ms = (int64_t)oldest_ms(r), .ends = true};
    r->lookup = lookup_start(r->loop, &q, r, on_looked_up);
}

static void look_later(struct refill *r)
{
    r->wanted = true;
    timer_start(r->loop, &r->timer, LOOK_MS);
}

static void on_all_markers(struct refill *r)
{
    bool unsettled = r->plan.unsettled || r->failed;
    r->looking = false;
    refill_plan_trim(&r->plan);
    if (unsettled) {
        refill_plan_clear(&r->plan);
        look_later(r);
    } else if (r->plan.count > 0)
        ask_kafka(r);
    else {
        reader_stop(&r->reader);
        say_done(r);
    }
}

static void on_marker(void *arg, const redisReply *reply)
{
    struct refill *r = of_cell(arg);
    unsigned bucket = *(uint16_t *)arg;
    r->waiting--;
    if (r->looking) {
        if (reply != NULL && reply->type == REDIS_REPLY_ARRAY)
            take_marker(r, bucket, reply);
        else
            r->failed = true;
        if (r->waiting == 0)
            on_all_markers(r);
    } else if (r->wanted)
        look(r);
}

static void ask_markers(struct refill *r)
{
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        char key[TARGET_NAME_SIZE];
        struct node *n = publisher_node(r->publisher, bucket);
        const struct slice argv[] = {SLICE("HGETALL"), target_marker(bucket, key)};
        if (!n->markers.incomplete[bucket])
            continue;
        if (redis_commands_send(&n->rc, argv, ARRAY_LEN(argv), on_marker, &r->cells[bucket]) == 0)
            r->waiting++;
        else
            r->failed = true;
    }
}

/* Waits for what is left of an earlier look or question: its answers could not be told from those of this one. */
static void look(struct refill *r)
{
    if (!r->wanted || r->waiting > 0 || r->lookup != NULL)
        return;
    timer_stop(&r->timer);
    r->wanted = r->failed = false;
    r->looking = true;
    refill_plan_clear(&r->plan);
    for (size_t i = 0; i < r->assignment->count && publisher_refilling(r->publisher) > 0; i++)
        if (r->assignment->rows[i]->placed)
            refill_plan_add(&r->plan, r->assignment->rows[i]);
    if (r->plan.count > 0)
        ask_markers(r);
    if (r->waiting == 0)
        on_all_markers(r);
}

/* ---- reading ---- */

static void finish_row(struct refill *r, struct refill_row *row)
{
    if (row->read)
        return;
    row->read = true;
    reader_drop(&r->reader, row->partition->topic, row->partition->id);
}

static void say_begun(struct refill *r)
{
    if (r->begun_ms == 0)
        r->begun_ms = r->loop->now_ms;
    log_info("refill_begun", LOG_I("partitions", r->plan.count), LOG_I("buckets", refill_plan_buckets(&r->plan)),
             LOG_I("records", refill_plan_left(&r->plan)));
}

/* Kafka answers the end of a partition where no record is young enough; the library's own cluster always does, so then
 * everything is read. */
static void begin_row(struct refill_row *row, const struct lookup_row *known)
{
    refill_row_begin(row, known->low, known->at_time < known->high ? MAX(known->at_time, known->low) : known->low);
    if (row->read && row->truncated)
        row->from_ms = (int64_t)clock_wall_ms();
}

static int start_reading(struct refill *r)
{
    char *why;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)r->plan.count);
    for (size_t i = 0; i < r->plan.count; i++) {
        const struct partition *p = r->plan.rows[i].partition;
        if (!r->plan.rows[i].read)
            rd_kafka_topic_partition_list_add(list, p->topic, p->id)->offset = p->next;
    }
    int rc = list->cnt > 0 ? reader_start(&r->reader, r->conf, &why) : 0;
    if (rc != 0) {
        log_error("refill_failed", LOG_S("reason", why));
        free(why);
    } else if (list->cnt > 0)
        reader_assign(&r->reader, list);
    rd_kafka_topic_partition_list_destroy(list);
    return rc;
}

static void run(struct refill *r, const struct lookup *l)
{
    for (int i = 0; i < l->partitions->cnt; i++)
        begin_row(&r->plan.rows[i], &l->rows[i]);
    if (start_reading(r) != 0) {
        look_later(r);
        return;
    }
    r->running = true;
    r->mark_bucket = r->last_marks = 0;
    r->fields = xrealloc(r->fields, PART_FIELDS * r->plan.count * sizeof(*r->fields));
    say_begun(r);
    timer_start(r->loop, &r->timer, TICK_MS);
}

static void on_looked_up(struct lookup *l)
{
    struct refill *r = l->owner;
    bool counts = r->asking;
    r->lookup = NULL;
    r->asking = false;
    if (!counts)
        look(r);
    else if (l->error != NULL) {
        log_warn("kafka_lookup_failed", LOG_S("reason", l->error));
        look_later(r);
    } else
        run(r, l);
    lookup_free(l);
}

static size_t room(struct reader *reader)
{
    struct refill *r = reader->owner;
    return r->running ? publisher_refill_room(r->publisher) : 0;
}

struct awaited {
    const struct refill_row *row;
    int64_t offset;
};

static bool is_awaited(const void *arg, unsigned bucket)
{
    const struct awaited *a = arg;
    return refill_row_needs(a->row, bucket, a->offset);
}

/* What cannot be decoded became a dead letter when it was new. */
static void refill_record(struct refill *r, struct refill_row *row, const rd_kafka_message_t *m)
{
    struct record_header headers[MESSAGE_HEADERS_MAX];
    const struct record record = message_record(m, headers);
    struct step step = partition_open(row->partition, m->offset, NULL);
    struct event ev;
    if (row->truncated && !row->begun)
        row->from_ms = record.timestamp_ms;
    row->begun = true;
    r->records++;
    counter_add(&r->metrics->refill_records, 1);
    if ((uint64_t)record.timestamp_ms >= oldest_ms(r) && decode_record(&r->decoder, &record, &ev) == DECODE_EVENT) {
        const struct awaited a = {.row = row, .offset = m->offset};
        publisher_refill(r->publisher, &ev, (uint64_t)m->offset, &step, is_awaited, &a);
    }
    partition_finish(&step);
}

static void on_record(struct reader *reader, const rd_kafka_message_t *m)
{
    struct refill *r = reader->owner;
    struct refill_row *row = refill_plan_find(&r->plan, rd_kafka_topic_name(m->rkt), m->partition);
    if (row == NULL || row->read || m->offset < row->partition->next)
        return;
    if (m->offset < row->end)
        refill_record(r, row, m);
    if (m->offset + 1 >= row->end)
        finish_row(r, row);
}

static void on_end(struct reader *reader, const char *topic, int32_t id)
{
    struct refill *r = reader->owner;
    struct refill_row *row = refill_plan_find(&r->plan, topic, id);
    if (row != NULL)
        finish_row(r, row);
}

/* ---- marks ---- */

static size_t collect_fields(struct refill *r, unsigned bucket)
{
    size_t n = 0;
    for (size_t i = 0; i < r->plan.count; i++) {
        const struct refill_row *row = &r->plan.rows[i];
        if (row->needs[bucket].to < 0)
            continue;
        if (row->from_ms > 0)
            r->fields[n++] = (struct redis_fn_watermark){.offset = (uint64_t)row->from_ms, .field = REDIS_FN_FROM};
        r->fields[n++] = (struct redis_fn_watermark){.part = slice_of(row->partition->part),
                                                     .offset = (uint64_t)refill_row_progress(row, bucket),
                                                     .field = REDIS_FN_REFILLED};
    }
    return n;
}

/* The same pipe as the appends, so that the marks come behind them. */
static bool mark(struct refill *r, unsigned bucket)
{
    size_t n = collect_fields(r, bucket);
    return n == 0 || pipe_mark(node_refill_pipe(publisher_node(r->publisher, bucket)), bucket, r->fields, n);
}

static bool mark_some(struct refill *r, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!mark(r, r->mark_bucket))
            return false;
        r->mark_bucket = (r->mark_bucket + 1) % TARGET_BUCKETS;
    }
    return true;
}

static bool pipes_are_idle(const struct refill *r)
{
    for (size_t i = 0; i < r->publisher->node_count; i++)
        if (r->publisher->nodes[i]->refill.count > 0)
            return false;
    return true;
}

static void go_on(struct refill *r)
{
    timer_start(r->loop, &r->timer, TICK_MS);
    if (!refill_plan_is_read(&r->plan)) {
        mark_some(r, MARK_SLICE);
    } else if (r->last_marks < TARGET_BUCKETS) {
        r->last_marks += mark_some(r, LAST_SLICE) ? LAST_SLICE : 0;
    } else if (pipes_are_idle(r)) {
        drop_plan(r);
        r->wanted = true;
        look(r);
    }
}

static void on_timer(struct timer *t)
{
    struct refill *r = CONTAINER_OF(t, struct refill, timer);
    if (r->running)
        go_on(r);
    else
        look(r);
}

/* ---- life ---- */

void refill_wake(struct refill *r)
{
    drop_plan(r);
    r->wanted = true;
    look(r);
}

void refill_move(struct refill *r)
{
    drop_plan(r);
    look_later(r);
}

void refill_halt(struct refill *r)
{
    drop_plan(r);
    r->wanted = false;
    timer_stop(&r->timer);
}

bool refill_is_quiet(const struct refill *r)
{
    return r->lookup == NULL;
}

static const struct reader_ops reader_ops = {.room = room, .on_record = on_record, .on_end = on_end};

void refill_init(struct refill *r, struct loop *l, const struct decoder_conf *decoder, rd_kafka_conf_t *conf,
                 struct router_metrics *metrics, struct publisher *publisher, const struct assignment *assignment)
{
    *r = (struct refill){.loop = l, .metrics = metrics, .publisher = publisher, .assignment = assignment, .conf = conf};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        r->cells[bucket] = (uint16_t)bucket;
    decoder_init(&r->decoder, decoder);
    reader_init(&r->reader, l, &reader_ops, r);
    timer_init(&r->timer, on_timer);
}

void refill_release(struct refill *r)
{
    refill_halt(r);
    reader_release(&r->reader);
    refill_plan_release(&r->plan);
    decoder_release(&r->decoder);
    rd_kafka_conf_destroy(r->conf);
    free(r->fields);
}

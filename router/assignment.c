/* A partition is added, then known (Kafka's commits), then placed (Redis' markers), and only then given to librdkafka
 * to fetch. The answer to the group may come that late; its other members wait for it, so it is given after a while
 * even if Redis does not answer. Partitions that are not placed by then follow when they are. */
#include "router/assignment.h"
#include "common/clock.h"
#include "common/coordinate.h"
#include "common/log.h"
#include "router/start.h"

#include <stdlib.h>

#define RETRY_MS    500
#define PATIENCE_MS 2000
/* Parts of the group that a new marker names; what does not fit is declared by its owner. */
#define GROUP_MAX 1000

static void look_up(struct assignment *a);

static void retry_later(struct assignment *a)
{
    timer_start(a->loop, &a->retry, RETRY_MS);
}

static void on_retry(struct timer *t)
{
    struct assignment *a = CONTAINER_OF(t, struct assignment, retry);
    assignment_settle(a);
}

struct partition *assignment_find(struct assignment *a, const char *topic, int32_t id)
{
    struct partition *p = a->recent;
    if (p != NULL && p->id == id && strcmp(p->topic, topic) == 0)
        return p;
    for (size_t i = 0; i < a->count; i++) {
        p = a->rows[i];
        if (p->id == id && strcmp(p->topic, topic) == 0)
            return a->recent = p;
    }
    return NULL;
}

static void add(struct assignment *a, struct partition *p)
{
    if (a->count == a->cap) {
        a->cap = a->cap > 0 ? a->cap * 2 : 16;
        a->rows = xrealloc(a->rows, a->cap * sizeof(*a->rows));
    }
    p->ours = true;
    a->rows[a->count++] = p;
}

static void drop(struct assignment *a, struct partition *p)
{
    p->ours = false;
    if (a->recent == p)
        a->recent = NULL;
    partition_rewind(p);
    partition_unref(p);
}

void assignment_add(struct assignment *a, const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++)
        add(a, partition_new(partitions->elems[i].topic, partitions->elems[i].partition));
    if (a->waiting_ms == 0)
        a->waiting_ms = a->loop->now_ms;
    look_up(a);
}

void assignment_remove(struct assignment *a, const rd_kafka_topic_partition_list_t *partitions)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->rows[i];
        if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)partitions, p->topic, p->id) != NULL)
            drop(a, p);
        else
            a->rows[kept++] = p;
    }
    a->count = kept;
}

static void say_another(struct assignment *a, const struct partition *p, uint64_t generation, int64_t offset)
{
    counter_add(&a->publisher->metrics->generations, 1);
    log_error("topic_is_another", LOG_S("topic", p->topic), LOG_I("partition", p->id), LOG_I("generation", generation),
              LOG_I("offset", offset), LOG_S("meaning", "it was deleted and made anew: it is read from there"));
}

/* Calls under way still speak of the old one. */
static struct partition *replace(struct assignment *a, struct partition *p)
{
    struct partition *next = partition_new(p->topic, p->id);
    next->assigned = p->assigned;
    next->ours = true;
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i] == p)
            a->rows[i] = next;
    drop(a, p);
    return next;
}

bool assignment_asks_again(struct assignment *a, struct partition *p, int64_t offset)
{
    if (offset == p->next)
        p->leapt_to = PARTITION_NO_OFFSET; /* that was none: another leap to there is doubted anew */
    if (offset <= p->next || (p->has_holes && !p->fresh))
        return false;
    if (offset == p->leapt_to) {
        p->has_holes = true;
        return false;
    }
    log_warn("partition_leapt", LOG_S("part", p->part), LOG_I("from", p->next), LOG_I("to", offset));
    p->leapt_to = offset;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, p->topic, p->id)->offset = p->next;
    consumer_move(a->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return true;
}

struct partition *assignment_renew(struct assignment *a, struct partition *p, int64_t offset)
{
    uint64_t generation = p->generation + 1;
    struct partition *next = replace(a, p);
    say_another(a, next, generation, offset);
    partition_know(next, generation, offset, NULL);
    partition_place(next, offset);
    a->on_placed(a);
    return next;
}

void assignment_doubt(struct assignment *a)
{
    log_warn("topics_doubted", LOG_I("partitions", a->count));
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i]->known)
            replace(a, a->rows[i]);
    look_up(a);
}

static void know(struct assignment *a, const struct lookup_row *row)
{
    struct partition *p = assignment_find(a, row->topic, row->id);
    if (p == NULL || p->known)
        return; /* revoked meanwhile */
    if (row->is_foreign)
        log_info("commit_of_another_service", LOG_S("topic", row->topic), LOG_I("partition", row->id),
                 LOG_I("offset", row->committed));
    if (row->is_another)
        say_another(a, p, row->note.generation, row->low);
    partition_know(p, row->note.generation, start_offset(row, consumer_missed(a->consumer, row->topic), a->start),
                   &row->note.before);
    p->past = row->note.past;
    p->committed = row->committed;
    p->has_past = row->committed >= 0;
}

static void forget_group(struct assignment *a)
{
    for (size_t i = 0; i < a->group_count; i++)
        free(a->group[i]);
    a->group_count = 0;
}

/* All parts of all topics, of the generations that commits say. */
static void know_group(struct assignment *a, const rd_kafka_topic_partition_list_t *all)
{
    forget_group(a);
    a->group = xrealloc(a->group, ((size_t)all->cnt + 1) * sizeof(*a->group));
    for (int i = 0; i < all->cnt; i++) {
        const rd_kafka_topic_partition_t *row = &all->elems[i];
        struct commit_note note = {.generation = 1};
        struct buf part = {0};
        if (row->offset >= 0)
            (void)partition_parse_commit(lookup_metadata(row), &note);
        coordinate_append_part(&part, slice_of(row->topic), note.generation, (uint32_t)row->partition);
        buf_byte(&part, '\0');
        a->group[a->group_count++] = part.p;
    }
}

static void on_looked_up(struct lookup *l)
{
    struct assignment *a = l->owner;
    a->lookup = NULL;
    if (l->error != NULL) {
        log_warn("kafka_lookup_failed", LOG_S("reason", l->error));
        retry_later(a);
    } else {
        for (int i = 0; i < l->partitions->cnt; i++)
            know(a, &l->rows[i]);
        know_group(a, l->commits);
        a->group_is_new = !l->group_has_commits;
        a->looked = true;
        assignment_settle(a);
    }
    lookup_free(l);
}

/* Returns owned. */
static rd_kafka_topic_partition_list_t *unknown_partitions(const struct assignment *a)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)a->count);
    for (size_t i = 0; i < a->count; i++)
        if (!a->rows[i]->known)
            rd_kafka_topic_partition_list_add(list, a->rows[i]->topic, a->rows[i]->id);
    return list;
}

/* What the copies say goes into the question to Kafka. */
static void on_recalled(void *owner, rd_kafka_topic_partition_list_t *copies)
{
    struct assignment *a = owner;
    a->recalling = false;
    if (copies == NULL)
        return; /* once Redis is back they are asked for again */
    const struct lookup_question q = {
        .rk = a->consumer->rk,
        .partitions = unknown_partitions(a),
        .copies = copies,
        .topics = a->topics,
        .topic_count = a->topic_count,
        .since_ms = a->start == START_BACK ? (int64_t)(clock_wall_ms() - a->back_ms) : -1,
    };
    a->lookup = lookup_start(a->loop, &q, a, on_looked_up);
}

static bool is_all_known(const struct assignment *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (!a->rows[i]->known)
            return false;
    return true;
}

static void look_up(struct assignment *a)
{
    if (a->lookup != NULL || a->recalling || is_all_known(a) || !publisher_is_ready(a->publisher))
        return;
    a->recall = (struct copies_question){.owner = a, .on_read = on_recalled};
    a->recalling = copies_read(publisher_commands(a->publisher, COPIES_BUCKET), &a->recall) == 0;
}

void assignment_settle(struct assignment *a)
{
    look_up(a);
    if (a->reading) {
        a->again = true;
        return;
    }
    if (!a->looked || !publisher_is_ready(a->publisher))
        return;
    const char **parts = xmalloc((a->count + 1) * sizeof(*parts));
    a->read_rows = xrealloc(a->read_rows, (a->count + 1) * sizeof(*a->read_rows));
    a->read_count = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->rows[i];
        if (!p->known)
            continue;
        parts[a->read_count] = p->part;
        a->read_rows[a->read_count++] = p;
        partition_ref(p);
    }
    a->reading = true;
    a->again = false;
    publisher_read_markers(a->publisher, parts, a->read_count);
    free(parts);
}

void assignment_second(struct assignment *a)
{
    if (a->reading || a->lookup != NULL || !publisher_is_ready(a->publisher))
        return;
    bool idle = publisher_lacks_a_pipe(a->publisher);
    for (size_t i = 0; i < a->count; i++)
        idle |= a->rows[i]->ours && !a->rows[i]->placed;
    if (idle && a->count > 0)
        assignment_settle(a);
}

/* The lowest watermark: what is above it is applied again, and found to be applied. After a loss as far back as
 * gateways may not have heard what is gone now; a router that comes later sees the loss by markers that do not know
 * where its partitions begin. */
static int64_t start_of(const struct assignment *a, const struct partition *p, const struct markers_part *known)
{
    int64_t offset = known->lowest != MARKERS_NO_WATERMARK ? known->lowest : p->next;
    bool lost = (a->lost || known->unbound) && p->has_past;
    return lost ? MIN(offset, partition_past(p, a->overlap_ms)) : offset;
}

static uint64_t past_step(const struct assignment *a)
{
    return a->overlap_ms / (PAST_MAX - 2);
}

static void place(struct assignment *a, struct partition *p, const struct markers_part *known,
                  rd_kafka_topic_partition_list_t *assigned, rd_kafka_topic_partition_list_t *moved)
{
    int64_t offset = start_of(a, p, known);
    log_debug("partition_placed", LOG_S("part", p->part), LOG_I("offset", offset), LOG_I("watermark", known->lowest),
              LOG_I("position", p->next));
    p->has_past |= known->lowest != MARKERS_NO_WATERMARK;
    p->bound = p->has_past ? offset : 0;
    p->unbound = known->unbound;
    partition_place(p, offset);
    p->has_past = true;
    past_resume(&p->past, a->loop->now_ms);
    partition_remember(p, a->loop->now_ms, past_step(a));
    if (!p->assigned)
        rd_kafka_topic_partition_list_add(assigned, p->topic, p->id)->offset = offset;
    else if (p->fetched != offset)
        rd_kafka_topic_partition_list_add(moved, p->topic, p->id)->offset = offset;
    p->assigned = true;
}

static void fetch(struct consumer *c, rd_kafka_topic_partition_list_t *assigned, rd_kafka_topic_partition_list_t *moved)
{
    if (c->paused)
        consumer_resume(c);
    if (moved->cnt > 0)
        consumer_move(c, moved);
    if (assigned->cnt > 0)
        consumer_assign(c, assigned);
}

static void place_all(struct assignment *a)
{
    rd_kafka_topic_partition_list_t *assigned = rd_kafka_topic_partition_list_new((int)a->read_count);
    rd_kafka_topic_partition_list_t *moved = rd_kafka_topic_partition_list_new((int)a->read_count);
    for (size_t i = 0; i < a->read_count; i++) {
        struct partition *p = a->read_rows[i];
        struct markers_part known = publisher_part(a->publisher, i);
        if (p->ours && !p->placed)
            place(a, p, &known, assigned, moved);
    }
    if (a->consumer->state < CONSUMER_CLOSING)
        fetch(a->consumer, assigned, moved);
    rd_kafka_topic_partition_list_destroy(assigned);
    rd_kafka_topic_partition_list_destroy(moved);
}

/* The group waits for one answer, so partitions of one assignment are given together. */
static void note_waiting(struct assignment *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (!a->rows[i]->assigned)
            return;
    a->waiting_ms = 0;
}

/* ---- markers that are missing ---- */

static bool is_first_installation(const struct assignment *a)
{
    return a->group_is_new && !a->has_read;
}

static void say_missing(const struct assignment *a, size_t missing)
{
    if (is_first_installation(a))
        log_info("markers_created", LOG_I("buckets", missing));
    else
        log_error("redis_lost_buckets", LOG_I("buckets", missing),
                  LOG_S("meaning", "live events go on under a new epoch, history is refilled behind them"));
}

static bool is_read(const struct assignment *a, const char *part)
{
    for (size_t i = 0; i < a->read_count; i++)
        if (strcmp(a->read_rows[i]->part, part) == 0)
            return true;
    return false;
}

/* A new marker says of our partitions where their live events start, and of all others that nobody has said so yet. */
static size_t fields_of_new_markers(const struct assignment *a, struct redis_fn_watermark *fields)
{
    size_t n = 0;
    for (size_t i = 0; i < a->read_count; i++) {
        const struct partition *p = a->read_rows[i];
        struct markers_part known = publisher_part(a->publisher, i);
        struct slice part = slice_of(p->part);
        uint64_t start = (uint64_t)start_of(a, p, &known);
        if (p->placed || !p->ours)
            continue;
        if (p->has_past)
            fields[n++] = (struct redis_fn_watermark){.part = part, .offset = start, .field = REDIS_FN_BOUND};
        fields[n++] = (struct redis_fn_watermark){.part = part, .offset = start, .field = REDIS_FN_APPLIED};
    }
    for (size_t i = 0; i < MIN(a->group_count, GROUP_MAX); i++)
        if (!is_read(a, a->group[i]))
            fields[n++] = (struct redis_fn_watermark){.part = slice_of(a->group[i]), .field = REDIS_FN_UNBOUND};
    return n;
}

static void create_missing(struct assignment *a)
{
    struct redis_fn_watermark *fields = xmalloc((2 * a->read_count + a->group_count + 1) * sizeof(*fields));
    a->lost |= !is_first_installation(a); /* who has just come did not know any that could change */
    size_t n = fields_of_new_markers(a, fields);
    say_missing(a, publisher_missing(a->publisher));
    publisher_create_markers(a->publisher, is_first_installation(a) ? REDIS_FN_SINCE_ZERO : REDIS_FN_SINCE_NOW, fields,
                             n);
    free(fields);
}

/* ---- markers that were read ---- */

static void end_reading(struct assignment *a)
{
    a->reading = false;
    for (size_t i = 0; i < a->read_count; i++)
        partition_unref(a->read_rows[i]);
    a->read_count = 0;
}

static void go_on(struct assignment *a)
{
    a->has_read = true;
    place_all(a);
    a->lost = false;
    note_waiting(a);
    publisher_open(a->publisher);
    a->on_placed(a);
}

void assignment_on_markers(struct assignment *a, bool ok)
{
    if (ok && publisher_missing(a->publisher) > 0) {
        create_missing(a);
        return;
    }
    if (ok)
        go_on(a);
    else
        retry_later(a);
    end_reading(a);
    if (a->again)
        assignment_settle(a);
}

/* Somebody else may have been faster: what is there now is read, and decides. */
void assignment_on_markers_created(struct assignment *a, bool ok)
{
    end_reading(a);
    if (ok)
        assignment_settle(a);
    else
        retry_later(a);
}

void assignment_rewind(struct assignment *a)
{
    for (size_t i = 0; i < a->count; i++)
        partition_rewind(a->rows[i]);
}

void assignment_lose(struct assignment *a)
{
    a->lost = true;
    assignment_rewind(a);
}

void assignment_remember(struct assignment *a)
{
    for (size_t i = 0; i < a->count; i++)
        partition_remember(a->rows[i], a->loop->now_ms, past_step(a));
}

bool assignment_is_fetched(const struct assignment *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i]->assigned)
            return true;
    return false;
}

void assignment_supervise(struct assignment *a)
{
    if (a->waiting_ms != 0 && a->loop->now_ms - a->waiting_ms >= PATIENCE_MS)
        assignment_answer(a);
}

static size_t count_unassigned(const struct assignment *a)
{
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++)
        n += !a->rows[i]->assigned;
    return n;
}

void assignment_answer(struct assignment *a)
{
    if (a->waiting_ms == 0)
        return;
    a->waiting_ms = 0;
    log_warn(
        "partitions_wait", LOG_I("count", count_unassigned(a)),
        LOG_S("reason", publisher_is_ready(a->publisher) ? "Kafka does not say where they start" : "Redis is away"));
    consumer_assign_none(a->consumer);
}

void assignment_init(struct assignment *a, struct loop *l, const struct router_config *conf, struct consumer *consumer,
                     struct publisher *publisher, const char *const *topics, size_t topic_count, void *owner,
                     void (*on_placed)(struct assignment *))
{
    *a = (struct assignment){.loop = l,
                             .consumer = consumer,
                             .publisher = publisher,
                             .topics = topics,
                             .topic_count = topic_count,
                             .overlap_ms = conf->live_overlap,
                             .owner = owner,
                             .on_placed = on_placed};
    router_start_parse(conf->start, &a->start, &a->back_ms);
    timer_init(&a->retry, on_retry);
}

void assignment_release(struct assignment *a)
{
    timer_stop(&a->retry);
    for (size_t i = 0; i < a->read_count; i++)
        partition_unref(a->read_rows[i]);
    for (size_t i = 0; i < a->count; i++)
        drop(a, a->rows[i]);
    free(a->rows);
    free(a->read_rows);
    forget_group(a);
    free(a->group);
}

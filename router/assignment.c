/* A partition is added, then known (Kafka's commits), then placed (Redis' markers), and only then given to librdkafka
 * to fetch. The answer to the group may come that late; its other members wait for it, so it is given after a while
 * even if Redis does not answer, with the partitions not placed yet. */
#include "router/assignment.h"
#include "common/clock.h"
#include "common/log.h"
#include "router/start.h"

#include <stdlib.h>

#define RETRY_MS    500
#define PATIENCE_MS 2000

static void look_up(struct assignment *a);

static void retry_later(struct assignment *a)
{
    timer_start(a->loop, &a->retry, RETRY_MS);
}

static void on_retry(struct timer *t)
{
    struct assignment *a = CONTAINER_OF(t, struct assignment, retry);
    look_up(a);
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

struct partition *assignment_renew(struct assignment *a, struct partition *p, int64_t offset)
{
    struct partition *next = partition_new(p->topic, p->id);
    log_error("topic_is_another", LOG_S("topic", p->topic), LOG_I("partition", p->id),
              LOG_I("expected_offset", p->next), LOG_I("offset", offset), LOG_I("new_generation", p->generation + 1));
    partition_know(next, p->generation + 1, offset, NULL);
    partition_place(next, offset);
    next->assigned = next->ours = true;
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i] == p)
            a->rows[i] = next;
    drop(a, p);
    a->on_placed(a);
    return next;
}

static void know(struct assignment *a, const struct lookup_row *row)
{
    struct partition *p = assignment_find(a, row->topic, row->id);
    if (p == NULL || p->known)
        return; /* revoked meanwhile */
    uint64_t generation = 1;
    struct fingerprint before = {.known = false};
    if (row->committed >= 0 && partition_parse_commit(row->metadata, &generation, &before) != 0)
        log_info("commit_of_another_service", LOG_S("topic", row->topic), LOG_I("partition", row->id),
                 LOG_I("offset", row->committed));
    partition_know(p, generation, start_offset(row, a->start), &before);
    p->committed = row->committed;
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
        a->group_is_new = !l->group_has_commits;
        a->looked = true;
        look_up(a);
        assignment_settle(a);
    }
    lookup_free(l);
}

static void look_up(struct assignment *a)
{
    if (a->lookup != NULL)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)a->count);
    for (size_t i = 0; i < a->count; i++)
        if (!a->rows[i]->known)
            rd_kafka_topic_partition_list_add(list, a->rows[i]->topic, a->rows[i]->id);
    if (list->cnt == 0) {
        rd_kafka_topic_partition_list_destroy(list);
        return;
    }
    int64_t since_ms = a->start == START_BACK ? (int64_t)(clock_wall_ms() - a->back_ms) : -1;
    a->lookup = lookup_start(a->loop, a->consumer->rk, list, a->topics, a->topic_count, since_ms, a, on_looked_up);
}

void assignment_settle(struct assignment *a)
{
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
    publisher_read_markers(a->publisher, parts, a->read_count,
                           a->group_is_new && !a->has_read ? REDIS_FN_SINCE_ZERO : REDIS_FN_SINCE_NOW);
    free(parts);
}

/* Starts a partition at the lowest watermark: what is above it is applied again, and found to be applied. */
static void place(struct assignment *a, struct partition *p, int64_t watermark,
                  rd_kafka_topic_partition_list_t *assigned, rd_kafka_topic_partition_list_t *moved)
{
    int64_t offset = watermark != MARKERS_NO_WATERMARK ? watermark : p->next;
    log_debug("partition_placed", LOG_S("part", p->part), LOG_I("offset", offset), LOG_I("watermark", watermark),
              LOG_I("position", p->next));
    partition_place(p, offset);
    if (!p->assigned)
        rd_kafka_topic_partition_list_add(assigned, p->topic, p->id)->offset = offset;
    else if (p->fetched != offset)
        rd_kafka_topic_partition_list_add(moved, p->topic, p->id)->offset = offset;
    p->assigned = true;
}

static void place_all(struct assignment *a)
{
    rd_kafka_topic_partition_list_t *assigned = rd_kafka_topic_partition_list_new((int)a->read_count);
    rd_kafka_topic_partition_list_t *moved = rd_kafka_topic_partition_list_new((int)a->read_count);
    for (size_t i = 0; i < a->read_count; i++) {
        struct partition *p = a->read_rows[i];
        if (p->ours && !p->placed)
            place(a, p, publisher_lowest(a->publisher, i), assigned, moved);
    }
    if (a->consumer->paused)
        consumer_resume(a->consumer);
    if (moved->cnt > 0)
        consumer_move(a->consumer, moved);
    if (assigned->cnt > 0)
        consumer_assign(a->consumer, assigned);
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

static void say_created(struct assignment *a)
{
    size_t created = publisher_created(a->publisher);
    if (created == 0)
        return;
    if (a->group_is_new && !a->has_read)
        log_info("markers_created", LOG_I("buckets", created));
    else
        log_error("redis_lost_buckets", LOG_I("buckets", created),
                  LOG_S("meaning", "what their logs held is gone; live events go on under a new epoch"));
}

void assignment_on_markers(struct assignment *a, bool ok)
{
    a->reading = false;
    if (ok) {
        say_created(a);
        a->has_read = true;
        place_all(a);
        note_waiting(a);
        publisher_open(a->publisher);
        a->on_placed(a);
    } else
        retry_later(a);
    for (size_t i = 0; i < a->read_count; i++)
        partition_unref(a->read_rows[i]);
    a->read_count = 0;
    if (a->again)
        assignment_settle(a);
}

void assignment_rewind(struct assignment *a)
{
    for (size_t i = 0; i < a->count; i++)
        partition_rewind(a->rows[i]);
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

void assignment_answer(struct assignment *a)
{
    if (a->waiting_ms == 0)
        return;
    a->waiting_ms = 0;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)a->count);
    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->rows[i];
        if (p->assigned)
            continue;
        rd_kafka_topic_partition_list_add(list, p->topic, p->id)->offset = RD_KAFKA_OFFSET_END;
        p->assigned = true;
    }
    log_warn("partitions_wait", LOG_I("count", list->cnt),
             LOG_S("reason", a->looked ? "Redis is away" : "Kafka does not say where they start"));
    if (list->cnt > 0)
        consumer_assign(a->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
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
}

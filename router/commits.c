/* A position goes with the fingerprint of the record before it, wherever it is said. */
#include "router/commits.h"

static void add(rd_kafka_topic_partition_list_t *list, struct partition *p)
{
    struct buf text = {0};
    rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(list, p->topic, p->id);
    element->offset = partition_position(p);
    partition_commit_text(p, &text);
    consumer_set_metadata(element, buf_slice(&text));
    buf_release(&text);
    p->copied = p->before.known;
}

static bool is_due(const struct partition *p)
{
    int64_t position = partition_position(p);
    return p->known && position >= 0 && position > p->committed;
}

/* Returns owned, NULL for nothing. */
static rd_kafka_topic_partition_list_t *collect(struct commits *c, const rd_kafka_topic_partition_list_t *among)
{
    const struct assignment *a = c->assignment;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)a->count);
    rd_kafka_topic_partition_list_t *set = (rd_kafka_topic_partition_list_t *)among;
    for (size_t i = 0; i < a->count; i++) {
        struct partition *p = a->rows[i];
        if (!is_due(p) || (set != NULL && rd_kafka_topic_partition_list_find(set, p->topic, p->id) == NULL))
            continue;
        add(list, p);
        p->committed = partition_position(p);
    }
    if (list->cnt > 0) {
        counter_add(&c->metrics->commits, 1);
        return list;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

/* Writes the copies, and frees. */
static void end(struct commits *c, rd_kafka_topic_partition_list_t *list)
{
    copies_write(publisher_commands(c->publisher, COPIES_BUCKET), list);
    rd_kafka_topic_partition_list_destroy(list);
}

void commits_send(struct commits *c)
{
    rd_kafka_topic_partition_list_t *list = collect(c, NULL);
    if (list == NULL)
        return;
    consumer_commit(c->consumer, list);
    end(c, list);
}

void commits_send_now(struct commits *c, const rd_kafka_topic_partition_list_t *among, int wait_ms)
{
    rd_kafka_topic_partition_list_t *list = collect(c, among);
    if (list == NULL)
        return;
    consumer_commit_now(c->consumer, list, wait_ms);
    end(c, list);
}

void commits_fail(struct commits *c, const rd_kafka_topic_partition_list_t *partitions)
{
    counter_add(&c->metrics->commit_failures, 1);
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *element = &partitions->elems[i];
        struct partition *p = assignment_find(c->assignment, element->topic, element->partition);
        if (p != NULL)
            p->committed = PARTITION_NO_OFFSET;
    }
}

void commits_copy(struct commits *c)
{
    const struct assignment *a = c->assignment;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)a->count);
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i]->placed && partition_position(a->rows[i]) >= 0)
            add(list, a->rows[i]);
    if (list->cnt > 0)
        end(c, list);
    else
        rd_kafka_topic_partition_list_destroy(list);
}

void commits_copy_first(struct commits *c)
{
    const struct assignment *a = c->assignment;
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i]->last != NULL && !a->rows[i]->copied) {
            commits_copy(c);
            return;
        }
}

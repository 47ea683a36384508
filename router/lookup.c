/* One thread per question; questions are as rare as rebalances. */
#include "router/lookup.h"

#include <stdlib.h>

#define LOOKUP_TIMEOUT_MS 5000

static bool failed(struct lookup *l, const char *what, rd_kafka_resp_err_t err)
{
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (l->error == NULL)
        l->error = xasprintf("%s: %s", what, rd_kafka_err2str(err));
    return true;
}

/* A topic that does not exist yet has no partitions, and is no error. */
static int add_topic(struct lookup *l, const char *name)
{
    const rd_kafka_metadata_t *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(l->rk, name, NULL);
    if (topic == NULL)
        return failed(l, name, rd_kafka_last_error()) ? -1 : 0;
    rd_kafka_resp_err_t err = rd_kafka_metadata(l->rk, 0, topic, &metadata, LOOKUP_TIMEOUT_MS);
    rd_kafka_topic_destroy(topic);
    if (failed(l, name, err))
        return -1;
    for (int t = 0; t < metadata->topic_cnt; t++)
        for (int i = 0; i < metadata->topics[t].partition_cnt; i++)
            rd_kafka_topic_partition_list_add(l->commits, name, metadata->topics[t].partitions[i].id);
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

static int find_commits(struct lookup *l)
{
    l->commits = rd_kafka_topic_partition_list_new(l->partitions->cnt);
    for (size_t i = 0; i < l->topic_count; i++)
        if (add_topic(l, l->topics[i]) != 0)
            return -1;
    for (int i = 0; i < l->partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *asked = &l->partitions->elems[i];
        if (rd_kafka_topic_partition_list_find(l->commits, asked->topic, asked->partition) == NULL)
            rd_kafka_topic_partition_list_add(l->commits, asked->topic, asked->partition);
    }
    if (l->commits->cnt == 0)
        return 0;
    if (failed(l, "commits", rd_kafka_committed(l->rk, l->commits, LOOKUP_TIMEOUT_MS)))
        return -1;
    for (int i = 0; i < l->commits->cnt; i++) {
        if (failed(l, l->commits->elems[i].topic, l->commits->elems[i].err))
            return -1;
        l->group_has_commits |= l->commits->elems[i].offset >= 0;
    }
    return 0;
}

static bool topic_has_commits(const struct lookup *l, const char *topic)
{
    for (int i = 0; i < l->commits->cnt; i++)
        if (l->commits->elems[i].offset >= 0 && strcmp(l->commits->elems[i].topic, topic) == 0)
            return true;
    return false;
}

struct slice lookup_metadata(const rd_kafka_topic_partition_t *commit)
{
    struct slice text = slice_make(commit->metadata, commit->metadata_size);
    while (text.n > 0 && text.p[text.n - 1] == '\0')
        text.n--;
    return text;
}

static void fill_commit(struct lookup *l, struct lookup_row *row)
{
    const rd_kafka_topic_partition_t *commit = rd_kafka_topic_partition_list_find(l->commits, row->topic, row->id);
    row->topic_has_commits = topic_has_commits(l, row->topic);
    if (commit == NULL || commit->offset < 0)
        return;
    row->committed = commit->offset;
    row->metadata = lookup_metadata(commit);
}

static int fill_ends(struct lookup *l, struct lookup_row *row)
{
    rd_kafka_resp_err_t err =
        rd_kafka_query_watermark_offsets(l->rk, row->topic, row->id, &row->low, &row->high, LOOKUP_TIMEOUT_MS);
    if (failed(l, row->topic, err))
        return -1;
    row->at_time = row->high;
    if (l->since_ms < 0)
        return 0;
    rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(times, row->topic, row->id)->offset = l->since_ms;
    err = rd_kafka_offsets_for_times(l->rk, times, LOOKUP_TIMEOUT_MS);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
        err = times->elems[0].err;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR && times->elems[0].offset >= 0)
        row->at_time = times->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(times);
    return failed(l, row->topic, err) ? -1 : 0;
}

static void ask(struct lookup *l)
{
    if (!l->ends && find_commits(l) != 0)
        return;
    for (int i = 0; i < l->partitions->cnt; i++) {
        struct lookup_row *row = &l->rows[i];
        if (!l->ends)
            fill_commit(l, row);
        if (row->committed < 0 && fill_ends(l, row) != 0)
            return;
    }
}

static void on_post(struct post *p)
{
    struct lookup *l = CONTAINER_OF(p, struct lookup, post);
    l->on_done(l);
}

static void *run(void *arg)
{
    struct lookup *l = arg;
    ask(l);
    loop_post(l->loop, &l->post, on_post);
    return NULL;
}

static struct lookup *new_lookup(struct loop *loop, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions,
                                 int64_t since_ms, void *owner, void (*on_done)(struct lookup *))
{
    struct lookup *l = xcalloc(1, sizeof(*l));
    *l = (struct lookup){.loop = loop,
                         .rk = rk,
                         .partitions = partitions,
                         .since_ms = since_ms,
                         .owner = owner,
                         .on_done = on_done,
                         .rows = xcalloc((size_t)partitions->cnt + 1, sizeof(*l->rows))};
    for (int i = 0; i < partitions->cnt; i++)
        l->rows[i] = (struct lookup_row){.topic = partitions->elems[i].topic,
                                         .id = partitions->elems[i].partition,
                                         .committed = -1,
                                         .low = -1,
                                         .high = -1,
                                         .at_time = -1};
    return l;
}

static struct lookup *begin(struct lookup *l)
{
    if (pthread_create(&l->thread, NULL, run, l) != 0)
        BUG("cannot start a thread");
    return l;
}

struct lookup *lookup_start(struct loop *loop, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions,
                            const char *const *topics, size_t topic_count, int64_t since_ms, void *owner,
                            void (*on_done)(struct lookup *))
{
    struct lookup *l = new_lookup(loop, rk, partitions, since_ms, owner, on_done);
    l->topics = topics;
    l->topic_count = topic_count;
    return begin(l);
}

struct lookup *lookup_start_ends(struct loop *loop, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *partitions,
                                 int64_t since_ms, void *owner, void (*on_done)(struct lookup *))
{
    struct lookup *l = new_lookup(loop, rk, partitions, since_ms, owner, on_done);
    l->ends = true;
    return begin(l);
}

void lookup_free(struct lookup *l)
{
    pthread_join(l->thread, NULL);
    if (l->commits != NULL)
        rd_kafka_topic_partition_list_destroy(l->commits);
    rd_kafka_topic_partition_list_destroy(l->partitions);
    free(l->rows);
    free(l->error);
    free(l);
}

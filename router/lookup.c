/* One thread per question; questions are as rare as rebalances. A commit counts only for the topic that it was made on:
 * the record before it must be the one that its metadata remembers. Where that record is gone (retention, compaction)
 * nothing is concluded, unless the log ends below the commit. */
#include "router/lookup.h"
#include "common/log.h"
#include "router/consumer.h"
#include "router/peek.h"

#include <inttypes.h>
#include <stdio.h>
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
    if (failed(l, "partitions of a topic", err))
        return -1;
    for (int t = 0; t < metadata->topic_cnt; t++)
        for (int i = 0; i < metadata->topics[t].partition_cnt; i++)
            rd_kafka_topic_partition_list_add(l->commits, name, metadata->topics[t].partitions[i].id);
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

/* A commit of an earlier generation is older whatever its offset; one of another service has none. */
static bool is_newer(const rd_kafka_topic_partition_t *a, const rd_kafka_topic_partition_t *b)
{
    struct commit_note of_a, of_b;
    if (partition_parse_commit(lookup_metadata(a), &of_a) != 0)
        return false;
    if (b->offset < 0 || partition_parse_commit(lookup_metadata(b), &of_b) != 0)
        return true;
    return of_a.generation != of_b.generation ? of_a.generation > of_b.generation : a->offset > b->offset;
}

/* Kafka forgets a group's commits of a topic that is deleted, some time after it is gone; we do not. */
static void add_copies(struct lookup *l)
{
    for (int i = 0; l->copies != NULL && i < l->copies->cnt; i++) {
        const rd_kafka_topic_partition_t *copy = &l->copies->elems[i];
        rd_kafka_topic_partition_t *commit =
            rd_kafka_topic_partition_list_find(l->commits, copy->topic, copy->partition);
        if (commit == NULL || !is_newer(copy, commit))
            continue;
        commit->offset = copy->offset;
        consumer_set_metadata(commit, lookup_metadata(copy));
    }
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
    for (int i = 0; i < l->commits->cnt; i++)
        if (failed(l, l->commits->elems[i].topic, l->commits->elems[i].err))
            return -1;
    add_copies(l);
    for (int i = 0; i < l->commits->cnt; i++)
        l->group_has_commits |= l->commits->elems[i].offset >= 0;
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
    row->is_foreign = partition_parse_commit(lookup_metadata(commit), &row->note) != 0;
}

static int fill_ends(struct lookup *l, struct lookup_row *row)
{
    rd_kafka_resp_err_t err =
        rd_kafka_query_watermark_offsets(l->rk, row->topic, row->id, &row->low, &row->high, LOOKUP_TIMEOUT_MS);
    if (failed(l, "ends of a partition", err))
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
    return failed(l, "offsets by time", err) ? -1 : 0;
}

/* The commit's place in the list of all says so too. */
static void start_generation(struct lookup *l, struct lookup_row *row)
{
    rd_kafka_topic_partition_t *commit = rd_kafka_topic_partition_list_find(l->commits, row->topic, row->id);
    char text[32];
    int n = snprintf(text, sizeof(text), "tg1 %" PRIu64, ++row->note.generation);
    row->is_another = true;
    row->committed = -1;
    row->note.before = (struct fingerprint){.known = false};
    row->note.past = (struct past){.count = 0};
    commit->offset = row->low;
    consumer_set_metadata(commit, slice_make(text, (size_t)n));
}

static bool is_same(struct fingerprint a, struct fingerprint b)
{
    return a.timestamp_ms == b.timestamp_ms && a.hash == b.hash;
}

/* Whether the commit can be judged by what stood before it; -1: Kafka did not say. */
static int judge_record(struct lookup *l, struct lookup_row *row, const struct peek *peek)
{
    if (!peek->record.known)
        return 0; /* it is gone, or was not read in time */
    if (row->note.before.known && !is_same(peek->record, row->note.before)) {
        if (fill_ends(l, row) != 0)
            return -1;
        start_generation(l, row);
    } else
        row->note.before = peek->record;
    return 1;
}

/* The same by where the log ends. If it reaches beyond the commit without that record, it may have grown just now. */
static int judge_end(struct lookup *l, struct lookup_row *row)
{
    if (fill_ends(l, row) != 0)
        return -1;
    if (row->high < row->committed)
        start_generation(l, row);
    return row->committed < 0 || row->low >= row->committed;
}

/* Peeks before the commits of rows that are not judged, and judges those that can be. */
static int judge_rows(struct lookup *l, bool *judged, int (*otherwise)(struct lookup *, struct lookup_row *))
{
    struct peek *peeks = xcalloc((size_t)l->partitions->cnt + 1, sizeof(*peeks));
    size_t count = 0, at = 0;
    for (int i = 0; i < l->partitions->cnt; i++)
        if (!judged[i])
            peeks[count++] =
                (struct peek){.topic = l->rows[i].topic, .id = l->rows[i].id, .offset = l->rows[i].committed - 1};
    peek_records(l->rk, peeks, count, LOOKUP_TIMEOUT_MS);
    int result = 0;
    for (int i = 0; i < l->partitions->cnt && result >= 0; i++) {
        if (judged[i])
            continue;
        result = judge_record(l, &l->rows[i], &peeks[at++]);
        if (result == 0 && otherwise != NULL)
            result = otherwise(l, &l->rows[i]);
        judged[i] = result > 0;
    }
    free(peeks);
    return result >= 0 ? 0 : -1;
}

/* Compares what commits remember with what stands there now. */
static void judge_commits(struct lookup *l)
{
    bool *judged = xcalloc((size_t)l->partitions->cnt + 1, sizeof(*judged));
    for (int i = 0; i < l->partitions->cnt; i++)
        judged[i] = l->rows[i].committed <= 0;
    if (judge_rows(l, judged, judge_end) == 0 && judge_rows(l, judged, NULL) == 0)
        for (int i = 0; i < l->partitions->cnt; i++)
            if (!judged[i])
                log_info("commit_not_compared", LOG_S("topic", l->rows[i].topic), LOG_I("partition", l->rows[i].id),
                         LOG_I("offset", l->rows[i].committed));
    free(judged);
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
    judge_commits(l);
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

struct lookup *lookup_start(struct loop *loop, const struct lookup_question *q, void *owner,
                            void (*on_done)(struct lookup *))
{
    struct lookup *l = xcalloc(1, sizeof(*l));
    *l = (struct lookup){.loop = loop,
                         .rk = q->rk,
                         .partitions = q->partitions,
                         .copies = q->copies,
                         .topics = q->topics,
                         .topic_count = q->topic_count,
                         .since_ms = q->since_ms,
                         .ends = q->ends,
                         .owner = owner,
                         .on_done = on_done,
                         .rows = xcalloc((size_t)q->partitions->cnt + 1, sizeof(*l->rows))};
    for (int i = 0; i < q->partitions->cnt; i++)
        l->rows[i] = (struct lookup_row){.topic = q->partitions->elems[i].topic,
                                         .id = q->partitions->elems[i].partition,
                                         .committed = -1,
                                         .note = {.generation = 1},
                                         .low = -1,
                                         .high = -1,
                                         .at_time = -1};
    if (pthread_create(&l->thread, NULL, run, l) != 0)
        BUG("cannot start a thread");
    return l;
}

void lookup_free(struct lookup *l)
{
    pthread_join(l->thread, NULL);
    if (l->commits != NULL)
        rd_kafka_topic_partition_list_destroy(l->commits);
    if (l->copies != NULL)
        rd_kafka_topic_partition_list_destroy(l->copies);
    rd_kafka_topic_partition_list_destroy(l->partitions);
    free(l->rows);
    free(l->error);
    free(l);
}

/* One HSET for each commit, one HGETALL for each lookup. */
#include "router/copies.h"
#include "common/log.h"
#include "common/target.h"
#include "router/consumer.h"
#include "router/lookup.h"

#include <stdlib.h>

/* The texts of a row, one behind the other: "topic/partition", "offset metadata". */
static size_t append_row(struct buf *out, const rd_kafka_topic_partition_t *commit)
{
    size_t start = out->n;
    buf_printf(out, "%s/%d", commit->topic, commit->partition);
    size_t field = out->n - start;
    buf_u64(out, (uint64_t)commit->offset);
    buf_byte(out, ' ');
    buf_append(out, lookup_metadata(commit));
    return field;
}

void copies_write(struct redis_commands *rc, const rd_kafka_topic_partition_list_t *commits)
{
    char key[TARGET_NAME_SIZE];
    size_t count = (size_t)commits->cnt, *ends = xmalloc(2 * count * sizeof(*ends));
    struct slice *argv = xmalloc((2 + 2 * count) * sizeof(*argv));
    struct buf text = {0};
    for (size_t i = 0; i < count; i++) {
        size_t start = text.n;
        ends[2 * i] = start + append_row(&text, &commits->elems[i]);
        ends[2 * i + 1] = text.n;
    }
    argv[0] = SLICE("HSET");
    argv[1] = target_commits(COPIES_BUCKET, key);
    for (size_t i = 0, start = 0; i < 2 * count; start = ends[i++])
        argv[2 + i] = slice_make(text.p + start, ends[i] - start);
    (void)redis_commands_send(rc, argv, 2 + 2 * count, NULL, NULL);
    buf_release(&text);
    free(argv);
    free(ends);
}

/* A field that is none of ours is passed over. */
static void add_copy(rd_kafka_topic_partition_list_t *out, struct slice field, struct slice text)
{
    const char *slash = field.n > 0 ? memrchr(field.p, '/', field.n) : NULL;
    uint64_t partition, offset;
    if (slash == NULL || slice_to_u64(slice_from(field, (size_t)(slash - field.p) + 1), &partition) != 0 ||
        partition > INT32_MAX || slice_to_u64(slice_cut(&text, ' '), &offset) != 0 || offset > INT64_MAX)
        return;
    char *topic = slice_dup(slice_make(field.p, (size_t)(slash - field.p)));
    rd_kafka_topic_partition_t *copy = rd_kafka_topic_partition_list_add(out, topic, (int32_t)partition);
    copy->offset = (int64_t)offset;
    consumer_set_metadata(copy, text);
    free(topic);
}

static void on_reply(void *arg, const redisReply *reply)
{
    struct copies_question *q = arg;
    if (reply == NULL) {
        q->on_read(q->owner, NULL);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        log_warn("commit_copies_unread", LOG_S("reply", reply->str));
    rd_kafka_topic_partition_list_t *out = rd_kafka_topic_partition_list_new((int)reply->elements / 2);
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *field = reply->element[i], *text = reply->element[i + 1];
        add_copy(out, slice_make(field->str, field->len), slice_make(text->str, text->len));
    }
    q->on_read(q->owner, out);
}

int copies_read(struct redis_commands *rc, struct copies_question *q)
{
    char key[TARGET_NAME_SIZE];
    const struct slice argv[] = {SLICE("HGETALL"), target_commits(COPIES_BUCKET, key)};
    return redis_commands_send(rc, argv, ARRAY_LEN(argv), on_reply, q);
}

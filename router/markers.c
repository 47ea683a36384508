/* A reading is one pipelined burst: HMGET of every bucket that the node has, then a call for each marker that is
 * missing. What a reply belongs to is told by the cell that was sent with the command. */
#include "router/markers.h"
#include "common/log.h"

#include <inttypes.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* Epochs stay below 2^53, where Lua's numbers are exact. */
static uint64_t random_epoch(void)
{
    uint64_t epoch = 0;
    if (RAND_bytes((unsigned char *)&epoch, sizeof(epoch)) != 1)
        BUG("no random bytes");
    return (epoch >> 12) + 1;
}

static bool reply_u64(const redisReply *reply, uint64_t *out)
{
    return reply->type == REDIS_REPLY_STRING && slice_to_u64(slice_make(reply->str, reply->len), out) == 0;
}

/* Each bucket has a cell that holds its number, so that a pointer to it tells both. */
static struct markers *of_cell(const uint16_t *cell)
{
    return CONTAINER_OF(cell - *cell, struct markers, cells[0]);
}

static bool is_own(const struct markers *m, unsigned bucket)
{
    return m->home[bucket] == m->self;
}

static void ask(struct markers *m, unsigned bucket, redis_reply_cb cb)
{
    if (redis_commands_send(m->rc, m->scratch.argv, m->scratch.argc, cb, &m->cells[bucket]) != 0)
        m->failed = true;
    else
        m->waiting++;
}

static void end(struct markers *m)
{
    m->reading = false;
    m->lost = false;
    m->ops->on_read(m, !m->failed);
}

static void fail(struct markers *m, const redisReply *reply)
{
    if (!m->failed && reply != NULL && reply->type == REDIS_REPLY_ERROR)
        log_warn("markers_unreadable", LOG_S("address", m->rc->link.label), LOG_S("reply", reply->str));
    m->failed = true;
}

static void on_created(void *arg, const redisReply *reply)
{
    struct markers *m = of_cell(arg);
    unsigned bucket = *(uint16_t *)arg;
    uint64_t epoch;
    if (redis_fn_result(reply, &epoch) == REDIS_FN_OK)
        m->epochs[bucket] = epoch;
    else
        fail(m, reply);
    if (--m->waiting == 0)
        end(m);
}

/* One epoch for all that are made together; whoever was first in a bucket wins there. */
static void create_missing(struct markers *m)
{
    uint64_t epoch = random_epoch();
    for (size_t i = 0; i < m->missing_count; i++) {
        redis_fn_mark(&m->scratch, (struct redis_fn_pipe){.name = SLICE("")}, m->missing[i], epoch, m->create, NULL, 0);
        ask(m, m->missing[i], on_created);
    }
    m->created = m->missing_count;
    if (m->waiting == 0)
        end(m);
}

static void note_watermark(struct markers *m, size_t part, const redisReply *reply)
{
    uint64_t offset;
    if (!reply_u64(reply, &offset))
        return;
    if (m->lowest[part] == MARKERS_NO_WATERMARK || (int64_t)offset < m->lowest[part])
        m->lowest[part] = (int64_t)offset;
}

static void on_marker(void *arg, const redisReply *reply)
{
    struct markers *m = of_cell(arg);
    unsigned bucket = *(uint16_t *)arg;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 + m->part_count)
        fail(m, reply);
    else if (!reply_u64(reply->element[0], &m->epochs[bucket]))
        m->missing[m->missing_count++] = bucket;
    else
        for (size_t i = 0; i < m->part_count; i++)
            note_watermark(m, i, reply->element[1 + i]);
    if (--m->waiting > 0)
        return;
    if (m->missing_count > 0 && !m->failed)
        create_missing(m);
    else
        end(m);
}

void markers_read(struct markers *m, const char *const *parts, size_t count, enum redis_fn_create create)
{
    assert(!m->reading && redis_commands_is_up(m->rc));
    m->reading = true;
    m->failed = false;
    m->waiting = m->missing_count = m->created = 0;
    m->part_count = count;
    m->create = create;
    m->lowest = xrealloc(m->lowest, (count + 1) * sizeof(*m->lowest));
    m->argv = xrealloc(m->argv, (count + 3) * sizeof(*m->argv));
    m->argv[0] = SLICE("HMGET");
    m->argv[2] = SLICE("epoch");
    for (size_t i = 0; i < count; i++) {
        m->lowest[i] = MARKERS_NO_WATERMARK;
        m->argv[3 + i] = slice_of(parts[i]);
    }
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        char key[TARGET_NAME_SIZE];
        if (!is_own(m, bucket))
            continue;
        m->argv[1] = target_marker(bucket, key);
        redis_commands_send(m->rc, m->argv, 3 + count, on_marker, &m->cells[bucket]);
        m->waiting++;
    }
}

static void on_checked(void *arg, const redisReply *reply)
{
    struct markers *m = of_cell(arg);
    unsigned bucket = *(uint16_t *)arg;
    uint64_t epoch = 0;
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR || m->reading || m->lost || !is_own(m, bucket))
        return;
    if (reply_u64(reply, &epoch) && epoch == m->epochs[bucket])
        return;
    m->lost = true;
    m->ops->on_lost(m);
}

void markers_check(struct markers *m, unsigned count)
{
    for (unsigned i = 0; i < count && !m->reading && redis_commands_is_up(m->rc); i++) {
        unsigned bucket = m->check_bucket;
        m->check_bucket = (bucket + 1) % TARGET_BUCKETS;
        char key[TARGET_NAME_SIZE];
        const struct slice argv[] = {SLICE("HGET"), target_marker(bucket, key), SLICE("epoch")};
        if (is_own(m, bucket))
            redis_commands_send(m->rc, argv, ARRAY_LEN(argv), on_checked, &m->cells[bucket]);
    }
}

void markers_init(struct markers *m, struct redis_commands *rc, const uint16_t *home, uint16_t self,
                  const struct markers_ops *ops, void *owner)
{
    *m = (struct markers){.rc = rc, .home = home, .self = self, .ops = ops, .owner = owner};
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        m->cells[bucket] = (uint16_t)bucket;
}

void markers_release(struct markers *m)
{
    free(m->argv);
    free(m->lowest);
    redis_fn_call_release(&m->scratch);
}

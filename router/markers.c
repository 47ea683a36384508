/* A reading is one pipelined burst, HMGET of every bucket that the node has; making what is missing is another. What a
 * reply belongs to is told by the cell that was sent with the command. New epochs are in force only when the reading
 * has ended and its owner knows of it: a call that was queued under an old one must not be sent under a new one. */
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

static void fail(struct markers *m, const redisReply *reply)
{
    if (!m->failed && reply != NULL && reply->type == REDIS_REPLY_ERROR)
        log_warn("markers_unreadable", LOG_S("address", m->rc->link.label), LOG_S("reply", reply->str));
    m->failed = true;
}

/* ---- making those that are missing ---- */

static void end_creation(struct markers *m)
{
    m->reading = false;
    m->ops->on_created(m, !m->failed);
}

static void on_created(void *arg, const redisReply *reply)
{
    struct markers *m = of_cell(arg);
    if (redis_fn_result(reply, NULL) != REDIS_FN_OK)
        fail(m, reply);
    if (--m->waiting == 0)
        end_creation(m);
}

/* One epoch for all that are made together; whoever was first in a bucket wins there, which the next reading shows. */
void markers_create(struct markers *m, enum redis_fn_create create, const struct redis_fn_watermark *fields,
                    size_t count)
{
    assert(!m->reading && m->waiting == 0);
    static const struct redis_fn_pipe no_pipe = {.name = {"", 0}};
    uint64_t epoch = random_epoch();
    m->reading = true;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        if (!is_own(m, bucket) || m->fresh[bucket] != 0)
            continue;
        redis_fn_mark(&m->scratch, no_pipe, bucket, epoch, create, fields, count);
        ask(m, bucket, on_created);
    }
    if (m->waiting == 0)
        end_creation(m);
}

/* ---- reading ---- */

static void take_epochs(struct markers *m)
{
    bool changed = false;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (is_own(m, bucket))
            changed |= m->epochs[bucket] != 0 && m->epochs[bucket] != m->fresh[bucket];
    if (changed)
        m->ops->on_changed(m);
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (is_own(m, bucket) && m->fresh[bucket] != 0)
            m->epochs[bucket] = m->fresh[bucket];
}

static void end(struct markers *m)
{
    m->reading = false;
    m->lost = false;
    if (!m->failed)
        take_epochs(m);
    m->ops->on_read(m, !m->failed);
}

/* Whether this marker misses what came before, and does not know where live events start. */
static bool note_part(struct markers_part *part, const redisReply *watermark, const redisReply *bound, bool since_zero)
{
    uint64_t offset;
    bool known = reply_u64(watermark, &offset), unbound;
    if (known && (part->lowest == MARKERS_NO_WATERMARK || (int64_t)offset < part->lowest))
        part->lowest = (int64_t)offset;
    if (bound->type == REDIS_REPLY_STRING)
        unbound = !reply_u64(bound, &offset);
    else
        unbound = !known && !since_zero;
    part->unbound |= unbound;
    return unbound;
}

enum { EPOCH, SINCE, REFILLING, FIRST_PART }; /* in a reply */

static void note_marker(struct markers *m, unsigned bucket, redisReply *const *fields)
{
    uint64_t refilling;
    if (!reply_u64(fields[EPOCH], &m->fresh[bucket])) {
        m->missing++;
        return;
    }
    bool since_zero = fields[SINCE]->type == REDIS_REPLY_STRING && strcmp(fields[SINCE]->str, "0") == 0;
    bool incomplete = reply_u64(fields[REFILLING], &refilling) && refilling > 0;
    for (size_t i = 0; i < m->part_count; i++)
        incomplete |= note_part(&m->parts[i], fields[FIRST_PART + 2 * i], fields[FIRST_PART + 2 * i + 1], since_zero);
    m->incomplete[bucket] = incomplete;
    m->refilling += incomplete;
}

static void on_marker(void *arg, const redisReply *reply)
{
    struct markers *m = of_cell(arg);
    unsigned bucket = *(uint16_t *)arg;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != FIRST_PART + 2 * m->part_count)
        fail(m, reply);
    else
        note_marker(m, bucket, reply->element);
    if (--m->waiting == 0)
        end(m);
}

/* HMGET key epoch since refilling {part r:part}… */
static size_t write_question(struct markers *m, const char *const *parts)
{
    size_t n = 0, at = 0;
    buf_clear(&m->names);
    for (size_t i = 0; i < m->part_count; i++)
        buf_printf(&m->names, "r:%s", parts[i]);
    m->argv[n++] = SLICE("HMGET");
    n++; /* the key */
    m->argv[n++] = SLICE("epoch");
    m->argv[n++] = SLICE("since");
    m->argv[n++] = SLICE(REDIS_FN_REFILLING);
    for (size_t i = 0; i < m->part_count; i++) {
        m->argv[n] = slice_of(parts[i]);
        m->argv[n + 1] = slice_make(m->names.p + at, m->argv[n].n + 2);
        at += m->argv[n].n + 2;
        n += 2;
    }
    return n;
}

void markers_read(struct markers *m, const char *const *parts, size_t count)
{
    assert(!m->reading && redis_commands_is_up(m->rc));
    m->reading = true;
    m->failed = false;
    m->waiting = m->missing = m->refilling = 0;
    m->part_count = count;
    m->parts = xrealloc(m->parts, (count + 1) * sizeof(*m->parts));
    m->argv = xrealloc(m->argv, (2 * count + 5) * sizeof(*m->argv));
    for (size_t i = 0; i < count; i++)
        m->parts[i] = (struct markers_part){.lowest = MARKERS_NO_WATERMARK};
    size_t argc = write_question(m, parts);
    memset(m->fresh, 0, sizeof(m->fresh));
    memset(m->incomplete, 0, sizeof(m->incomplete));
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        char key[TARGET_NAME_SIZE];
        if (!is_own(m, bucket))
            continue;
        m->argv[1] = target_marker(bucket, key);
        redis_commands_send(m->rc, m->argv, argc, on_marker, &m->cells[bucket]);
        m->waiting++;
    }
}

/* ---- comparing ---- */

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
    free(m->parts);
    buf_release(&m->names);
    redis_fn_call_release(&m->scratch);
}

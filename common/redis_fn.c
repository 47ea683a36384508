/* Calls of the function library and what they answer. The arguments that are not names or payload go as one row of
 * MessagePack values, in the order in which tg1.lua unpacks them: the two files change together. */
#include "common/redis_fn.h"

#include "common/event_id.h"
#include "common/mp.h"

#include <stdio.h>
#include <stdlib.h>

/* Made from tg1.lua by embed.cmake. */
extern const char tg1_lua[];
extern const size_t tg1_lua_size;

struct slice redis_fn_source(void)
{
    return slice_make(tg1_lua, tg1_lua_size);
}

unsigned redis_fn_source_version(void)
{
    const char *declared = strstr(tg1_lua, "\nlocal VERSION = ");
    assert(declared != NULL);
    return (unsigned)strtoul(declared + strlen("\nlocal VERSION = "), NULL, 10);
}

static bool is_error(const redisReply *reply, struct slice prefix)
{
    return reply->type == REDIS_REPLY_ERROR && slice_starts(slice_make(reply->str, reply->len), prefix);
}

/* Redis 7 says "ERR Function not found". */
static bool is_missing(const redisReply *reply)
{
    return is_error(reply, SLICE("ERR Function not found"));
}

enum redis_fn_step redis_fn_after_version(const redisReply *reply)
{
    if (reply == NULL)
        return REDIS_FN_FAILED;
    if (is_missing(reply))
        return REDIS_FN_LOAD;
    if (reply->type != REDIS_REPLY_INTEGER)
        return REDIS_FN_FAILED;
    return reply->integer < (long long)redis_fn_source_version() ? REDIS_FN_LOAD_REPLACE : REDIS_FN_READY;
}

enum redis_fn_step redis_fn_after_load(const redisReply *reply)
{
    if (reply == NULL)
        return REDIS_FN_FAILED;
    if (reply->type == REDIS_REPLY_STRING)
        return REDIS_FN_READY;
    return is_error(reply, SLICE("ERR Library '" REDIS_FN_LIBRARY "' already exists")) ? REDIS_FN_ASK : REDIS_FN_FAILED;
}

void redis_fn_call_release(struct redis_fn_call *call)
{
    buf_release(&call->header);
    call->argc = 0;
}

static void add(struct redis_fn_call *call, struct slice arg)
{
    assert(call->argc < REDIS_FN_ARGS);
    call->argv[call->argc++] = arg;
}

static void start(struct redis_fn_call *call, struct slice function, struct slice keys)
{
    call->argc = 0;
    add(call, SLICE("FCALL"));
    add(call, function);
    add(call, keys);
}

static void start_header(struct redis_fn_call *call, struct redis_fn_pipe pipe)
{
    buf_clear(&call->header);
    mp_write_str(&call->header, pipe.name);
    mp_write_uint(&call->header, pipe.seq);
}

/* XADD takes its limit as text; written here once instead of there each time. */
static void write_decimal(struct buf *b, uint64_t value)
{
    char digits[20];
    struct buf text = {.p = digits, .cap = sizeof(digits)}; /* as many as the largest has */
    buf_u64(&text, value);
    mp_write_str(b, buf_slice(&text));
}

static void write_name(struct buf *b, struct slice prefix, struct slice part)
{
    char name[COORDINATE_PART_MAX + 2];
    assert(prefix.n + part.n <= sizeof(name));
    memcpy(name, prefix.p, prefix.n);
    memcpy(name + prefix.n, part.p, part.n);
    mp_write_str(b, slice_make(name, prefix.n + part.n));
}

static void write_append_header(struct redis_fn_call *call, const struct redis_fn_append *a, struct slice prefix)
{
    struct buf *h = &call->header;
    start_header(call, a->pipe);
    mp_write_uint(h, a->turn);
    mp_write_uint(h, a->epoch);
    write_name(h, prefix, a->part);
    mp_write_uint(h, a->n);
    mp_write_uint(h, a->offset);
    write_decimal(h, a->maxlen);
    mp_write_uint(h, a->ttl_ms);
    if (a->key.p == NULL)
        return;
    mp_write_str(h, a->key);
    mp_write_uint(h, a->window_ms);
    mp_write_uint(h, a->kafka_ms);
}

/* Where an append goes: names in the order in which tg1.lua takes its keys. */
static void start_append(struct redis_fn_call *call, struct slice function, const struct redis_fn_append *a,
                         enum target_name log, enum target_name meta, enum target_name keys)
{
    assert(a->maxlen > 0 && a->ttl_ms > 0 && a->part.n <= COORDINATE_PART_MAX);
    start(call, function, a->key.p != NULL ? SLICE("4") : SLICE("3"));
    add(call, target_name(log, a->bucket, a->target, call->names[0]));
    add(call, target_name(meta, a->bucket, a->target, call->names[1]));
    add(call, target_marker(a->bucket, call->names[2]));
    if (a->key.p != NULL)
        add(call, target_name(keys, a->bucket, a->target, call->names[3]));
}

void redis_fn_append(struct redis_fn_call *call, const struct redis_fn_append *a)
{
    start_append(call, SLICE("tg1_append"), a, TARGET_LOG, TARGET_META, TARGET_IDEMPOTENCY);
    write_append_header(call, a, SLICE(""));
    add(call, buf_slice(&call->header));
    add(call, target_name(TARGET_CHANNEL, a->bucket, a->target, call->names[4]));
    add(call, a->body);
}

void redis_fn_refill(struct redis_fn_call *call, const struct redis_fn_append *a)
{
    assert(a->part.n > 0);
    start_append(call, SLICE("tg1_refill"), a, TARGET_REFILLED, TARGET_REFILL_META, TARGET_REFILL_KEYS);
    write_append_header(call, a, SLICE("~"));
    add(call, buf_slice(&call->header));
    add(call, a->body);
}

void redis_fn_publish(struct redis_fn_call *call, struct redis_fn_pipe pipe, unsigned bucket, struct slice target,
                      struct slice body)
{
    start(call, SLICE("tg1_publish"), SLICE("1"));
    add(call, target_name(TARGET_CHANNEL, bucket, target, call->names[0]));
    start_header(call, pipe);
    add(call, buf_slice(&call->header));
    add(call, body);
}

static void write_field(struct buf *b, const struct redis_fn_watermark *w)
{
    static const struct slice prefixes[] = {
        [REDIS_FN_APPLIED] = {"", 0},   [REDIS_FN_BOUND] = {"r:", 2},  [REDIS_FN_UNBOUND] = {"r:", 2},
        [REDIS_FN_REFILLED] = {"~", 1}, [REDIS_FN_FROM] = {"from", 4},
    };
    write_name(b, prefixes[w->field], w->field == REDIS_FN_FROM ? SLICE("") : w->part);
    if (w->field == REDIS_FN_UNBOUND)
        mp_write_str(b, SLICE("?"));
    else
        mp_write_uint(b, w->offset);
}

void redis_fn_mark(struct redis_fn_call *call, struct redis_fn_pipe pipe, unsigned bucket, uint64_t epoch,
                   enum redis_fn_create create, const struct redis_fn_watermark *watermarks, size_t count)
{
    start(call, SLICE("tg1_mark"), SLICE("1"));
    add(call, target_marker(bucket, call->names[0]));
    start_header(call, pipe);
    mp_write_uint(&call->header, epoch);
    mp_write_uint(&call->header, create);
    for (size_t i = 0; i < count; i++)
        write_field(&call->header, &watermarks[i]);
    add(call, buf_slice(&call->header));
}

void redis_fn_beat(struct redis_fn_call *call, struct redis_fn_pipe pipe, unsigned bucket, uint64_t floor)
{
    start(call, SLICE("tg1_beat"), SLICE("1"));
    add(call, target_beat(bucket, call->names[0]));
    start_header(call, pipe);
    mp_write_uint(&call->header, floor);
    add(call, buf_slice(&call->header));
}

void redis_fn_version(struct redis_fn_call *call)
{
    start(call, SLICE("tg1_version"), SLICE("0"));
}

void redis_fn_load(struct redis_fn_call *call, bool replace)
{
    call->argc = 0;
    add(call, SLICE("FUNCTION"));
    add(call, SLICE("LOAD"));
    if (replace)
        add(call, SLICE("REPLACE"));
    add(call, redis_fn_source());
}

static void append_bulk(struct buf *out, struct slice arg)
{
    buf_byte(out, '$');
    buf_u64(out, arg.n);
    buf_lit(out, "\r\n");
    buf_append(out, arg);
    buf_lit(out, "\r\n");
}

void redis_fn_heads(struct buf *out, unsigned bucket, const struct slice *targets, size_t count)
{
    assert(count > 0 && count <= REDIS_FN_HEADS_MAX);
    char number[20], name[TARGET_NAME_SIZE];
    buf_printf(out, "*%zu\r\n", 3 + count);
    append_bulk(out, SLICE("FCALL"));
    append_bulk(out, SLICE("tg1_heads"));
    append_bulk(out, slice_make(number, (size_t)snprintf(number, sizeof(number), "%zu", count)));
    for (size_t i = 0; i < count; i++)
        append_bulk(out, target_name(TARGET_META, bucket, targets[i], name));
}

static void start_on_key(struct redis_fn_call *call, struct slice function, enum target_name which, unsigned bucket,
                         struct slice target)
{
    start(call, function, SLICE("1"));
    add(call, target_name(which, bucket, target, call->names[0]));
    buf_clear(&call->header);
}

void redis_fn_read(struct redis_fn_call *call, enum target_name which, unsigned bucket, struct slice target,
                   uint64_t from, uint64_t most, uint64_t bytes)
{
    start_on_key(call, SLICE("tg1_read"), which, bucket, target);
    mp_write_uint(&call->header, from);
    mp_write_uint(&call->header, most);
    mp_write_uint(&call->header, bytes);
    add(call, buf_slice(&call->header));
}

void redis_fn_count(struct redis_fn_call *call, enum target_name which, unsigned bucket, struct slice target,
                    uint64_t from, uint64_t floor, uint64_t most)
{
    start_on_key(call, SLICE("tg1_count"), which, bucket, target);
    mp_write_uint(&call->header, from);
    mp_write_uint(&call->header, floor);
    mp_write_uint(&call->header, most);
    add(call, buf_slice(&call->header));
}

int redis_fn_count_parse(const redisReply *reply, struct redis_fn_count *out)
{
    uint64_t *fields[] = {&out->oldest, &out->count, &out->next};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != ARRAY_LEN(fields))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (reply->element[i]->type != REDIS_REPLY_INTEGER || reply->element[i]->integer < 0)
            return -1;
        *fields[i] = (uint64_t)reply->element[i]->integer;
    }
    return 0;
}

void redis_fn_cursor(struct redis_fn_call *call, unsigned bucket, struct slice target, uint64_t ttl_ms, uint64_t most,
                     const struct redis_fn_device *devices, size_t count)
{
    assert(count > 0 && count <= REDIS_FN_DEVICES_MAX);
    start_on_key(call, SLICE("tg1_cursor"), TARGET_CURSORS, bucket, target);
    mp_write_uint(&call->header, ttl_ms);
    mp_write_uint(&call->header, most);
    for (size_t i = 0; i < count; i++) {
        mp_write_str(&call->header, devices[i].id);
        mp_write_uint(&call->header, devices[i].position);
        mp_write_uint(&call->header, devices[i].acks);
    }
    add(call, buf_slice(&call->header));
}

int redis_fn_cursor_parse(struct slice text, struct redis_fn_cursor *out)
{
    uint64_t acks;
    if (event_id_parse(slice_cut(&text, ' '), &out->position) != 0 ||
        slice_to_u64(slice_cut(&text, ' '), &out->seen_ms) != 0 || slice_to_u64(text, &acks) != 0)
        return -1;
    out->acks = acks != 0;
    return 0;
}

/* How errors begin; what stands in no row is REDIS_FN_REFUSED. */
static const struct {
    struct slice prefix;
    enum redis_fn_result result;
} errors[] = {
    {{"TGPIPE ", 7}, REDIS_FN_PIPE},       {{"TGEPOCH ", 8}, REDIS_FN_EPOCH},
    {{"TGMARKER", 8}, REDIS_FN_MARKER},    {{"ERR Function not found", 22}, REDIS_FN_MISSING},
    {{"OOM ", 4}, REDIS_FN_RETRY},         {{"NOREPLICAS ", 11}, REDIS_FN_RETRY},
    {{"MISCONF ", 8}, REDIS_FN_RETRY},     {{"READONLY ", 9}, REDIS_FN_RETRY},
    {{"LOADING ", 8}, REDIS_FN_RETRY},     {{"BUSY ", 5}, REDIS_FN_RETRY},
    {{"MASTERDOWN ", 11}, REDIS_FN_RETRY}, {{"CLUSTERDOWN ", 12}, REDIS_FN_RETRY},
    {{"TRYAGAIN ", 9}, REDIS_FN_RETRY},    {{"UNBLOCKED ", 10}, REDIS_FN_RETRY},
    {{"MOVED ", 6}, REDIS_FN_MOVED},       {{"ASK ", 4}, REDIS_FN_MOVED},
};

static enum redis_fn_result error_result(struct slice text, uint64_t *value)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        if (!slice_starts(text, errors[i].prefix))
            continue;
        if (slice_to_u64(slice_from(text, errors[i].prefix.n), value) != 0)
            *value = 0;
        return errors[i].result;
    }
    return REDIS_FN_REFUSED;
}

enum redis_fn_result redis_fn_result(const redisReply *reply, uint64_t *value)
{
    uint64_t unused;
    value = value != NULL ? value : &unused;
    *value = 0;
    if (reply == NULL)
        return REDIS_FN_LOST;
    if (reply->type == REDIS_REPLY_ERROR)
        return error_result(slice_make(reply->str, reply->len), value);
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) /* a beat's */
        reply = reply->element[0];
    if (reply->type != REDIS_REPLY_INTEGER || reply->integer < 0)
        return REDIS_FN_REFUSED;
    *value = (uint64_t)reply->integer;
    return *value > 0 ? REDIS_FN_OK : REDIS_FN_DUPLICATE;
}

const char *redis_fn_result_word(enum redis_fn_result result)
{
    static const char *const words[] = {
        [REDIS_FN_OK] = "ok",           [REDIS_FN_DUPLICATE] = "duplicate", [REDIS_FN_PIPE] = "pipe_broken",
        [REDIS_FN_EPOCH] = "epoch",     [REDIS_FN_MARKER] = "marker",       [REDIS_FN_MISSING] = "function_missing",
        [REDIS_FN_RETRY] = "retry",     [REDIS_FN_MOVED] = "moved",         [REDIS_FN_LOST] = "lost",
        [REDIS_FN_REFUSED] = "refused",
    };
    return words[result];
}

unsigned redis_fn_beat_version(const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 || reply->element[1]->type != REDIS_REPLY_INTEGER)
        return 0;
    return (unsigned)reply->element[1]->integer;
}

int redis_fn_meta_parse(struct slice bytes, struct redis_fn_meta *out)
{
    if (mp_read_uint(&bytes, &out->id) != 0 || mp_read_uint(&bytes, &out->epoch) != 0 ||
        mp_read_uint(&bytes, &out->expires_ms) != 0)
        return -1;
    out->coordinates = bytes;
    return 0;
}

int redis_fn_meta_next(struct redis_fn_meta *meta, struct coordinate *out)
{
    struct slice *in = &meta->coordinates;
    if (in->n == 0)
        return 0;
    if (mp_read_str(in, &out->part) != 0 || mp_read_uint(in, &out->n) != 0 || mp_read_uint(in, &out->offset) != 0)
        return -1;
    return 1;
}

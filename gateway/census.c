/* One pipeline a second: this worker's lease and names, the users that changed, and everybody's leases. */
#include "gateway/census.h"
#include "common/hash.h"
#include "common/json_write.h"
#include "common/target.h"
#include "gateway/conn.h"
#include "gateway/shares.h"

#include <inttypes.h>
#include <stdlib.h>

#define PRESENCE_TTL_S                                                                                                 \
    "2592000" /* of a user's hash after its last change: what a killed worker left goes in the end                     \
               */
#define KEY_SIZE            96
#define USER_CHANGES_PER_GO 5000 /* the rest a second later */
#define NEWS_TAKES_MS       100  /* what another worker did is in Redis by then */

/* Of the keys that are no target's. */
static struct redis_commands *common_redis(const struct census *cs)
{
    return cs->worker.redis_of(cs->worker.arg, 0);
}

static struct slice own_key(const struct census *cs, const char *kind, struct slice id, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "tg:{%.*s}:%s%.*s", SLICE_ARG(target_tag(0)), kind, SLICE_ARG(id));
    return slice_make(out, (size_t)n);
}

static const char *const state_words[] = {
    [CENSUS_UNREADY] = "unready", [CENSUS_READY] = "ready", [CENSUS_DRAINING] = "draining"};

/* What stands before the dot. */
static struct slice gateway_of(struct slice id)
{
    return slice_cut(&id, '.');
}

static bool is_first(struct slice id)
{
    slice_cut(&id, '.');
    return slice_eq(id, SLICE("0"));
}

bool census_is_first(const struct census *cs)
{
    return is_first(slice_of(cs->id));
}

static bool is_live(const struct census *cs, struct slice id)
{
    struct slice rest = buf_slice(&cs->live);
    while (rest.n > 0)
        if (slice_eq(slice_cut(&rest, ' '), id))
            return true;
    return false;
}

static bool is_capped(const struct census *cs)
{
    return cs->ctx->cfg->max_connections_per_user > 0;
}

/* ---- a user's connections elsewhere ---- */

struct user_read {
    struct census *census;
    uint32_t sent_ms;
    bool after_write; /* of our own count */
    size_t name_n;
    char name[];
};

/* The newest of ours go, as many as this worker must give up. */
static void close_newest(struct target *t, uint64_t count)
{
    while (count-- > 0 && !list_empty(&t->members))
        conn_close(CONTAINER_OF(t->members.prev, struct member, of_target)->conn, CLOSE_USER_LIMIT);
}

static uint64_t elsewhere(const struct census *cs, const redisReply *hash)
{
    uint64_t sum = 0, n;
    for (size_t i = 0; i + 1 < hash->elements; i += 2) {
        struct slice id = slice_make(hash->element[i]->str, hash->element[i]->len);
        struct slice count = slice_make(hash->element[i + 1]->str, hash->element[i + 1]->len);
        if (!slice_eq(id, slice_of(cs->id)) && is_live(cs, id) && slice_to_u64(count, &n) == 0)
            sum += n;
    }
    return MIN(sum, UINT32_MAX);
}

/* An excess comes from an addition, and who added writes its count before it reads the others': of two that add at
 * once, at least the later one sees both. So each gives up no more than it added since it last looked. */
static void settle(struct target *t, uint64_t excess)
{
    uint64_t added = t->member_count > t->settled ? t->member_count - t->settled : 0;
    t->settled = t->member_count;
    t->counted = HUB_COUNTED_WELL;
    close_newest(t, MIN(excess, added));
}

/* age_ms: how long after the newest member the count of others was asked for, and ours written; below 0: before. */
static void compare(struct census *cs, struct target *t, int32_t age_ms)
{
    uint64_t cap = (uint64_t)cs->ctx->cfg->max_connections_per_user, total = (uint64_t)t->elsewhere + t->member_count;
    if (age_ms > 0 && total <= cap)
        settle(t, 0);
    else if (age_ms >= NEWS_TAKES_MS)
        settle(t, total - cap);
    else
        census_changed(cs, t); /* to be compared a second later */
}

static struct user_read *read_of(struct census *cs, const struct target *t, bool after_write)
{
    struct user_read *read = xmalloc(sizeof(*read) + t->name_n);
    read->census = cs;
    read->sent_ms = (uint32_t)cs->ctx->loop->now_ms;
    read->after_write = after_write;
    read->name_n = t->name_n;
    memcpy(read->name, t->name, t->name_n);
    return read;
}

/* The target, if it still is; frees what found it. */
static struct target *target_read(struct user_read *read)
{
    struct target *t = hub_find(read->census->hub, slice_make(read->name, read->name_n));
    free(read);
    return t;
}

static void on_user(void *arg, const redisReply *reply)
{
    struct census *cs = ((struct user_read *)arg)->census;
    bool after_write = ((struct user_read *)arg)->after_write;
    uint32_t sent_ms = ((struct user_read *)arg)->sent_ms;
    struct target *t = target_read(arg);
    if (t == NULL)
        return;
    t->asking = false;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
        return;
    int32_t age_ms = (int32_t)(sent_ms - t->joined_ms);
    t->elsewhere = (uint32_t)elsewhere(cs, reply);
    t->counted = age_ms >= 0 ? HUB_COUNTED_SINCE : HUB_COUNTED_BEFORE;
    if (after_write)
        compare(cs, t, age_ms);
    if (t->state == TARGET_LIVE)
        conn_ready_all(t);
}

static void read_user(struct census *cs, struct target *t, bool after_write)
{
    char key[TARGET_NAME_SIZE];
    struct user_read *read = read_of(cs, t, after_write);
    struct slice argv[] = {SLICE("HGETALL"), target_name(TARGET_PRESENCE, t->bucket, hub_name(t), key)};
    t->asking = redis_commands_send(cs->worker.redis_of(cs->worker.arg, t->bucket), argv, 2, on_user, read) == 0;
    if (!t->asking)
        free(read);
}

void census_ask(struct census *cs, struct target *t)
{
    if (is_capped(cs) && hub_is_user(t) && !t->asking)
        read_user(cs, t, false);
}

void census_doubt(struct census *cs, struct target *t)
{
    if (t->counted == HUB_COUNTED_BEFORE)
        census_ask(cs, t);
    else
        census_changed(cs, t);
}

/* ---- telling ---- */

void census_changed(struct census *cs, struct target *t)
{
    if (!is_capped(cs) || !hub_is_user(t))
        return;
    if (t->member_count == 0 && t->told == 0)
        list_remove(&t->changed);
    else if (list_empty(&t->changed))
        list_push_back(&cs->changed, &t->changed);
}

void census_on_up(struct census *cs)
{
    MAP_EACH (node, &cs->hub->targets)
        census_changed(cs, CONTAINER_OF(node, struct target, node));
}

static void on_told_none(void *arg, const redisReply *reply)
{
    struct census *cs = ((struct user_read *)arg)->census;
    struct target *t = target_read(arg);
    if (t == NULL || t->member_count > 0)
        return;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        t->told = 0;
    else
        census_changed(cs, t);
}

static void write_none(struct census *cs, struct target *t, struct redis_commands *redis, struct slice key)
{
    struct user_read *read = read_of(cs, t, true);
    if (redis_commands_send(redis, (struct slice[]){SLICE("HDEL"), key, slice_of(cs->id)}, 3, on_told_none, read) != 0)
        on_told_none(read, NULL);
}

static void write_count(struct census *cs, struct target *t)
{
    char key[TARGET_NAME_SIZE], count[16];
    struct redis_commands *redis = cs->worker.redis_of(cs->worker.arg, t->bucket);
    struct slice k = target_name(TARGET_PRESENCE, t->bucket, hub_name(t), key);
    if (t->member_count == 0) {
        write_none(cs, t, redis, k);
        return;
    }
    t->told = t->member_count;
    snprintf(count, sizeof(count), "%u", t->member_count);
    redis_commands_send(redis, (struct slice[]){SLICE("HSET"), k, slice_of(cs->id), slice_of(count)}, 4, NULL, NULL);
    redis_commands_send(redis, (struct slice[]){SLICE("EXPIRE"), k, SLICE(PRESENCE_TTL_S)}, 3, NULL, NULL);
}

static void write_user(struct census *cs, struct target *t)
{
    write_count(cs, t);
    if (t->member_count > 0)
        read_user(cs, t, true);
}

/* Whose count only fell gives nothing up, unless one came meanwhile. */
static void write_fewer(struct census *cs, struct target *t)
{
    write_count(cs, t);
    t->settled = MIN(t->settled, t->member_count);
    if (t->member_count > 0 && t->counted != HUB_COUNTED_WELL)
        census_changed(cs, t);
}

static bool is_changed(const struct target *t)
{
    return true;
}

static bool is_fewer(const struct target *t)
{
    return t->member_count < t->told;
}

/* What cannot be written is put back for later, hence the second list. */
static void write_those(struct census *cs, bool (*which)(const struct target *t),
                        void (*write)(struct census *cs, struct target *t))
{
    struct list now;
    int n = 0;
    list_init(&now);
    LIST_EACH_SAFE (it, &cs->changed) {
        if (n == USER_CHANGES_PER_GO)
            break;
        if (!which(CONTAINER_OF(it, struct target, changed)))
            continue;
        list_remove(it);
        list_push_back(&now, it);
        n++;
    }
    while (!list_empty(&now)) {
        struct target *t = CONTAINER_OF(now.next, struct target, changed);
        list_remove(&t->changed);
        write(cs, t);
    }
}

static void write_changed_users(struct census *cs)
{
    write_those(cs, is_changed, write_user);
}

void census_tell_fewer(struct census *cs)
{
    if (redis_commands_is_up(common_redis(cs)))
        write_those(cs, is_fewer, write_fewer);
}

/* ---- the worker's own lease ---- */

static void write_lease(struct census *cs)
{
    char key[KEY_SIZE], counts[128], ttl[16];
    uint64_t sent = atomic_load_explicit(&cs->ctx->metrics->messages_sent.n, memory_order_relaxed);
    snprintf(counts, sizeof(counts), "%zu %zu %" PRIu64 " %s %zu", cs->roster->connections, cs->hub->users, sent,
             state_words[cs->state], cs->roster->movable);
    snprintf(ttl, sizeof(ttl), "%d", CENSUS_LEASE_MS);
    struct slice k = own_key(cs, "w:", slice_of(cs->id), key);
    redis_commands_send(common_redis(cs),
                        (struct slice[]){SLICE("SET"), k, slice_of(counts), SLICE("PX"), slice_of(ttl)}, 5, NULL, NULL);
    k = own_key(cs, "workers", SLICE(""), key);
    redis_commands_send(common_redis(cs), (struct slice[]){SLICE("SADD"), k, slice_of(cs->id)}, 3, NULL, NULL);
}

void census_say(struct census *cs, enum census_state state)
{
    if (state == cs->state)
        return;
    cs->state = state;
    write_lease(cs);
}

static void write_names(struct census *cs)
{
    char key[KEY_SIZE], ttl[16];
    struct buf names = {0};
    size_t count = 0, max = (size_t)cs->ctx->cfg->status_users_max;
    buf_byte(&names, '{');
    MAP_EACH (node, &cs->hub->targets) {
        const struct target *t = CONTAINER_OF(node, struct target, node);
        if (!hub_is_user(t) || t->member_count == 0)
            continue;
        if (count++ == max)
            break;
        if (count > 1)
            buf_byte(&names, ',');
        json_write_string(&names, slice_from(hub_name(t), 2));
        buf_byte(&names, ':');
        buf_u64(&names, t->member_count);
    }
    buf_byte(&names, '}');
    snprintf(ttl, sizeof(ttl), "%d", CENSUS_LEASE_MS);
    struct slice k = own_key(cs, "n:", slice_of(cs->id), key);
    redis_commands_send(common_redis(cs),
                        (struct slice[]){SLICE("SET"), k, buf_slice(&names), SLICE("PX"), slice_of(ttl)}, 5, NULL,
                        NULL);
    buf_release(&names);
}

/* ---- everybody's leases ---- */

struct leases_read {
    struct census *census;
    size_t count;
    struct buf ids; /* a space behind each, in the order asked */
};

static void add_lease(struct census *cs, struct shares *shares, struct slice id, struct slice text)
{
    struct census_totals *sum = &cs->totals;
    uint64_t connections, users, messages, movable = 0;
    if (slice_to_u64(slice_cut(&text, ' '), &connections) != 0 || slice_to_u64(slice_cut(&text, ' '), &users) != 0 ||
        slice_to_u64(slice_cut(&text, ' '), &messages) != 0)
        return;
    sum->all_ready &= slice_eq(slice_cut(&text, ' '), slice_of(state_words[CENSUS_READY]));
    (void)slice_to_u64(slice_cut(&text, ' '), &movable);
    sum->connections += connections;
    sum->users += users;
    sum->messages += messages;
    sum->workers++;
    shares_add(shares, gateway_of(id), connections);
    sum->set += hash_keyed(id); /* in whatever order they come */
    if (!slice_eq(gateway_of(id), gateway_of(slice_of(cs->id))))
        return;
    sum->here += connections;
    sum->movable_here += movable;
}

/* Whom Redis does not name, because it refuses to write or has just lost something, is there all the same; but others
 * do not know it, so nobody should conclude much. */
static void add_self(struct census *cs, struct shares *shares)
{
    struct census_totals *sum = &cs->totals;
    struct slice id = slice_of(cs->id);
    if (is_live(cs, id))
        return;
    sum->connections += cs->roster->connections;
    sum->users += cs->hub->users;
    sum->messages += atomic_load_explicit(&cs->ctx->metrics->messages_sent.n, memory_order_relaxed);
    sum->workers++;
    sum->here += cs->roster->connections;
    sum->movable_here += cs->roster->movable;
    sum->set += hash_keyed(id);
    sum->all_ready = false;
    shares_add(shares, gateway_of(id), cs->roster->connections);
}

static void forget_worker(struct census *cs, struct slice id)
{
    char key[KEY_SIZE];
    struct slice argv[] = {SLICE("SREM"), own_key(cs, "workers", SLICE(""), key), id};
    redis_commands_send(common_redis(cs), argv, 3, NULL, NULL);
}

/* The leases of these ids, in their order. */
static void count(struct census *cs, struct slice ids, redisReply *const *leases, size_t n)
{
    struct shares shares = {0};
    cs->totals = (struct census_totals){.all_ready = true};
    buf_clear(&cs->live);
    for (size_t i = 0; i < n; i++) {
        struct slice id = slice_cut(&ids, ' ');
        if (leases[i]->type != REDIS_REPLY_STRING) {
            forget_worker(cs, id);
            continue;
        }
        add_lease(cs, &shares, id, slice_make(leases[i]->str, leases[i]->len));
        buf_append(&cs->live, id);
        buf_byte(&cs->live, ' ');
    }
    add_self(cs, &shares);
    cs->totals.gateways = shares.count;
    cs->totals.least = shares_least(&shares);
    shares_release(&shares);
    write_changed_users(cs); /* now, when it is known which workers live */
    cs->worker.on_totals(cs->worker.arg);
}

static void on_leases(void *arg, const redisReply *reply)
{
    struct leases_read *read = arg;
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == read->count)
        count(read->census, buf_slice(&read->ids), reply->element, read->count);
    buf_release(&read->ids);
    free(read);
}

/* Builds MGET of one key per id; ids stand in a text, a space behind each. */
static size_t mget_of(const struct census *cs, const char *kind, struct slice ids, struct slice prefix,
                      struct buf *keys, struct slice *argv, size_t max)
{
    size_t n = 1, at = 0;
    argv[0] = SLICE("MGET");
    buf_reserve(keys, (ids.n / 2 + 1) * KEY_SIZE); /* no growth below: argv points into it */
    while (ids.n > 0 && n < max) {
        struct slice id = slice_cut(&ids, ' ');
        if (!slice_starts(id, prefix))
            continue;
        argv[n++] = own_key(cs, kind, id, keys->p + at);
        at += KEY_SIZE;
    }
    return n;
}

/* Of the form that gateways give themselves; something else in the set is passed over. */
static bool is_id(const redisReply *member)
{
    return member->type == REDIS_REPLY_STRING && member->len > 0 && member->len < sizeof(((struct census *)0)->id) &&
           memchr(member->str, ' ', member->len) == NULL;
}

static void on_workers(void *arg, const redisReply *reply)
{
    struct census *cs = arg;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements >= CENSUS_WORKERS_MAX)
        return;
    if (reply->elements == 0) {
        count(cs, SLICE(""), NULL, 0);
        return;
    }
    struct leases_read *read = xcalloc(1, sizeof(*read));
    read->census = cs;
    for (size_t i = 0; i < reply->elements; i++) {
        if (!is_id(reply->element[i]))
            continue;
        buf_append(&read->ids, slice_make(reply->element[i]->str, reply->element[i]->len));
        buf_byte(&read->ids, ' ');
        read->count++;
    }
    struct buf keys = {0};
    struct slice *argv = xmalloc((read->count + 1) * sizeof(*argv));
    size_t n = mget_of(cs, "w:", buf_slice(&read->ids), SLICE(""), &keys, argv, read->count + 1);
    if (redis_commands_send(common_redis(cs), argv, n, on_leases, read) != 0)
        on_leases(read, NULL);
    free(argv);
    buf_release(&keys);
}

size_t census_names_mget(const struct census *cs, struct slice prefix, struct buf *keys, struct slice *argv, size_t max)
{
    return mget_of(cs, "n:", buf_slice(&cs->live), prefix, keys, argv, max);
}

static void on_timer(struct timer *t)
{
    struct census *cs = CONTAINER_OF(t, struct census, timer);
    char key[KEY_SIZE];
    timer_start(cs->ctx->loop, t, CENSUS_PERIOD_MS);
    if (!redis_commands_is_up(common_redis(cs))) {
        cs->totals =
            (struct census_totals){.connections = cs->roster->connections, .users = cs->hub->users, .workers = 1};
        return;
    }
    write_lease(cs);
    write_names(cs);
    struct slice argv[] = {SLICE("SMEMBERS"), own_key(cs, "workers", SLICE(""), key)};
    redis_commands_send(common_redis(cs), argv, 2, on_workers, cs);
}

void census_init(struct census *cs, struct context *ctx, struct hub *hub, const struct roster *roster, const char *id,
                 const struct census_worker *worker)
{
    *cs = (struct census){.ctx = ctx, .hub = hub, .roster = roster, .worker = *worker};
    snprintf(cs->id, sizeof(cs->id), "%s", id);
    list_init(&cs->changed);
    timer_init(&cs->timer, on_timer);
    timer_start(ctx->loop, &cs->timer, 10);
}

void census_leave(struct census *cs)
{
    char key[KEY_SIZE];
    write_changed_users(cs);
    redis_commands_send(common_redis(cs), (struct slice[]){SLICE("DEL"), own_key(cs, "w:", slice_of(cs->id), key)}, 2,
                        NULL, NULL);
    timer_stop(&cs->timer);
}

void census_release(struct census *cs)
{
    timer_stop(&cs->timer);
    buf_release(&cs->live);
}

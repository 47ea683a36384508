/* Events straight into Redis, without Kafka and a router: through the same function library, in the same envelope. So a
 * gateway can be measured alone, and Redis alone. Calls are pipelined; at a rate, as many go out together as are due.
 */
#include "loadtest/lib/args.h"

#include "common/clock.h"
#include "common/envelope.h"
#include "common/redis_fn.h"
#include "common/redis_url.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PIPELINE      1000 /* as many as a router by default */
#define PAYLOAD_LEAST 128
#define PAYLOAD_MOST  (1u << 20)
#define LOG_LENGTH    100
#define LOG_TTL_MS    3600000

static struct options {
    uint64_t count, burst, size, users;
    double rate;
    const char *redis, *target;
    bool ephemeral;
} opt = {.count = 1000, .burst = 1, .size = 420, .rate = 100, .redis = "redis://127.0.0.1:6379", .target = "g"};

static const struct arg args[] = {
    {"redis", ARG_TEXT, &opt.redis, "Where Redis is."},
    {"target", ARG_TEXT, &opt.target, "For whom: g (everybody), u:<user id> or r:<room>."},
    {"users", ARG_COUNT, &opt.users, "Instead of one target, users u0 to uN-1 in turn."},
    {"count", ARG_COUNT, &opt.count, "Events in all."},
    {"rate", ARG_REAL, &opt.rate, "Bursts a second; 0 is as fast as Redis answers."},
    {"burst", ARG_COUNT, &opt.burst, "Events of a burst, sent at once."},
    {"size", ARG_COUNT, &opt.size, "Payload bytes; a client gets some 80 more around them."},
    {"ephemeral", ARG_FLAG, &opt.ephemeral, "Only publish, write no log."},
};
static const struct arg_table table = {"publish", "events for gateways, straight into Redis", args, ARRAY_LEN(args)};

struct publisher {
    redisContext *redis;
    struct redis_fn_call call;
    struct buf body, payload, key, part;
    uint64_t sent, answered, refused, since_us;
    char target[TARGET_MAX];
};

static volatile sig_atomic_t stop;

static void on_stop(int sig)
{
    stop = 1;
}

_Noreturn static void die(const struct publisher *p, const char *what, const redisReply *reply)
{
    fprintf(stderr, "publish: %s: %s\n", what, reply ? reply->str : p->redis->errstr);
    exit(1);
}

/* ---- calls ---- */

static void queue_words(struct publisher *p, const struct slice *words, size_t n)
{
    const char *argv[REDIS_FN_ARGS];
    size_t lengths[REDIS_FN_ARGS];
    for (size_t i = 0; i < n; i++) {
        argv[i] = words[i].p;
        lengths[i] = words[i].n;
    }
    redisAppendCommandArgv(p->redis, (int)n, argv, lengths);
}

/* Returns owned: the next reply (freeReplyObject). Without one the process ends. */
static redisReply *next_reply(struct publisher *p)
{
    void *reply = NULL;
    if (redisGetReply(p->redis, &reply) != REDIS_OK)
        die(p, "redis", NULL);
    return reply;
}

static redisReply *send_call(struct publisher *p)
{
    queue_words(p, p->call.argv, p->call.argc);
    return next_reply(p);
}

/* ---- making ready ---- */

static void connect_redis(struct publisher *p)
{
    struct redis_url u;
    const char *why = "a single server in the clear is needed";
    if (redis_url_parse(slice_of(opt.redis), &u, &why) != 0 || u.kind != REDIS_ONE || u.tls)
        args_refuse(&table, "--redis: %s", why);
    p->redis = redisConnect(u.hosts[0].host, u.hosts[0].port);
    if (p->redis == NULL || p->redis->err)
        die(p, opt.redis, NULL);
    if (u.data.password != NULL) {
        struct slice words[] = {SLICE("AUTH"), slice_of(u.data.user ? u.data.user : "default"),
                                slice_of(u.data.password)};
        queue_words(p, words, ARRAY_LEN(words));
        redisReply *reply = next_reply(p);
        if (reply->type == REDIS_REPLY_ERROR)
            die(p, "AUTH", reply);
        freeReplyObject(reply);
    }
    redis_url_release(&u);
}

static void load_library(struct publisher *p)
{
    redis_fn_version(&p->call);
    redisReply *reply = send_call(p);
    enum redis_fn_step step = redis_fn_after_version(reply);
    if (step == REDIS_FN_LOAD || step == REDIS_FN_LOAD_REPLACE) {
        freeReplyObject(reply);
        redis_fn_load(&p->call, step == REDIS_FN_LOAD_REPLACE);
        reply = send_call(p);
        step = redis_fn_after_load(reply);
    }
    if (step == REDIS_FN_FAILED)
        die(p, "loading the functions", reply);
    freeReplyObject(reply);
}

/* Makes a bucket's marker unless a router did: nothing can be appended without. */
static void ensure_marker(struct publisher *p, unsigned bucket)
{
    redis_fn_mark(&p->call, (struct redis_fn_pipe){SLICE(""), 0}, bucket, clock_wall_us(), REDIS_FN_SINCE_ZERO, NULL,
                  0);
    redisReply *reply = send_call(p);
    if (redis_fn_result(reply, NULL) != REDIS_FN_OK)
        die(p, "making a marker", reply);
    freeReplyObject(reply);
}

/* The target of the n-th event. */
static struct slice target_of(struct publisher *p, uint64_t n)
{
    if (opt.users == 0)
        return slice_of(opt.target);
    int len = snprintf(p->target, sizeof(p->target), "u:u%" PRIu64, n % opt.users);
    return slice_make(p->target, (size_t)len);
}

static void ensure_markers(struct publisher *p)
{
    bool made[TARGET_BUCKETS] = {false};
    for (uint64_t n = 0; n < MAX(opt.users, 1) && !opt.ephemeral; n++) {
        unsigned bucket = target_bucket(target_of(p, n));
        if (!made[bucket])
            ensure_marker(p, bucket);
        made[bucket] = true;
    }
}

/* ---- events ---- */

/* The members of a task_update of opt.size bytes, the time of sending first. */
static void make_payload(struct publisher *p)
{
    char now[CLOCK_ISO_LEN + 1];
    uint64_t us = clock_wall_us();
    clock_iso8601(us / 1000, now);
    buf_clear(&p->payload);
    buf_printf(&p->payload,
               "{\"sent_us\":%" PRIu64 ",\"operation\":\"update\",\"event\":\"task.updated\",\"task_id\":%" PRIu64
               ",\"timestamp\":\"%s\",\"task\":{\"fill\":\"",
               us, p->sent, now);
    while (p->payload.n + 3 < opt.size)
        buf_byte(&p->payload, 'x');
    buf_lit(&p->payload, "\"}}");
}

static void make_body(struct publisher *p, struct slice target)
{
    struct envelope e = {.kafka_ms = clock_wall_ms(),
                         .event = SLICE("task_update"),
                         .target_count = 1,
                         .kind = ENVELOPE_JSON,
                         .flags = ENVELOPE_MEMBERS | ENVELOPE_COORDINATE};
    make_payload(p);
    buf_clear(&p->key);
    coordinate_append(&p->key, &(struct coordinate){.part = buf_slice(&p->part), .offset = p->sent});
    e.key = buf_slice(&p->key);
    e.targets[0] = target;
    e.payload = buf_slice(&p->payload);
    buf_clear(&p->body);
    envelope_encode(&p->body, &e);
}

static void queue_event(struct publisher *p)
{
    struct slice target = target_of(p, p->sent);
    struct redis_fn_pipe no_order = {SLICE(""), 0};
    make_body(p, target);
    struct redis_fn_append a = {.pipe = no_order,
                                .target = target,
                                .bucket = target_bucket(target),
                                .part = buf_slice(&p->part),
                                .offset = p->sent,
                                .maxlen = LOG_LENGTH,
                                .ttl_ms = LOG_TTL_MS,
                                .kafka_ms = clock_wall_ms(),
                                .body = buf_slice(&p->body)};
    if (opt.ephemeral)
        redis_fn_publish(&p->call, no_order, a.bucket, target, a.body);
    else
        redis_fn_append(&p->call, &a);
    queue_words(p, p->call.argv, p->call.argc);
    p->sent++;
}

/* Reads until only so many are still to come. */
static void read_answers(struct publisher *p, uint64_t left)
{
    while (p->sent - p->answered > left) {
        redisReply *reply = next_reply(p);
        enum redis_fn_result result = redis_fn_result(reply, NULL);
        if (result != REDIS_FN_OK && p->refused++ == 0)
            fprintf(stderr, "publish: refused (%s): %s\n", redis_fn_result_word(result), reply->str ? reply->str : "");
        freeReplyObject(reply);
        p->answered++;
    }
}

static void sleep_until(uint64_t due_us)
{
    uint64_t now = clock_mono_us();
    if (now < due_us)
        usleep((useconds_t)(due_us - now));
}

static void run(struct publisher *p)
{
    for (uint64_t burst = 0; p->sent < opt.count && !stop; burst++) {
        if (opt.rate > 0)
            sleep_until(p->since_us + (uint64_t)((double)burst * 1e6 / opt.rate));
        for (uint64_t i = 0; i < opt.burst && p->sent < opt.count; i++)
            queue_event(p);
        if (opt.rate > 0)
            read_answers(p, 0);
        else if (p->sent - p->answered >= PIPELINE)
            read_answers(p, PIPELINE / 2);
    }
    read_answers(p, 0);
}

/* ---- */

static void check_options(void)
{
    if (opt.users == 0 && !target_valid(slice_of(opt.target)))
        args_refuse(&table, "--target is g, u:<user id> or r:<room>, not \"%s\"", opt.target);
    if (opt.size < PAYLOAD_LEAST || opt.size > PAYLOAD_MOST)
        args_refuse(&table, "--size must be %d to %u", PAYLOAD_LEAST, PAYLOAD_MOST);
    if (opt.burst == 0)
        args_refuse(&table, "--burst must be at least 1");
}

static void report(const struct publisher *p)
{
    double seconds = (double)(clock_mono_us() - p->since_us) / 1e6;
    printf("{\"events\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"seconds\":%.3f,\"events_per_second\":%.1f}\n",
           p->answered, p->refused, seconds, seconds > 0 ? (double)p->answered / seconds : 0);
}

static void release(struct publisher *p)
{
    redis_fn_call_release(&p->call);
    buf_release(&p->body);
    buf_release(&p->payload);
    buf_release(&p->key);
    buf_release(&p->part);
    redisFree(p->redis);
}

int main(int argc, char **argv)
{
    static struct publisher p;
    args_parse(&table, argc, argv);
    check_options();
    signal(SIGINT, on_stop);
    signal(SIGTERM, on_stop);
    connect_redis(&p);
    load_library(&p);
    ensure_markers(&p);
    /* A part of its own for every run: its offsets begin at 0. */
    coordinate_append_part(&p.part, SLICE("publish"), clock_wall_ms() / 1000, (uint32_t)getpid());
    p.since_us = clock_mono_us();
    run(&p);
    report(&p);
    release(&p);
    return p.refused == 0 ? 0 : 1;
}

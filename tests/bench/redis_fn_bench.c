/* What the function library costs Redis: CPU of a redis-server of our own (Linux counts it per thread in nanoseconds)
 * per call, beside the plain commands that do the same without any promise. 500-byte payloads, 10,000 targets, batches
 * of 200; the cases take turns, and the medians of their rounds are printed with the ratio to XADD + PUBLISH.
 *
 *   redis_fn_bench [PORT [ROUNDS]] */
#include "common/envelope.h"
#include "common/redis_fn.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TARGETS         10000
#define BATCH           200
#define CALLS           50000 /* a round */
#define ROUNDS_MAX      101
#define EPOCH           7
#define LOG_EVENTS      20
#define LOG_EVENTS_TEXT "20"
#define IDS             "1700000000000-123 1700000000000-122 "

struct target_row {
    char name[32];
    unsigned bucket;
};

struct rig {
    redisContext *redis;
    pid_t server;
    struct redis_fn_call call;
    struct buf message; /* IDS and the body */
    struct slice body;
    struct redis_fn_pipe pipe;
    uint64_t offset, turn;
    unsigned newcomers;
};

static void start_server(struct rig *rig, const char *port)
{
    char dir[] = "/tmp/redis_fn_bench.XXXXXX";
    if (mkdtemp(dir) == NULL)
        BUG("no folder");
    rig->server = fork();
    if (rig->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly",
               "no", "--dir", dir, "--logfile", "/dev/null", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 100; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        rig->redis = redisConnect("127.0.0.1", atoi(port));
        if (rig->redis != NULL && rig->redis->err == 0)
            break;
        redisFree(rig->redis);
        rig->redis = NULL;
    }
    rmdir(dir);
    if (rig->redis == NULL)
        BUG("no redis-server on port %s", port);
}

/* CPU of the thread that runs commands, in nanoseconds. */
static uint64_t server_cpu(const struct rig *rig)
{
    char path[64];
    unsigned long long ns;
    snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)rig->server);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%llu", &ns) != 1)
        BUG("%s", path);
    fclose(f);
    return ns;
}

static void send_argv(struct rig *rig, const struct slice *argv, size_t argc)
{
    const char *p[16];
    size_t n[16];
    assert(argc <= ARRAY_LEN(p));
    for (size_t i = 0; i < argc; i++) {
        p[i] = argv[i].p;
        n[i] = argv[i].n;
    }
    redisAppendCommandArgv(rig->redis, (int)argc, p, n);
}

static void send_call(struct rig *rig)
{
    send_argv(rig, rig->call.argv, rig->call.argc);
}

static void expect_replies(struct rig *rig, unsigned count)
{
    while (count-- > 0) {
        redisReply *reply = NULL;
        if (redisGetReply(rig->redis, (void **)&reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR)
            BUG("%s", reply != NULL ? reply->str : "connection lost");
        freeReplyObject(reply);
    }
}

static struct redis_fn_pipe next_place(struct rig *rig)
{
    rig->pipe.seq++;
    return rig->pipe;
}

static struct slice name_of(const struct target_row *t)
{
    return slice_of(t->name);
}

static struct redis_fn_append an_append(struct rig *rig, const struct target_row *t)
{
    return (struct redis_fn_append){
        .pipe = next_place(rig),
        .turn = rig->turn,
        .target = name_of(t),
        .bucket = t->bucket,
        .epoch = EPOCH,
        .part = SLICE("task-updates#0/3"),
        .offset = ++rig->offset,
        .maxlen = LOG_EVENTS,
        .ttl_ms = 604800000,
        .body = rig->body,
    };
}

static unsigned send_xadd(struct rig *rig, const struct target_row *t)
{
    char log[TARGET_NAME_SIZE];
    const struct slice argv[] = {SLICE("XADD"),
                                 target_name(TARGET_LOG, t->bucket, name_of(t), log),
                                 SLICE("MAXLEN"),
                                 SLICE("~"),
                                 SLICE(LOG_EVENTS_TEXT),
                                 SLICE("*"),
                                 SLICE("e"),
                                 buf_slice(&rig->message)};
    send_argv(rig, argv, ARRAY_LEN(argv));
    return 1;
}

static unsigned send_publish(struct rig *rig, const struct target_row *t)
{
    char channel[TARGET_NAME_SIZE];
    const struct slice argv[] = {SLICE("PUBLISH"), target_name(TARGET_CHANNEL, t->bucket, name_of(t), channel),
                                 buf_slice(&rig->message)};
    send_argv(rig, argv, ARRAY_LEN(argv));
    return 1;
}

static unsigned send_xadd_publish(struct rig *rig, const struct target_row *t)
{
    return send_xadd(rig, t) + send_publish(rig, t);
}

static unsigned send_append(struct rig *rig, const struct target_row *t)
{
    struct redis_fn_append a = an_append(rig, t);
    redis_fn_append(&rig->call, &a);
    send_call(rig);
    return 1;
}

/* Events without a record key: a target's come from all partitions. */
static unsigned send_append_unkeyed(struct rig *rig, const struct target_row *t)
{
    char part[32];
    struct redis_fn_append a = an_append(rig, t);
    a.part = slice_make(part, (size_t)snprintf(part, sizeof(part), "unkeyed#0/%d", rand() % 12));
    redis_fn_append(&rig->call, &a);
    send_call(rig);
    return 1;
}

static unsigned send_append_keyed(struct rig *rig, const struct target_row *t)
{
    char key[32];
    struct redis_fn_append a = an_append(rig, t);
    a.key = slice_make(key, (size_t)snprintf(key, sizeof(key), "order-%llu", (unsigned long long)rig->offset));
    a.window_ms = 60000;
    a.kafka_ms = 1700000000000 + rig->offset;
    redis_fn_append(&rig->call, &a);
    send_call(rig);
    return 1;
}

static unsigned send_repeat(struct rig *rig, const struct target_row *t)
{
    struct redis_fn_append a = an_append(rig, t);
    a.offset = 0;
    redis_fn_append(&rig->call, &a);
    send_call(rig);
    return 1;
}

static unsigned send_first(struct rig *rig, const struct target_row *unused)
{
    struct target_row t;
    snprintf(t.name, sizeof(t.name), "u:new-%u", rig->newcomers++);
    t.bucket = target_bucket(name_of(&t));
    return send_append(rig, &t);
}

static unsigned send_fn_publish(struct rig *rig, const struct target_row *t)
{
    redis_fn_publish(&rig->call, next_place(rig), t->bucket, name_of(t), rig->body);
    send_call(rig);
    return 1;
}

static unsigned send_get_meta(struct rig *rig, const struct target_row *t)
{
    char meta[TARGET_NAME_SIZE];
    const struct slice argv[] = {SLICE("GET"), target_name(TARGET_META, t->bucket, name_of(t), meta)};
    send_argv(rig, argv, ARRAY_LEN(argv));
    return 1;
}

static const struct bench {
    const char *name;
    const char *users;                                             /* each kind of log has targets of its own */
    unsigned (*send)(struct rig *rig, const struct target_row *t); /* returns how many replies will come */
} benches[] = {
    {"XADD MAXLEN ~ + PUBLISH", "plain", send_xadd_publish},
    {"PUBLISH", "plain", send_publish},
    {"XADD MAXLEN ~", "plain", send_xadd},
    {"tg1_append", "append", send_append},
    {"tg1_append, 12 partitions", "unkeyed", send_append_unkeyed},
    {"tg1_append, publisher's key", "keyed", send_append_keyed},
    {"tg1_append, repeat dropped", "append", send_repeat},
    {"tg1_append, new target", "new", send_first},
    {"tg1_publish", "append", send_fn_publish},
    {"GET of a meta", "append", send_get_meta},
};

static struct target_row a_target(const char *users, unsigned number)
{
    struct target_row t;
    snprintf(t.name, sizeof(t.name), "u:%s-%07u", users, number);
    t.bucket = target_bucket(name_of(&t));
    return t;
}

static double run_round(struct rig *rig, const struct bench *b)
{
    uint64_t before = server_cpu(rig);
    for (unsigned i = 0; i < CALLS; i += BATCH) {
        unsigned replies = 0;
        rig->turn++;
        for (unsigned j = 0; j < BATCH; j++) {
            struct target_row t = a_target(b->users, (unsigned)rand() % TARGETS);
            replies += b->send(rig, &t);
        }
        expect_replies(rig, replies);
    }
    return (double)(server_cpu(rig) - before) / CALLS / 1000;
}

static void prepare(struct rig *rig)
{
    char payload[500];
    memset(payload, 'x', sizeof(payload));
    buf_lit(&rig->message, IDS);
    envelope_encode(&rig->message, &(struct envelope){.key = SLICE("task-updates#0/3/123456"),
                                                      .kafka_ms = 1700000000000,
                                                      .event = SLICE("task_update"),
                                                      .targets = {SLICE("u:user-0001234")},
                                                      .target_count = 1,
                                                      .payload = slice_make(payload, sizeof(payload))});
    rig->body = slice_from(buf_slice(&rig->message), sizeof(IDS) - 1);
    rig->pipe.name = SLICE("bench");
    redis_fn_load(&rig->call, false);
    send_call(rig);
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++) {
        redis_fn_mark(&rig->call, next_place(rig), bucket, EPOCH, REDIS_FN_SINCE_NOW, NULL, 0);
        send_call(rig);
    }
    expect_replies(rig, 1 + TARGET_BUCKETS);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_medians(double us[ARRAY_LEN(benches)][ROUNDS_MAX], int rounds)
{
    double base = 0;
    for (size_t i = 0; i < ARRAY_LEN(benches); i++) {
        qsort(us[i], (size_t)rounds, sizeof(us[i][0]), by_value);
        double median = us[i][rounds / 2];
        base = i == 0 ? median : base;
        printf("%-28s %6.2f us  (%.2f to %.2f)  %.2f\n", benches[i].name, median, us[i][0], us[i][rounds - 1],
               median / base);
    }
}

int main(int argc, char **argv)
{
    static struct rig rig;
    static double us[ARRAY_LEN(benches)][ROUNDS_MAX];
    int rounds = argc > 2 ? atoi(argv[2]) : 11;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    start_server(&rig, argc > 1 ? argv[1] : "21299");
    prepare(&rig);
    for (size_t i = 0; i < ARRAY_LEN(benches); i++) /* warm */
        run_round(&rig, &benches[i]);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < ARRAY_LEN(benches); i++)
            us[i][round] = run_round(&rig, &benches[i]);
    }
    print_medians(us, rounds);
    redisFree(rig.redis);
    redis_fn_call_release(&rig.call);
    buf_release(&rig.message);
    kill(rig.server, SIGKILL);
    waitpid(rig.server, NULL, 0);
    return 0;
}

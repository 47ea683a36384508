/* tidegate-gateway: reads the configuration, starts one worker a CPU, waits for a signal, drains. */
#include "common/log.h"
#include "common/probe.h"
#include "gateway/api.h"
#include "gateway/probe_ws.h"
#include "gateway/stats.h"
#include "gateway/worker.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

static unsigned cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* What main and the workers' threads tell each other while the program starts. */
struct start {
    struct gateway *g;
    pthread_t *threads;
    unsigned index; /* of the worker that is being made */
    char *why;      /* owned; NULL: it was made */
    sem_t made, go;
    bool run;
};

/* A worker lives in its thread from first to last: h2o has free lists for each thread, and a socket goes on using those
 * of the thread that made it. */
static void *live(void *arg)
{
    struct start *s = arg;
    struct worker *w = &s->g->workers[s->index];
    bool made = worker_init(w, s->g, s->index, &api_http, &s->why) == 0;
    sem_post(&s->made);
    sem_wait(&s->go);
    if (made && s->run)
        worker_run(w);
    if (made)
        worker_release(w);
    return NULL;
}

/* Every worker listens before the first one runs: a port that is taken ends the program with one sentence. */
static int start_workers(struct start *s)
{
    struct gateway *g = s->g;
    unsigned started = 0;
    while (started < g->worker_count && s->why == NULL) {
        s->index = started;
        if (pthread_create(&s->threads[started++], NULL, live, s) != 0)
            BUG("a worker's thread could not be started");
        sem_wait(&s->made);
    }
    s->run = s->why == NULL;
    for (unsigned i = 0; i < started; i++)
        sem_post(&s->go);
    if (s->run)
        return 0;
    for (unsigned i = 0; i < started; i++)
        pthread_join(s->threads[i], NULL);
    log_error("start_failed", LOG_S("reason", s->why));
    fprintf(stderr, "tidegate-gateway: %s\n", s->why);
    free(s->why);
    return -1;
}

static void wait_for_signal(const sigset_t *signals)
{
    int signal;
    sigwait(signals, &signal);
    log_info("stopping", LOG_S("signal", strsignal(signal)));
}

/* A second signal while draining ends the process at once. */
static void *wait_for_impatience(void *signals)
{
    wait_for_signal(signals);
    _exit(1);
}

static void drain(struct gateway *g, const pthread_t *threads, sigset_t *signals)
{
    pthread_t impatience;
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_drain(&g->workers[i]);
    if (pthread_create(&impatience, NULL, wait_for_impatience, signals) != 0)
        BUG("a thread could not be started");
    for (unsigned i = 0; i < g->worker_count; i++)
        pthread_join(threads[i], NULL);
    pthread_cancel(impatience);
    pthread_join(impatience, NULL);
}

/* What is alive after the end, which should be nothing. */
static void log_left(const struct metrics *m)
{
    log_info("stopped", LOG_I("connections", metrics_sum(m, offsetof(struct gateway_metrics, connections))),
             LOG_I("sockets", metrics_sum(m, offsetof(struct gateway_metrics, sockets))),
             LOG_I("frames", metrics_sum(m, offsetof(struct gateway_metrics, frames))));
}

static int run_gateway(struct gateway *g)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct start start = {.g = g, .threads = xcalloc(g->worker_count, sizeof(*start.threads))};
    sem_init(&start.made, 0, 0);
    sem_init(&start.go, 0, 0);
    int rc = start_workers(&start) == 0 ? 0 : 1;
    if (rc == 0) {
        log_info("listening", LOG_S("host", g->cfg->host), LOG_I("port", g->workers[0].http.port),
                 LOG_I("workers", g->worker_count));
        wait_for_signal(&signals);
        drain(g, start.threads, &signals);
        log_left(&g->metrics);
    }
    free(start.threads);
    return rc;
}

/* As many descriptors as the system lets us have: the soft limit is often 1,024, for programs that use select(). */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("descriptors_not_raised", LOG_S("reason", strerror(errno)));
}

static void draw_id(char out[17])
{
    unsigned char bytes[8];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        BUG("getrandom failed");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static int probe(const struct config *cfg, const struct gateway_config *v)
{
    struct probe_ws ws = {.cfg = v, .user = config_asked(cfg, "probe-user")};
    const struct probe_self self = {
        .program = "tidegate-gateway", .host = v->host, .port = (uint16_t)v->port, .on_ws = probe_ws, .arg = &ws};
    return probe_run(cfg, &self);
}

int main(int argc, char **argv)
{
    struct gateway_config values;
    struct config *cfg = config_new(&gateway_config_table, &values);
    int rc = config_start(cfg, argc, argv, environ, stdout, stderr);
    if (rc == CONFIG_RUN && config_asked(cfg, "probe") != NULL)
        rc = probe(cfg, &values);
    if (rc != CONFIG_RUN) {
        config_free(cfg);
        return rc;
    }
    log_set_threshold(values.log_level);
    config_log_warnings(cfg);

    char *why;
    struct gateway g = {.cfg = &values};
    draw_id(g.id);
    if (redis_site_init(&g.redis, &REDIS_OPTIONS(&values), &why) != 0)
        BUG("REDIS_URL passed the configuration's judgement: %s", why);
    g.worker_count = values.workers > 0 ? (unsigned)values.workers : cpus();
    g.workers = xcalloc(g.worker_count, sizeof(*g.workers));
    limit_init(&g.addresses, (unsigned)values.max_connections_per_ip);
    g.seats.max = (uint64_t)values.max_connections;
    admission_rate_init(&g.admission, (uint64_t)values.admission_rate, (uint64_t)values.admission_burst,
                        values.admission_wait);
    raise_descriptors();
    metrics_init(&g.metrics, &gateway_metrics_table);
    process_measure(&g.process, &g.metrics, "tidegate-gateway");
    if (values.metrics_per_user)
        g.metrics.left_out = STATS_USER_METRIC;
    rc = run_gateway(&g);
    metrics_release(&g.metrics);
    limit_release(&g.addresses);
    redis_site_release(&g.redis);
    free(g.workers);
    config_free(cfg);
    return rc;
}

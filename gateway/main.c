/* tidegate-gateway: reads the configuration, starts one worker a CPU, waits for a signal, drains. */
#include "common/clock.h"
#include "common/log.h"
#include "gateway/api.h"
#include "gateway/stats.h"
#include "gateway/worker.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static unsigned cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void *run(void *arg)
{
    worker_run(arg);
    return NULL;
}

/* Every worker listens before the first one runs: a port that is taken ends the program with one sentence. */
static int start_workers(struct gateway *g)
{
    char *why;
    for (unsigned i = 0; i < g->worker_count; i++)
        if (worker_init(&g->workers[i], g, i, &api_http, &why) != 0) {
            log_error("start_failed", LOG_S("reason", why));
            fprintf(stderr, "tidegate-gateway: %s\n", why);
            return -1;
        }
    for (unsigned i = 0; i < g->worker_count; i++)
        if (pthread_create(&g->workers[i].thread, NULL, run, &g->workers[i]) != 0)
            BUG("a worker's thread could not be started");
    return 0;
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

static void drain(struct gateway *g, sigset_t *signals)
{
    pthread_t impatience;
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_drain(&g->workers[i]);
    if (pthread_create(&impatience, NULL, wait_for_impatience, signals) != 0)
        BUG("a thread could not be started");
    for (unsigned i = 0; i < g->worker_count; i++)
        pthread_join(g->workers[i].thread, NULL);
    pthread_cancel(impatience);
    pthread_join(impatience, NULL);
}

static int run_gateway(struct gateway *g)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (start_workers(g) != 0)
        return 1;
    log_info("listening", LOG_S("host", g->cfg->host), LOG_I("port", g->workers[0].http.port),
             LOG_I("workers", g->worker_count));
    wait_for_signal(&signals);
    drain(g, &signals);
    int64_t left = metrics_sum(&g->metrics, offsetof(struct gateway_metrics, connections));
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_release(&g->workers[i]);
    log_info("stopped", LOG_I("connections", left));
    return 0;
}

static void draw_id(char out[17])
{
    unsigned char bytes[8];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        BUG("getrandom failed");
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int main(int argc, char **argv)
{
    struct gateway_config values;
    struct config *cfg = config_new(&gateway_config_table, &values);
    int rc = config_start(cfg, argc, argv, environ, stdout, stderr);
    if (rc != CONFIG_RUN) {
        config_free(cfg);
        return rc;
    }
    log_set_threshold(values.log_level);
    config_log_warnings(cfg);

    const char *why;
    struct gateway g = {.cfg = &values, .started_ms = clock_wall_ms()};
    draw_id(g.id);
    if (endpoint_parse_redis(slice_of(values.redis_url), &g.redis, &why) != 0)
        BUG("REDIS_URL passed the configuration's judgement: %s", why);
    g.worker_count = values.workers > 0 ? (unsigned)values.workers : cpus();
    g.workers = xcalloc(g.worker_count, sizeof(*g.workers));
    limit_init(&g.addresses, (unsigned)values.max_connections_per_ip);
    metrics_init(&g.metrics, &gateway_metrics_table);
    if (values.metrics_per_user)
        g.metrics.left_out = STATS_USER_METRIC;
    rc = run_gateway(&g);
    metrics_release(&g.metrics);
    limit_release(&g.addresses);
    endpoint_release(&g.redis);
    free(g.workers);
    config_free(cfg);
    return rc;
}

/* A swarm of WebSocket clients: as many as memory allows, over as many processes as the limit of descriptors asks for.
 * The parent forks, watches the shared tallies, prints progress, and decides when it is over; the children
 * (lib/crowd.c) do the work. Exit status: 0 when every socket connected and none was lost, else 1; 2 for bad options.
 */
#include "loadtest/lib/args.h"
#include "loadtest/lib/crowd.h"

#include "common/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPARE_DESCRIPTORS 64
#define PROCESSES_MAX     1024
#define POLL_US           20000

static struct options {
    uint64_t sockets, users, processes, messages;
    double rate, seconds, interval;
    const char *target, *path, *secret;
    bool hold, json, quiet;
} opt = {.sockets = 100, .rate = 5000, .seconds = 10, .interval = 1, .target = "127.0.0.1:8080", .path = "/ws"};

static const struct arg args[] = {
    {"sockets", ARG_COUNT, &opt.sockets, "WebSockets to hold open."},
    {"target", ARG_TEXT, &opt.target,
     "Where to: host:port or ws://host:port/path, several with commas, taken in turn."},
    {"path", ARG_TEXT, &opt.path, "Path for targets that name none."},
    {"secret", ARG_TEXT, &opt.secret, "HS256 secret for the tokens; without one no token is sent."},
    {"users", ARG_COUNT, &opt.users, "Users u0, u1, … that share the sockets; by default one user a socket."},
    {"rate", ARG_REAL, &opt.rate, "Connects a second, over all processes; 0 is as fast as they are answered."},
    {"processes", ARG_COUNT, &opt.processes, "Client processes; by default as few as the descriptor limit allows."},
    {"seconds", ARG_REAL, &opt.seconds, "How long to go on once all are connected."},
    {"messages", ARG_COUNT, &opt.messages, "Stop earlier, after so many messages over all sockets."},
    {"hold", ARG_FLAG, &opt.hold, "Go on until interrupted (or until --messages)."},
    {"interval", ARG_REAL, &opt.interval, "Seconds between progress lines on stderr."},
    {"quiet", ARG_FLAG, &opt.quiet, "No progress lines."},
    {"json", ARG_FLAG, &opt.json, "Print the result as one JSON object."},
};
static const struct arg_table table = {"swarm", "a load of WebSocket clients that count what they receive", args,
                                       ARRAY_LEN(args)};

/* One run, as the parent sees it. */
struct swarm {
    struct target targets[TARGETS_MAX];
    size_t targets_n, processes, running;
    struct tally *tallies; /* one a process, shared */
    struct tally sum;
    pid_t pids[PROCESSES_MAX];
    uint64_t start_us, settled_us; /* settled: every socket is connected or has failed */
    bool child_died;
};

static volatile sig_atomic_t stop;

static void on_stop(int sig)
{
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction catch = {.sa_handler = on_stop};
    sigaction(SIGINT, &catch, NULL);
    sigaction(SIGTERM, &catch, NULL);
}

static void plan_processes(struct swarm *s)
{
    uint64_t limit = descriptors_raise();
    if (limit <= SPARE_DESCRIPTORS)
        args_refuse(&table, "the limit of %llu open files leaves none for sockets", (unsigned long long)limit);
    uint64_t each = limit - SPARE_DESCRIPTORS, least = (opt.sockets + each - 1) / each;
    s->processes = (size_t)MAX(opt.processes, least);
    if (opt.processes != 0 && opt.processes < least)
        fprintf(stderr, "swarm: %llu processes instead of %llu: each may open %llu files\n", (unsigned long long)least,
                (unsigned long long)opt.processes, (unsigned long long)limit);
    if (s->processes > MIN(opt.sockets, PROCESSES_MAX))
        args_refuse(&table, "%zu processes are too many", s->processes);
}

static void check_options(struct swarm *s)
{
    const char *why = "";
    if (opt.sockets == 0)
        args_refuse(&table, "--sockets must be at least 1");
    if (opt.path[0] != '/')
        args_refuse(&table, "--path must begin with a slash");
    if (opt.interval <= 0)
        args_refuse(&table, "--interval must be above 0");
    int n = targets_parse(opt.target, opt.path, s->targets, &why);
    if (n < 0)
        args_refuse(&table, "--target: %s", why);
    s->targets_n = (size_t)n;
    plan_processes(s);
}

_Noreturn static void child_main(const struct swarm *s, size_t i, pid_t parent)
{
    struct crowd_plan plan = {
        .targets = s->targets,
        .targets_n = s->targets_n,
        .first = opt.sockets * i / s->processes,
        .count = opt.sockets * (i + 1) / s->processes - opt.sockets * i / s->processes,
        .users = opt.users ? opt.users : opt.sockets,
        .secret = slice_of(opt.secret),
        .rate = opt.rate / (double)s->processes,
    };
    signal(SIGINT, SIG_IGN); /* the terminal sends it to all; the parent decides */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        exit(1);
    int rc = crowd_run(&plan, &s->tallies[i], &stop);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    s->tallies[i].cpu_us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000u +
                           (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    exit(rc == 0 ? 0 : 1);
}

static void start_children(struct swarm *s)
{
    pid_t parent = getpid();
    s->tallies =
        mmap(NULL, s->processes * sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s->tallies == MAP_FAILED)
        args_refuse(&table, "no shared memory: %s", strerror(errno));
    for (size_t i = 0; i < s->processes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            child_main(s, i, parent);
        if (pid < 0) {
            fprintf(stderr, "swarm: fork: %s\n", strerror(errno));
            s->child_died = true;
            return;
        }
        s->pids[s->running++] = pid;
    }
}

static void sum_up(struct swarm *s)
{
    memset(&s->sum, 0, sizeof(s->sum));
    for (size_t i = 0; i < s->processes; i++)
        tally_merge(&s->sum, &s->tallies[i]);
    if (s->settled_us == 0 && s->sum.connected + s->sum.failed >= opt.sockets)
        s->settled_us = clock_mono_us();
}

static bool is_over(const struct swarm *s)
{
    if (stop || s->child_died || (opt.messages > 0 && s->sum.messages >= opt.messages))
        return true;
    if (s->settled_us == 0)
        return false;
    bool nobody_left = s->sum.connected == s->sum.lost;
    return nobody_left || (!opt.hold && (double)(clock_mono_us() - s->settled_us) / 1e6 >= opt.seconds);
}

static void note_dead_children(struct swarm *s)
{
    pid_t pid;
    int status;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        fprintf(stderr, "swarm: client process %d ended early (status %d)\n", (int)pid, status);
        for (size_t i = 0; i < s->running; i++)
            if (s->pids[i] == pid)
                s->pids[i] = s->pids[--s->running];
        s->child_died = true;
    }
}

static void watch(struct swarm *s)
{
    uint64_t last_us = s->start_us, last_messages = 0;
    while (!is_over(s)) {
        usleep(POLL_US);
        sum_up(s);
        note_dead_children(s);
        uint64_t now = clock_mono_us();
        double gone = (double)(now - last_us) / 1e6;
        if (opt.quiet || gone < opt.interval)
            continue;
        tally_print_progress(stderr, &s->sum, (double)(now - s->start_us) / 1e6,
                             (double)(s->sum.messages - last_messages) / gone);
        last_us = now;
        last_messages = s->sum.messages;
    }
}

static void stop_children(struct swarm *s)
{
    for (size_t i = 0; i < s->running; i++)
        kill(s->pids[i], SIGTERM);
    for (size_t i = 0; i < s->running; i++)
        while (waitpid(s->pids[i], NULL, 0) < 0 && errno == EINTR)
            continue;
}

static int report(struct swarm *s, uint64_t end_us)
{
    uint64_t settled = s->settled_us ? s->settled_us : end_us;
    struct tally_times times = {.connect_s = (double)(settled - s->start_us) / 1e6,
                                .run_s = (double)(end_us - settled) / 1e6};
    sum_up(s);
    (opt.json ? tally_print_json : tally_print_text)(stdout, &s->sum, opt.sockets, &times);
    fflush(stdout);
    return s->sum.connected == opt.sockets && s->sum.lost == 0 && !s->child_died ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct swarm s;
    args_parse(&table, argc, argv);
    check_options(&s);
    catch_signals();
    s.start_us = clock_mono_us();
    start_children(&s);
    watch(&s);
    uint64_t end_us = clock_mono_us();
    stop_children(&s);
    return report(&s, end_us);
}

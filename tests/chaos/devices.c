/* The devices of a scenario in one process: some hundred reconnecting clients on epoll. A line of JSON on stdout four
 * times a second says how they are; the ledger goes to a file. It runs until SIGTERM.
 */
#include "loadtest/lib/args.h"
#include "tests/chaos/device.h"

#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS      256
#define TICK_MS     20
#define PROGRESS_US 250000u
#define AWAY_MAX_US 1500000u /* of a device that left by itself */

static struct options {
    uint64_t devices, users, seed, silence_ms;
    double churn, rate;
    const char *targets, *secret, *ledger, *resume;
} opt = {.devices = 300, .users = 100, .seed = 1, .silence_ms = 8000, .targets = "", .secret = "", .resume = "l"};

static const struct arg args[] = {
    {"targets", ARG_TEXT, &opt.targets, "The gateways, host:port with commas; each connection takes any of them."},
    {"devices", ARG_COUNT, &opt.devices, "Devices; device i belongs to user i mod --users."},
    {"users", ARG_COUNT, &opt.users, "Users u0, u1, …"},
    {"secret", ARG_TEXT, &opt.secret, "HS256 secret for the tokens."},
    {"resume", ARG_TEXT, &opt.resume,
     "How they resume, a letter each in turn: l last_id, a device_id with acks, p device_id with pongs, n not."},
    {"silence-ms", ARG_COUNT, &opt.silence_ms, "A device that hears nothing for so long goes to another gateway."},
    {"churn", ARG_REAL, &opt.churn, "Devices a second that leave by themselves and come back, once all have come."},
    {"rate", ARG_REAL, &opt.rate, "Devices a second that come for the first time; 0 is all at once."},
    {"seed", ARG_COUNT, &opt.seed, "Of every choice the devices make."},
    {"ledger", ARG_TEXT, &opt.ledger, "File for what happened to them."},
};
static const struct arg_table table = {"devices", "reconnecting clients that keep a ledger", args, ARRAY_LEN(args)};

static volatile sig_atomic_t stop;

static void on_stop(int sig)
{
    stop = 1;
}

static void check_options(struct fleet *f)
{
    const char *why = "";
    int n = targets_parse(opt.targets, "/ws", f->targets, &why);
    if (n <= 0)
        args_refuse(&table, "--targets: %s", why);
    if (opt.ledger == NULL)
        args_refuse(&table, "--ledger is missing");
    if (opt.devices == 0 || opt.users == 0 || opt.devices > descriptors_raise() - 32)
        args_refuse(&table, "--devices or --users is out of range");
    if (opt.resume[0] == '\0' || opt.resume[strspn(opt.resume, "lapn")] != '\0')
        args_refuse(&table, "--resume knows the letters l, a, p and n");
    f->target_count = (size_t)n;
}

static struct device *make_devices(void)
{
    static const char letters[RESUME_COUNT + 1] = "lapn";
    struct device *devices = xcalloc(opt.devices, sizeof(*devices));
    uint64_t start_us = clock_mono_us();
    size_t kinds = strlen(opt.resume);
    for (uint32_t i = 0; i < opt.devices; i++) {
        /* All devices of a user are of several kinds, whatever both numbers are. */
        char letter = opt.resume[(i / opt.users + i) % kinds];
        devices[i] = (struct device){.fd = -1,
                                     .number = i,
                                     .due_us = opt.rate > 0 ? start_us + (uint64_t)(i * 1e6 / opt.rate) : 0,
                                     .user = i % (uint32_t)opt.users,
                                     .resume = (enum resume)(strchr(letters, letter) - letters)};
    }
    return devices;
}

static void churn(struct fleet *f, struct device *devices)
{
    static uint64_t start_us, left;
    if (f->arrived < opt.devices)
        return;
    if (start_us == 0)
        start_us = f->now_us;
    uint64_t due = (uint64_t)(opt.churn * (double)(f->now_us - start_us) / 1e6);
    for (; left < due; left++) {
        struct device *d = &devices[fleet_random(f, (uint32_t)opt.devices)];
        bool politely = fleet_random(f, 2) == 0;
        device_leave(f, d, politely, fleet_random(f, AWAY_MAX_US));
    }
}

static void say_progress(const struct fleet *f)
{
    printf("{\"welcomed\":%" PRIu32 ",\"arrived\":%" PRIu32 ",\"done\":%" PRIu32 ",\"events\":%" PRIu64
           ",\"connects\":%" PRIu64 ",\"refusals\":%" PRIu64 "}\n",
           f->welcomed, f->arrived, f->done, f->events, f->connects, f->refusals);
    fflush(stdout);
}

static void turn(struct fleet *f)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(f->epoll, events, EVENTS, TICK_MS);
    f->now_us = clock_mono_us();
    for (int i = 0; i < n; i++)
        device_on_event(f, events[i].data.ptr);
}

static void run(struct fleet *f, struct device *devices)
{
    uint64_t tick_us = 0, progress_us = 0;
    while (!stop) {
        turn(f);
        if (f->now_us < tick_us + TICK_MS * 1000u)
            continue;
        tick_us = f->now_us;
        for (uint64_t i = 0; i < opt.devices; i++)
            device_tick(f, &devices[i]);
        churn(f, devices);
        if (f->now_us < progress_us + PROGRESS_US)
            continue;
        progress_us = f->now_us;
        say_progress(f);
    }
}

int main(int argc, char **argv)
{
    static struct fleet f;
    args_parse(&table, argc, argv);
    check_options(&f);
    signal(SIGINT, on_stop);
    signal(SIGTERM, on_stop);
    f.ledger = fopen(opt.ledger, "wb");
    f.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (f.ledger == NULL || f.epoll < 0)
        args_refuse(&table, "%s: %s", opt.ledger, strerror(errno));
    f.secret = slice_of(opt.secret);
    f.users = (uint32_t)opt.users;
    f.silence_us = opt.silence_ms * 1000;
    f.patience_us = opt.silence_ms * 1000 / 2;
    f.random = opt.seed * UINT64_C(0x9E3779B97F4A7C15) | 1; /* never 0 */
    f.in = xmalloc(DEVICE_READ_MAX);
    struct device *devices = make_devices();
    run(&f, devices);
    say_progress(&f);
    for (uint64_t i = 0; i < opt.devices; i++)
        device_release(&devices[i]);
    free(devices);
    free(f.in);
    close(f.epoll);
    return fclose(f.ledger) == 0 ? 0 : 1;
}

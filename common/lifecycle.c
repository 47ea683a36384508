/* A signalfd on the loop, so that no code of ours ever runs inside a signal handler. */
#include "common/lifecycle.h"
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_readable(h2o_socket_t *sock, const char *err)
{
    struct lifecycle *lc = sock->data;
    struct signalfd_siginfo info;
    while (read(h2o_socket_get_fd(sock), &info, sizeof(info)) == sizeof(info)) {
        log_info("signal", LOG_I("number", info.ssi_signo), LOG_I("from_pid", info.ssi_pid));
        if (++lc->signals > 1)
            _exit(1);
        lc->on_stop(lc);
    }
}

static void on_deadline(struct timer *t)
{
    struct lifecycle *lc = CONTAINER_OF(t, struct lifecycle, deadline);
    lc->on_deadline(lc);
}

void lifecycle_init(struct lifecycle *lc, struct loop *l, void (*on_stop)(struct lifecycle *))
{
    *lc = (struct lifecycle){.loop = l, .on_stop = on_stop};
    timer_init(&lc->deadline, on_deadline);
    signal(SIGPIPE, SIG_IGN);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        BUG("signalfd: %s", strerror(errno));
    lc->sock = h2o_evloop_socket_create(l->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    lc->sock->data = lc;
    h2o_socket_read_start(lc->sock, on_readable);
}

void lifecycle_bound(struct lifecycle *lc, uint64_t ms, void (*on_late)(struct lifecycle *))
{
    lc->on_deadline = on_late;
    timer_start(lc->loop, &lc->deadline, ms);
}

void lifecycle_release(struct lifecycle *lc)
{
    timer_stop(&lc->deadline);
    h2o_socket_close(lc->sock);
    lc->sock = NULL;
}

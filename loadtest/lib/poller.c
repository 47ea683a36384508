/* Each event carries its watch. One that was closed earlier in the same turn is passed over. */
#include "loadtest/lib/poller.h"

#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256

void poller_init(struct poller *p)
{
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
}

static void control(struct poller *p, struct watch *w, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    epoll_ctl(p->epoll, op, w->fd, &e);
    w->events = events;
}

void watch_open(struct poller *p, struct watch *w, int fd, uint32_t events,
                void (*on_event)(struct watch *w, uint32_t events))
{
    w->fd = fd;
    w->on_event = on_event;
    control(p, w, EPOLL_CTL_ADD, events);
}

void watch_for(struct poller *p, struct watch *w, uint32_t events)
{
    if (w->fd >= 0 && w->events != events)
        control(p, w, EPOLL_CTL_MOD, events);
}

void watch_close(struct watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void watch_reset(struct watch *w)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (w->fd >= 0)
        setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    watch_close(w);
}

void poller_turn(struct poller *p, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(p->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct watch *w = events[i].data.ptr;
        if (w->fd >= 0)
            w->on_event(w, events[i].events);
    }
}

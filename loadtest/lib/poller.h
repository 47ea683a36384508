/* Descriptors and who cares for them, on raw epoll, level-triggered. */
#ifndef TIDEGATE_LOADTEST_POLLER_H
#define TIDEGATE_LOADTEST_POLLER_H

#include "common/base.h"

#include <sys/epoll.h>

/* Embedded in its owner. fd -1: closed. It must stay in memory until the turn in which it was closed is over. */
struct watch {
    int fd;
    uint32_t events; /* what is waited for: EPOLLIN, EPOLLOUT */
    void (*on_event)(struct watch *w, uint32_t events);
};

struct poller {
    int epoll;
};

void poller_init(struct poller *p);
/* Takes fd. */
void watch_open(struct poller *p, struct watch *w, int fd, uint32_t events,
                void (*on_event)(struct watch *w, uint32_t events));
void watch_for(struct poller *p, struct watch *w, uint32_t events);
/* Harmless when closed. */
void watch_close(struct watch *w);
/* The same, so that the other side gets a TCP reset and not the end. */
void watch_reset(struct watch *w);
/* Waits at most wait_ms (-1: for ever) and calls who is ready. */
void poller_turn(struct poller *p, int wait_ms);

#endif

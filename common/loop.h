/* One event loop, owned by one thread: h2o's epoll loop with what it lacks, that is timers of any duration on the
 * monotonic clock (h2o's are lists of one duration on the wall clock), hooks that run once after every turn, and a way
 * in from other threads. Everything here but loop_post belongs to the loop's own thread. */
#ifndef TIDEGATE_COMMON_LOOP_H
#define TIDEGATE_COMMON_LOOP_H

#include "common/list.h"

#include <h2o.h>
#include <pthread.h>

/* Something that wakes the loop from outside: an eventfd that a library or another thread writes 8 bytes to. */
struct waker {
    h2o_socket_t *sock;
    int fd; /* the eventfd; write a uint64_t of at least 1 */
    void (*on_wake)(struct waker *w);
};

struct loop {
    h2o_loop_t *h2o;
    uint64_t now_ms;    /* monotonic, taken once a turn */
    struct list timers; /* by due time, soonest first */
    struct list hooks;  /* in the order they were added */
    bool stopping, again;
    struct waker inbox_waker; /* for posts */
    pthread_mutex_t inbox_lock;
    struct list inbox;
};

/* A one-shot timer, embedded in its owner. */
struct timer {
    struct list link;
    uint64_t due_ms;
    void (*on_fire)(struct timer *t);
};

/* Runs after each turn. Returns true to be run again without waiting for events. */
struct turn_hook {
    struct list link;
    bool (*on_turn)(struct turn_hook *hook);
};

/* A message to the loop from any thread; *taken* by loop_post until on_post is called on the loop's thread. */
struct post {
    struct list link;
    void (*on_post)(struct post *p);
};

void loop_init(struct loop *l);
/* After the last socket was closed and every timer stopped. */
void loop_release(struct loop *l);
/* Turns until loop_stop; then returns. */
void loop_run(struct loop *l);
/* Ends loop_run after this turn. */
void loop_stop(struct loop *l);
/* One turn that waits at most max_wait_ms for events; loop_run is this in a loop. */
void loop_turn(struct loop *l, int max_wait_ms);

/* A hook has something to do, as of now: this turn waits for nothing. */
static inline void loop_again(struct loop *l)
{
    l->again = true;
}
void loop_add_hook(struct loop *l, struct turn_hook *hook, bool (*on_turn)(struct turn_hook *));
void loop_post(struct loop *l, struct post *p, void (*on_post)(struct post *));

void timer_init(struct timer *t, void (*on_fire)(struct timer *));
/* Arms, or re-arms, to fire once ms milliseconds from the start of this turn. */
void timer_start(struct loop *l, struct timer *t, uint64_t ms);
void timer_stop(struct timer *t);
bool timer_is_armed(const struct timer *t);

void waker_init(struct waker *w, struct loop *l, void (*on_wake)(struct waker *));
void waker_release(struct waker *w);

#endif

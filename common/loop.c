/* A turn is: what h2o's epoll brought, then due timers, then the hooks. Waiting is bounded by the next timer, and is
 * zero while a hook has more to do. */
#include "common/loop.h"
#include "common/clock.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_waker_readable(h2o_socket_t *sock, const char *err)
{
    struct waker *w = sock->data;
    uint64_t count;
    if (read(w->fd, &count, sizeof(count)) > 0)
        w->on_wake(w);
}

void waker_init(struct waker *w, struct loop *l, void (*on_wake)(struct waker *))
{
    w->on_wake = on_wake;
    w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->fd < 0)
        BUG("eventfd: %s", strerror(errno));
    w->sock = h2o_evloop_socket_create(l->h2o, w->fd, H2O_SOCKET_FLAG_DONT_READ);
    w->sock->data = w;
    h2o_socket_read_start(w->sock, on_waker_readable);
}

void waker_release(struct waker *w)
{
    h2o_socket_close(w->sock);
    w->sock = NULL;
}

static void deliver_posts(struct waker *w)
{
    struct loop *l = CONTAINER_OF(w, struct loop, inbox_waker);
    struct list posts;
    list_init(&posts);
    pthread_mutex_lock(&l->inbox_lock);
    while (!list_empty(&l->inbox)) {
        struct list *first = l->inbox.next;
        list_remove(first);
        list_push_back(&posts, first);
    }
    pthread_mutex_unlock(&l->inbox_lock);

    while (!list_empty(&posts)) {
        struct post *p = CONTAINER_OF(posts.next, struct post, link);
        list_remove(&p->link);
        p->on_post(p);
    }
}

void loop_init(struct loop *l)
{
    *l = (struct loop){.h2o = h2o_evloop_create(), .now_ms = clock_mono_ms()};
    list_init(&l->timers);
    list_init(&l->hooks);
    list_init(&l->inbox);
    pthread_mutex_init(&l->inbox_lock, NULL);
    waker_init(&l->inbox_waker, l, deliver_posts);
}

void loop_release(struct loop *l)
{
    deliver_posts(&l->inbox_waker); /* what nobody waits for any more frees itself */
    waker_release(&l->inbox_waker);
    pthread_mutex_destroy(&l->inbox_lock);
    h2o_evloop_run(l->h2o, 0); /* h2o frees closed sockets at the start of a turn */
    h2o_evloop_destroy(l->h2o);
    l->h2o = NULL;
}

void loop_post(struct loop *l, struct post *p, void (*on_post)(struct post *))
{
    p->on_post = on_post;
    pthread_mutex_lock(&l->inbox_lock);
    list_push_back(&l->inbox, &p->link);
    pthread_mutex_unlock(&l->inbox_lock);
    uint64_t one = 1;
    if (write(l->inbox_waker.fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        BUG("eventfd write: %s", strerror(errno));
}

void loop_add_hook(struct loop *l, struct turn_hook *hook, bool (*on_turn)(struct turn_hook *))
{
    hook->on_turn = on_turn;
    list_push_back(&l->hooks, &hook->link);
}

void timer_init(struct timer *t, void (*on_fire)(struct timer *))
{
    list_init(&t->link);
    t->due_ms = 0;
    t->on_fire = on_fire;
}

/* Timers are few (a handful a link, one a list of connections) and mostly of like durations: the place is near the
 * end. */
void timer_start(struct loop *l, struct timer *t, uint64_t ms)
{
    list_remove(&t->link);
    t->due_ms = l->now_ms + ms;
    struct list *at = l->timers.prev;
    while (at != &l->timers && CONTAINER_OF(at, struct timer, link)->due_ms > t->due_ms)
        at = at->prev;
    list_insert_before(at->next, &t->link);
}

void timer_stop(struct timer *t)
{
    list_remove(&t->link);
}

bool timer_is_armed(const struct timer *t)
{
    return !list_empty(&t->link);
}

/* A timer that its own callback arms again with 0 ms waits for the next turn. */
static void fire_due(struct loop *l)
{
    struct list due;
    list_init(&due);
    while (!list_empty(&l->timers) && CONTAINER_OF(l->timers.next, struct timer, link)->due_ms <= l->now_ms) {
        struct list *first = l->timers.next;
        list_remove(first);
        list_push_back(&due, first);
    }
    while (!list_empty(&due)) {
        struct timer *t = CONTAINER_OF(due.next, struct timer, link);
        list_remove(&t->link);
        t->on_fire(t);
    }
}

static bool run_hooks(struct loop *l)
{
    bool more = false;
    LIST_EACH_SAFE (it, &l->hooks) {
        struct turn_hook *hook = CONTAINER_OF(it, struct turn_hook, link);
        more |= hook->on_turn(hook);
    }
    return more;
}

static int wait_bound(struct loop *l, int max_wait_ms)
{
    if (list_empty(&l->timers))
        return max_wait_ms;
    uint64_t due = CONTAINER_OF(l->timers.next, struct timer, link)->due_ms;
    uint64_t now = clock_mono_ms();
    if (due <= now)
        return 0;
    return due - now < (uint64_t)max_wait_ms ? (int)(due - now) : max_wait_ms;
}

/* What timers and hooks have written is reported as written before h2o looks which sockets to watch: it expects its
 * callbacks to do all writing, and aborts over a socket that it watched for a write that was done already. */
void loop_turn(struct loop *l, int max_wait_ms)
{
    l->again = false;
    if (run_hooks(l))
        l->again = true;
    h2o_timeout__do_post_callback(l->h2o);
    if (h2o_evloop_run(l->h2o, l->again ? 0 : wait_bound(l, max_wait_ms)) != 0 && errno != EINTR)
        BUG("event loop: %s", strerror(errno));
    l->now_ms = clock_mono_ms();
    fire_due(l);
}

void loop_run(struct loop *l)
{
    while (!l->stopping)
        loop_turn(l, 60 * 1000);
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

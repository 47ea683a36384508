/* The thread and the loop share one object. Whoever comes last frees it: the loop, when the thread's answer arrives as
 * a post; the thread, when it finds at its end that nobody waits any more. */
#include "common/resolve.h"

#include <stdio.h>
#include <stdlib.h>

struct resolve {
    struct post post;
    pthread_mutex_t lock;
    struct loop *loop; /* NULL once cancelled, under the lock until the answer is posted */
    bool posted;
    char *host;
    char port[8];
    struct addrinfo *found;
    const char *why;
    resolve_cb cb;
    void *arg;
};

static void resolve_free(struct resolve *r)
{
    if (r->found != NULL)
        freeaddrinfo(r->found);
    pthread_mutex_destroy(&r->lock);
    free(r->host);
    free(r);
}

static void on_answer(struct post *p)
{
    struct resolve *r = CONTAINER_OF(p, struct resolve, post);
    /* the thread may still hold the lock that it posted under */
    pthread_mutex_lock(&r->lock);
    pthread_mutex_unlock(&r->lock);
    if (r->cb != NULL)
        r->cb(r->arg, r->found, r->why);
    resolve_free(r);
}

static void *look_up(void *arg)
{
    struct resolve *r = arg;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
    int rc = getaddrinfo(r->host, r->port, &hints, &r->found);
    if (rc != 0)
        r->why = gai_strerror(rc);
    pthread_mutex_lock(&r->lock);
    bool wanted = r->loop != NULL;
    r->posted = wanted;
    if (wanted)
        loop_post(r->loop, &r->post, on_answer);
    pthread_mutex_unlock(&r->lock);
    if (!wanted)
        resolve_free(r);
    return NULL;
}

struct resolve *resolve_start(struct loop *l, const char *host, uint16_t port, resolve_cb cb, void *arg)
{
    struct resolve *r = xcalloc(1, sizeof(*r));
    pthread_t thread;
    *r = (struct resolve){.loop = l, .host = xstrdup(host), .cb = cb, .arg = arg};
    snprintf(r->port, sizeof(r->port), "%u", port);
    pthread_mutex_init(&r->lock, NULL);
    if (pthread_create(&thread, NULL, look_up, r) != 0)
        BUG("a thread to look up %s could not be started", host);
    pthread_detach(thread);
    return r;
}

void resolve_cancel(struct resolve *r)
{
    pthread_mutex_lock(&r->lock);
    r->cb = NULL; /* an answer that is on its way finds nobody */
    if (!r->posted)
        r->loop = NULL;
    pthread_mutex_unlock(&r->lock);
}

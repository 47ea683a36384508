/* The kernel keeps the time: before each call the socket is told how much of it is left. Names are looked up by a
 * thread of the C library, which may be left behind. */
#include "common/dial.h"
#include "common/clock.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define READ_CHUNK 16384

static uint64_t left_ms(const struct dial *d)
{
    uint64_t now = clock_mono_ms();
    return now < d->until_ms ? d->until_ms - now : 0;
}

static int fail(char **why, const char *what, const char *reason)
{
    *why = xasprintf("%s: %s", what, reason);
    return -1;
}

/* What errno says of a call on the socket. */
static int fail_call(char **why, const char *what)
{
    bool late = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS;
    return fail(why, what, late ? "no answer in time" : strerror(errno));
}

/* SO_SNDTIMEO bounds connect too, see socket(7). Zero would be no limit at all. */
static int arm(struct dial *d, int option, const char *what, char **why)
{
    uint64_t ms = left_ms(d);
    struct timeval left = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    if (ms == 0)
        return fail(why, what, "no answer in time");
    return setsockopt(d->fd, SOL_SOCKET, option, &left, sizeof(left)) == 0 ? 0 : fail_call(why, what);
}

/* Returns the addresses (freeaddrinfo), or NULL. */
static struct addrinfo *look_up(const struct dial *d, const char *host, uint16_t port, char **why)
{
    static struct gaicb request; /* outlives a look-up that is left behind; so does what it points at */
    static struct addrinfo tcp = {.ai_socktype = SOCK_STREAM};
    static char name[256], service[8];
    struct gaicb *list[] = {&request};
    struct timespec left = {.tv_sec = (time_t)(left_ms(d) / 1000), .tv_nsec = (long)(left_ms(d) % 1000 * 1000000)};
    snprintf(name, sizeof(name), "%s", host);
    snprintf(service, sizeof(service), "%u", port);
    request = (struct gaicb){.ar_name = name, .ar_service = service, .ar_request = &tcp};
    int error = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    if (error == 0)
        gai_suspend((const struct gaicb *const *)list, 1, &left);
    if (error == 0)
        error = gai_error(&request);
    if (error == 0)
        return request.ar_result;
    fail(why, host, error == EAI_INPROGRESS ? "its name was not looked up in time" : gai_strerror(error));
    return NULL;
}

static int connect_to(struct dial *d, const struct addrinfo *at, char **why)
{
    d->fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (d->fd < 0)
        return fail_call(why, "socket");
    if (arm(d, SO_SNDTIMEO, "connect", why) == 0) {
        if (connect(d->fd, at->ai_addr, at->ai_addrlen) == 0)
            return 0;
        fail_call(why, "connect");
    }
    close(d->fd);
    return -1;
}

int dial_open(struct dial *d, const char *host, uint16_t port, uint64_t limit_ms, char **why)
{
    *d = (struct dial){.fd = -1, .until_ms = clock_mono_ms() + limit_ms};
    struct addrinfo *found = look_up(d, host, port, why);
    int rc = -1;
    if (found == NULL)
        return -1;
    *why = NULL;
    for (const struct addrinfo *at = found; at != NULL && rc != 0; at = at->ai_next) {
        free(*why); /* of the address before */
        *why = NULL;
        rc = connect_to(d, at, why);
    }
    freeaddrinfo(found);
    return rc;
}

int dial_send(struct dial *d, struct slice bytes, char **why)
{
    while (bytes.n > 0) {
        if (arm(d, SO_SNDTIMEO, "write", why) != 0)
            return -1;
        ssize_t n = send(d->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0)
            return fail_call(why, "write");
        bytes = slice_from(bytes, (size_t)n);
    }
    return 0;
}

int dial_more(struct dial *d, char **why)
{
    if (arm(d, SO_RCVTIMEO, "read", why) != 0)
        return -1;
    ssize_t n = recv(d->fd, buf_reserve(&d->in, READ_CHUNK), READ_CHUNK, 0);
    if (n < 0)
        return fail_call(why, "read");
    d->in.n += (size_t)n;
    return n > 0;
}

void dial_release(struct dial *d)
{
    close(d->fd);
    buf_release(&d->in);
}

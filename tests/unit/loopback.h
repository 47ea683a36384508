/* What tests need that speak to a link over loopback in one process: a clock that stands still until the test moves it
 * (CMake wraps clock_mono_ms for programs that include this), and certainty that what was written has been read. On a
 * busy machine even loopback takes its time. */
#ifndef TIDEGATE_TESTS_UNIT_LOOPBACK_H
#define TIDEGATE_TESTS_UNIT_LOOPBACK_H

#include "common/loop.h"

#include <linux/tcp.h> /* knows more than netinet/tcp.h */
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOPBACK_FDS   1024  /* a test has fewer */
#define LOOPBACK_TURNS 20000 /* of a millisecond, before something is given up */

static uint64_t loopback_now_ms = 1000000;

uint64_t __wrap_clock_mono_ms(void);

uint64_t __wrap_clock_mono_ms(void)
{
    return loopback_now_ms;
}

/* The descriptor of this process at the other end of a connection, -1 when it is closed. */
static inline int loopback_other_end(int fd)
{
    struct sockaddr_in ours = {0}, theirs = {0}, name;
    socklen_t n = sizeof(ours), m = sizeof(theirs);
    if (getsockname(fd, (struct sockaddr *)&ours, &n) != 0 || getpeername(fd, (struct sockaddr *)&theirs, &m) != 0)
        return -1;
    for (int other = 0; other < LOOPBACK_FDS; other++) {
        m = sizeof(name);
        if (getsockname(other, (struct sockaddr *)&name, &m) == 0 && memcmp(&name, &theirs, n) == 0)
            return other;
    }
    return -1;
}

/* Whether the other end has read `sent` bytes, all that was ever written to it, or has hung up. */
static inline bool loopback_took(int fd, uint64_t sent)
{
    struct tcp_info info;
    socklen_t n = sizeof(info);
    int other = loopback_other_end(fd), unread = 0;
    if (other < 0)
        return true;
    return getsockopt(other, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 && info.tcpi_bytes_received >= sent &&
           ioctl(other, FIONREAD, &unread) == 0 && unread == 0;
}

#endif

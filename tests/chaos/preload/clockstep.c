/* Preloaded into a server of others, it moves that server's wall clock at run time: by as many microseconds as the
 * first eight bytes of the file CLOCKSTEP_FILE say (int64_t, shared memory, written by tests/chaos/clockstep.py).
 * Clocks that only measure stay true. The kernel is asked directly, as the library's own functions are what is replaced
 * here. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_us;

__attribute__((constructor)) static void find_offset(void)
{
    const char *name = getenv("CLOCKSTEP_FILE");
    int fd = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof(*offset_us), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    offset_us = at != MAP_FAILED ? at : NULL;
    if (fd >= 0)
        close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int r = (int)syscall(SYS_clock_gettime, clock, out);
    if (r != 0 || offset_us == NULL || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return r;
    int64_t step_us = *offset_us, ns = out->tv_nsec + step_us % 1000000 * 1000;
    int64_t carry = ns < 0 ? -1 : ns >= 1000000000;
    out->tv_sec += step_us / 1000000 + carry;
    out->tv_nsec = ns - carry * 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL)
        *out = now.tv_sec;
    return now.tv_sec;
}

/* The two clocks and one text form of time. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000u;
}

uint64_t clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

uint64_t clock_wall_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000u;
}

void clock_iso8601(uint64_t wall_ms, char out[CLOCK_ISO_LEN + 1])
{
    time_t seconds = (time_t)(wall_ms / 1000u);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 8099) {
        memcpy(out, "9999-12-31T23:59:59.999Z", CLOCK_ISO_LEN + 1);
        return;
    }
    char text[64];
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (unsigned)(wall_ms % 1000u));
    memcpy(out, text, CLOCK_ISO_LEN);
    out[CLOCK_ISO_LEN] = '\0';
}

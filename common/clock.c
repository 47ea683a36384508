/* The two clocks and one text form of time. */
#include "common/clock.h"

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

static void put_digits(char *out, unsigned value, int width)
{
    while (width > 0) {
        out[--width] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Years are counted from 1 March of the year 0, so that a leap day is the last of its year, and months are the runs of
 * 31, 30, 31, 30, 31 days that 153 days have from March on. */
static void put_date(char *out, uint64_t days_since_1970)
{
    unsigned day = (unsigned)days_since_1970 + 719468; /* days from that 1 March to 1970 */
    unsigned year = day / 146097 * 400;                /* 146,097 days have 400 years */
    day %= 146097;
    unsigned rest = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= rest * 365 + rest / 4 - rest / 100;
    unsigned month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;
    year += rest + (month >= 10);
    put_digits(out, year, 4);
    put_digits(out + 5, month < 10 ? month + 3 : month - 9, 2);
    put_digits(out + 8, day + 1, 2);
}

/* By hand, because it is done for every event that has no time of its own: gmtime_r and snprintf cost as much as the
 * whole rest of decoding it. */
void clock_iso8601(uint64_t wall_ms, char out[CLOCK_ISO_LEN + 1])
{
    static const uint64_t last_ms = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    wall_ms = MIN(wall_ms, last_ms);
    unsigned of_day = (unsigned)(wall_ms % 86400000u);
    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_ISO_LEN + 1);
    put_date(out, wall_ms / 86400000u);
    put_digits(out + 11, of_day / 3600000, 2);
    put_digits(out + 14, of_day / 60000 % 60, 2);
    put_digits(out + 17, of_day / 1000 % 60, 2);
    put_digits(out + 20, of_day % 1000, 3);
}

/* What decoding costs the router: one 500-byte event, everything validated, the members it asks for cut. Prints
 * nanoseconds of CPU per event in the best of many short rounds, which a busy machine disturbs least. */
#include "common/json.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 50
#define EVENTS 20000

static const char *const ascii =
    "{\"event_id\":\"7b0e8b1e-8a3c-4f62-9a43-6f1f6f0d9a11\",\"schema_version\":\"1.0\",\"event_type\":\"task.sync\","
    "\"operation\":\"updated\",\"task_id\":123456789012345678,\"user_id\":\"5f3d2c1b-0a9e-4d8c-b7a6-958473625140\","
    "\"task_snapshot\":{\"id\":123456789012345678,\"title\":\"Prepare the quarterly report\",\"description\":\"Numbers "
    "from all regions, \\\"final\\\" versions only, please\",\"completed\":false,\"priority\":\"high\",\"weight\":1.10,"
    "\"tags\":[\"work\",\"report\",\"q3\"],\"due\":\"2025-10-01T12:00:00Z\"},\"timestamp\":\"2025-09-30T08:15:30."
    "123Z\"}";

static const char *const greek =
    "{\"event_id\":\"7b0e8b1e-8a3c-4f62-9a43-6f1f6f0d9a11\",\"schema_version\":\"1.0\",\"event_type\":\"task.sync\","
    "\"operation\":\"updated\",\"task_id\":123456789012345678,\"user_id\":\"5f3d2c1b-0a9e-4d8c-b7a6-958473625140\","
    "\"task_snapshot\":{\"id\":123456789012345678,\"title\":\"Ετοιμασία της έκθεσης\",\"description\":\"Αριθμοί από "
    "όλες"
    " τις περιοχές, \\\"τελικοί\\\"\",\"completed\":false,\"priority\":\"high\",\"weight\":1.10,"
    "\"tags\":[\"work\"],\"due\":\"2025-10-01T12:00:00Z\"},\"timestamp\":\"2025-09-30T08:15:30.123Z\"}";

static const struct slice names[] = {SLICE("event_type"), SLICE("operation"),     SLICE("user_id"), SLICE("task_id"),
                                     SLICE("task"),       SLICE("task_snapshot"), SLICE("data"),    SLICE("timestamp")};

static uint64_t run_members(struct slice text)
{
    struct json_value out[ARRAY_LEN(names)];
    struct json_error err;
    if (json_members(text, JSON_DEPTH, names, ARRAY_LEN(names), out, &err) != 0)
        BUG("%s at %zu", json_reason_text(err.reason), err.offset);
    return out[5].raw.n;
}

static uint64_t run_parse(struct slice text)
{
    struct json_value out;
    struct json_error err;
    if (json_parse(text, JSON_DEPTH, &out, &err) != 0)
        BUG("%s at %zu", json_reason_text(err.reason), err.offset);
    return out.raw.n;
}

static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void measure(const char *what, struct slice text, uint64_t (*run)(struct slice))
{
    uint64_t best = UINT64_MAX, sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = cpu_ns();
        for (int i = 0; i < EVENTS; i++)
            sum += run(text);
        best = MIN(best, cpu_ns() - start);
    }
    assert(sum > 0); /* so that nothing is optimised away */
    printf("%-28s %4zu bytes  %5.0f ns per event\n", what, text.n, (double)best / EVENTS);
}

int main(void)
{
    measure("validate", slice_of(ascii), run_parse);
    measure("validate and cut", slice_of(ascii), run_members);
    measure("validate and cut, not ASCII", slice_of(greek), run_members);
    return 0;
}

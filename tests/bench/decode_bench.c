/* What an event costs the router between Kafka and Redis, for one core: a record of some 500 bytes through the built-in
 * routes, in each of the forms that task services write. Prints the best of several rounds in nanoseconds of CPU per
 * event. */
#include "router/decode.h"
#include "router/route.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 25
#define EVENTS 50000

#define SNAPSHOT                                                                                                       \
    "{\"completed\":false,\"description\":\"Numbers from all regions, \\\"final\\\" versions only\",\"due\":"          \
    "\"2025-10-01T12:00:00Z\",\"id\":123456789012345678,\"priority\":\"high\",\"tags\":[\"work\",\"report\"],"         \
    "\"title\":\"Prepare the quarterly report\",\"weight\":1.10}"

#define SYNC                                                                                                           \
    "{\"event_id\":\"7b0e8b1e-8a3c-4f62-9a43-6f1f6f0d9a11\",\"event_type\":\"task.sync\",\"operation\":\"update\","    \
    "\"schema_version\":\"1.0\",\"task_id\":123456789012345678,\"task_snapshot\":" SNAPSHOT                            \
    ",\"timestamp\":\"2025-09-30T08:15:30.123Z\",\"user_id\":\"5f3d2c1b-0a9e-4d8c-b7a6-958473625140\"}"

#define TASK                                                                                                           \
    "{\"event_type\":\"task.updated\",\"user_id\":\"5f3d2c1b-0a9e-4d8c-b7a6-958473625140\",\"task\":{\"note\":"        \
    "\"Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore " \
    "magna aliqua.\",\"more\":" SNAPSHOT ",\"id\":123456789012345678}}"

#define ENVELOPE(data)                                                                                                 \
    "{\"data\":" data ",\"datacontenttype\":\"application/json\",\"id\":\"db91e33b-643e-4c94-8905-7b89a3fd2455\","     \
    "\"pubsubname\":\"kafka-pubsub\",\"source\":\"task-service\",\"specversion\":\"1.0\",\"time\":"                    \
    "\"2026-11-21T11:27:04Z\",\"topic\":\"task-updates\",\"traceid\":"                                                 \
    "\"00-00000000000000000000000000000000-0000000000000000-00\",\"traceparent\":"                                     \
    "\"00-00000000000000000000000000000000-0000000000000000-00\",\"tracestate\":\"\",\"type\":\"com.dapr.event."       \
    "sent\"}"

/* CPU time, so that a busy machine matters less. */
static uint64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void measure(struct decoder *d, const char *what, const char *topic, const char *value)
{
    struct record r = {.topic = slice_of(topic), .timestamp_ms = 1767434400000, .value = slice_of(value)};
    uint64_t best = UINT64_MAX, bytes = 0;
    struct event ev;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = cpu_ns();
        for (int i = 0; i < EVENTS; i++) {
            if (decode_record(d, &r, &ev) != DECODE_EVENT)
                BUG("%s is refused", what);
            bytes += ev.payload.n;
        }
        best = MIN(best, cpu_ns() - start);
    }
    printf("%-34s %4zu bytes  %5.0f ns per event%s\n", what, r.value.n, (double)best / EVENTS, bytes > 0 ? "" : "!");
}

int main(void)
{
    char *why = NULL;
    struct route_source source = {.file = "routes.default.json",
                                  .text = routes_default(),
                                  .profile = "survey",
                                  .dedupe_field = SLICE("event_id")};
    struct route_table *routes = routes_parse(&source, &why);
    if (routes == NULL)
        BUG("%s", why);
    struct decoder d;
    decoder_init(&d, &(struct decoder_conf){.routes = routes, .value_max = DECODER_VALUE_MAX, .depth_max = 64});
    measure(&d, "task.sync, plain", "task-updates", SYNC);
    measure(&d, "task.updated, plain, Kafka's time", "task-updates", TASK);
    measure(&d, "task.sync, Dapr's envelope", "task-updates", ENVELOPE(SYNC));
    measure(&d, "task.updated, Dapr's envelope", "task-updates", ENVELOPE(TASK));
    measure(&d, "survey response, mapped", "survey.responses",
            "{\"surveyId\":\"survey123\",\"responseId\":\"response456\",\"response\":" SNAPSHOT
            ",\"metadata\":{\"projectId\":\"project789\",\"timestamp\":\"2024-01-01T00:00:00.000Z\"}}");
    decoder_release(&d);
    routes_free(routes);
    return 0;
}

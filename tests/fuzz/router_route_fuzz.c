/* Any bytes as a file of routes. A table must describe itself and decode records; a refusal must name its place. */
#include "router/decode.h"
#include "router/route.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *variable(void *arg, const char *name)
{
    return strlen(name) % 2 == 0 ? "value" : NULL;
}

static void use(const struct route_table *t)
{
    struct decoder d;
    struct buf out = {0};
    decoder_init(&d, &(struct decoder_conf){.routes = t, .value_max = 1000, .depth_max = 16});
    for (size_t i = 0; i < t->count; i++) {
        struct event ev;
        struct record r = {
            .topic = t->rows[i].topic,
            .value = SLICE("{\"user_id\":1,\"id\":\"x\",\"type\":\"t\",\"a\":{\"b\":2},\"operation\":\"delete\","
                           "\"task_id\":7,\"timestamp\":\"now\"}"),
        };
        enum decode_outcome outcome = decode_record(&d, &r, &ev);
        if (outcome == DECODE_UNKNOWN_TOPIC)
            BUG("a route in force is not found");
        decode_describe(&d, outcome, &out);
    }
    routes_describe(t, &out);
    if (out.n == 0)
        BUG("a table says nothing");
    buf_release(&out);
    decoder_release(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *why = NULL;
    struct route_source source = {
        .file = "f", .text = slice_make(data, size), .profile = "survey", .env = variable, .env_arg = NULL};
    struct route_table *t = routes_parse(&source, &why);
    if (t != NULL)
        use(t);
    else if (why == NULL || strncmp(why, "f:", 2) != 0)
        BUG("refused without a place");
    routes_free(t);
    free(why);
    return 0;
}

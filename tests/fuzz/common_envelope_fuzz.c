/* Any bytes as what comes from Redis: a message, a channel's name, a meta. What decodes must lie within the bytes, and
 * a message must encode again to the same fields. */
#include "common/envelope.h"
#include "common/redis_fn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct slice whole, struct slice part)
{
    if (part.p != NULL && (part.p < whole.p || part.p + part.n > whole.p + whole.n))
        BUG("slice outside the message");
}

static void check_again(const struct envelope *e)
{
    struct buf b = {0};
    struct envelope again;
    const char *why;
    buf_lit(&b, "1-1 0 ");
    envelope_encode(&b, e);
    if (envelope_decode(buf_slice(&b), &again, &why) != 0)
        BUG("encoded, not decoded: %s", why);
    if (!slice_eq(e->key, again.key) || !slice_eq(e->payload, again.payload) || e->flags != again.flags ||
        e->target_count != again.target_count || e->kafka_ms != again.kafka_ms || e->kind != again.kind)
        BUG("another envelope came back");
    buf_release(&b);
}

static void check_meta(struct slice bytes)
{
    struct redis_fn_meta meta;
    struct coordinate c;
    if (redis_fn_meta_parse(bytes, &meta) != 0)
        return;
    while (redis_fn_meta_next(&meta, &c) == 1)
        check_within(bytes, c.part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice message = slice_make(data, size), target;
    struct envelope e;
    const char *why = NULL;
    target_of_channel(message, &target);
    check_meta(message);
    if (envelope_decode(message, &e, &why) != 0) {
        if (why == NULL)
            BUG("refused without a reason");
        return 0;
    }
    struct slice all[] = {e.key, e.event, e.payload, e.source_device, e.traceparent, e.conflate_key, e.coordinate};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        check_within(message, all[i]);
    for (size_t i = 0; i < e.target_count; i++)
        check_within(message, e.targets[i]);
    struct coordinate c;
    if (envelope_coordinate(&e, &c) == 0)
        check_within(message, c.part);
    check_again(&e);
    return 0;
}

/* Any bytes as a reply of a Sentinel or of a cluster's node, and as an error's text: what is read stays within bounds.
 */
#include "common/redis_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(const char *host, unsigned port, bool may_be_empty)
{
    size_t n = strlen(host);
    if (n > REDIS_HOST_MAX || (n == 0 && !may_be_empty) || port == 0)
        BUG("an address that is nowhere");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)host[i] <= ' ')
            BUG("a host with a blank");
}

static void check_slots(const redisReply *reply)
{
    static struct redis_slots slots;
    const char *why = NULL;
    if (redis_read_slots(reply, "asked", &slots, &why) != 0) {
        if (why == NULL)
            BUG("refused without a reason");
        return;
    }
    for (size_t i = 0; i < slots.count; i++)
        check_host(slots.nodes[i].host, slots.nodes[i].port, false);
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        if (slots.owner[bucket] != REDIS_NO_NODE && slots.owner[bucket] >= slots.count)
            BUG("a bucket of node %u of %zu", slots.owner[bucket], slots.count);
}

static void check_reply(const redisReply *reply)
{
    struct redis_master master;
    if (redis_read_master(reply, &master) == 0)
        check_host(master.host, master.port, false);
    check_slots(reply);
}

static void check_text(struct slice text)
{
    struct redis_moved moved;
    (void)redis_read_cluster_ok(text);
    if (redis_read_moved(text, &moved) == REDIS_NOT_REDIRECTED)
        return;
    check_host(moved.host, moved.port, true);
    if (moved.slot >= 16384)
        BUG("slot %u", moved.slot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    check_text(slice_make(data, size));
    if (redisReaderFeed(reader, (const char *)data, size) == REDIS_OK)
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
            check_reply(reply);
            freeReplyObject(reply);
            reply = NULL;
        }
    redisReaderFree(reader);
    return 0;
}

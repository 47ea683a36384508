/* Walks over replies that strangers wrote: each element's type is checked before it is used. */
#include "common/redis_reply.h"

#define SLOTS_MAX 16384

static struct slice text_of(const redisReply *r)
{
    bool text = r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
    return text ? slice_make(r->str, r->len) : (struct slice){0};
}

/* A host as it may stand in a URL, too. */
static int copy_host(struct slice host, char out[REDIS_HOST_MAX + 1])
{
    if (host.n == 0 || host.n > REDIS_HOST_MAX)
        return -1;
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || host.p[i] == 0x7f)
            return -1;
    memcpy(out, host.p, host.n);
    out[host.n] = '\0';
    return 0;
}

static int read_port(struct slice text, uint16_t *out)
{
    uint64_t port;
    if (slice_to_u64(text, &port) != 0 || port == 0 || port > 65535)
        return -1;
    *out = (uint16_t)port;
    return 0;
}

enum redis_redirection redis_read_moved(struct slice error, struct redis_moved *out)
{
    struct slice word = slice_cut(&error, ' ');
    enum redis_redirection kind = slice_eq(word, SLICE("MOVED")) ? REDIS_MOVED
                                  : slice_eq(word, SLICE("ASK")) ? REDIS_ASK
                                                                 : REDIS_NOT_REDIRECTED;
    uint64_t slot;
    if (kind == REDIS_NOT_REDIRECTED || slice_to_u64(slice_cut(&error, ' '), &slot) != 0 || slot >= SLOTS_MAX)
        return REDIS_NOT_REDIRECTED;
    /* the last colon: an IPv6 address stands there without brackets */
    const char *colon = error.n > 0 ? memrchr(error.p, ':', error.n) : NULL;
    if (colon == NULL)
        return REDIS_NOT_REDIRECTED;
    struct slice host = slice_make(error.p, (size_t)(colon - error.p));
    *out = (struct redis_moved){.slot = (unsigned)slot};
    if (host.n > 0 && copy_host(host, out->host) != 0)
        return REDIS_NOT_REDIRECTED;
    return read_port(slice_from(error, host.n + 1), &out->port) == 0 ? kind : REDIS_NOT_REDIRECTED;
}

bool redis_is_passing(struct slice error)
{
    static const struct slice passing[] = {{"MOVED ", 6}, {"ASK ", 4}, {"TRYAGAIN ", 9}, {"CLUSTERDOWN ", 12}};
    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        if (slice_starts(error, passing[i]))
            return true;
    return false;
}

/* Among words with commas between them. */
static bool has_word(struct slice words, struct slice word)
{
    while (words.p != NULL)
        if (slice_eq(slice_cut(&words, ','), word))
            return true;
    return false;
}

int redis_read_master(const redisReply *reply, struct redis_master *out)
{
    *out = (struct redis_master){0};
    if (reply->type != REDIS_REPLY_ARRAY)
        return -1;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        struct slice name = text_of(reply->element[i]), value = text_of(reply->element[i + 1]);
        if (slice_eq(name, SLICE("ip")) && copy_host(value, out->host) != 0)
            return -1;
        if (slice_eq(name, SLICE("port")) && read_port(value, &out->port) != 0)
            return -1;
        if (slice_eq(name, SLICE("config-epoch")) && slice_to_u64(value, &out->epoch) != 0)
            return -1;
        if (slice_eq(name, SLICE("flags")))
            out->failing_over = has_word(value, SLICE("failover_in_progress"));
    }
    return out->host[0] != '\0' && out->port != 0 ? 0 : -1;
}

bool redis_read_cluster_ok(struct slice info)
{
    while (info.p != NULL)
        if (slice_eq(slice_trim(slice_cut(&info, '\n')), SLICE("cluster_state:ok")))
            return true;
    return false;
}

static int find_or_add(struct redis_slots *s, const char *host, uint16_t port)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->nodes[i].port == port && strcmp(s->nodes[i].host, host) == 0)
            return (int)i;
    if (s->count == REDIS_NODES_MAX)
        return -1;
    strcpy(s->nodes[s->count].host, host);
    s->nodes[s->count].port = port;
    return (int)s->count++;
}

/* [host or nil, port, id, …] */
static int read_node(const redisReply *node, const char *asked, struct redis_slots *out, const char **why)
{
    char host[REDIS_HOST_MAX + 1];
    *why = "a node of CLUSTER SLOTS has no address";
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 || node->element[1]->type != REDIS_REPLY_INTEGER)
        return -1;
    long long port = node->element[1]->integer;
    struct slice name = text_of(node->element[0]);
    if (port <= 0 || port > 65535 || copy_host(name.n > 0 ? name : slice_of(asked), host) != 0)
        return -1;
    *why = "the cluster has more than 64 masters";
    return find_or_add(out, host, (uint16_t)port);
}

/* [first, last, master, replica…] */
static int read_range(const redisReply *range, const char *asked, struct redis_slots *out, const char **why)
{
    *why = "a range of CLUSTER SLOTS is malformed";
    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 || range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER)
        return -1;
    long long first = range->element[0]->integer, last = range->element[1]->integer;
    if (first < 0 || last >= SLOTS_MAX || first > last)
        return -1;
    int node = REDIS_NO_NODE;
    for (unsigned bucket = (unsigned)first / 16; bucket < TARGET_BUCKETS && target_slot(bucket) <= last; bucket++) {
        if (target_slot(bucket) < first)
            continue;
        if (node == REDIS_NO_NODE && (node = read_node(range->element[2], asked, out, why)) < 0)
            return -1;
        out->owner[bucket] = (uint16_t)node;
    }
    return 0;
}

int redis_read_slots(const redisReply *reply, const char *asked, struct redis_slots *out, const char **why)
{
    out->count = 0;
    for (unsigned bucket = 0; bucket < TARGET_BUCKETS; bucket++)
        out->owner[bucket] = REDIS_NO_NODE;
    *why = "CLUSTER SLOTS has no array for an answer";
    if (reply->type != REDIS_REPLY_ARRAY)
        return -1;
    for (size_t i = 0; i < reply->elements; i++)
        if (read_range(reply->element[i], asked, out, why) != 0)
            return -1;
    return 0;
}

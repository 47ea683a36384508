/* Any bytes as a query string, as an escaped text, and as the URL of a Redis. */
#include "common/redis_url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_decoding(struct slice text)
{
    char *whole = xmalloc(text.n + 1), *again = xmalloc(text.n + 1);
    int n = endpoint_percent_decode(text, whole);
    if (n < -1 || n > (int)text.n)
        BUG("%d bytes out of %zu", n, text.n);
    if (text.n > 0)
        memcpy(again, text.p, text.n);
    if (endpoint_percent_decode(slice_make(again, text.n), again) != n ||
        (n > 0 && memcmp(whole, again, (size_t)n) != 0))
        BUG("decoding in place differs");
    free(whole);
    free(again);
}

static void check_query(struct slice query)
{
    static const struct slice names[] = {{"token", 5}, {"a", 1}, {"", 0}};
    struct slice value;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!endpoint_query(query, names[i], &value))
            continue;
        if (value.n > 0 &&
            (value.p < query.p || value.p + value.n > query.p + query.n || memchr(value.p, '&', value.n)))
            BUG("a value that is no part of the query");
        check_decoding(value);
    }
}

static void check_redis(struct slice url)
{
    struct redis_url u;
    const char *why = NULL;
    if (redis_url_parse(url, &u, &why) != 0) {
        if (why == NULL)
            BUG("refused without a reason");
        return;
    }
    if (u.count == 0 || u.count > REDIS_NODES_MAX || (u.master == NULL) != (u.kind != REDIS_SENTINEL))
        BUG("a URL without what its kind needs");
    for (size_t i = 0; i < u.count; i++) {
        if (u.hosts[i].host == NULL || u.hosts[i].host[0] == '\0' || u.hosts[i].port == 0)
            BUG("an endpoint that is nowhere");
        free(endpoint_label(&u.hosts[i]));
    }
    redis_url_release(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    check_decoding(text);
    check_query(text);
    check_redis(text);
    return 0;
}

/* Members are looked for by their names with quotes and colon: the suite's payloads hold no such text elsewhere. */
#include "tests/chaos/heard.h"
#include "common/event_id.h"
#include "common/hash.h"

/* The text behind a member's colon, empty when it is not there. */
static struct slice behind(struct slice message, struct slice name)
{
    const char *at = memmem(message.p, message.n, name.p, name.n);
    if (at == NULL)
        return slice_make(NULL, 0);
    return slice_from(message, (size_t)(at - message.p) + name.n);
}

static uint32_t number_of(struct slice message, struct slice name)
{
    struct slice s = behind(message, name);
    uint32_t value = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        value = value * 10 + (uint32_t)(s.p[i] - '0');
    return value;
}

/* A string without escapes. */
static struct slice text_of(struct slice message, struct slice name)
{
    struct slice s = behind(message, name);
    if (s.n == 0 || s.p[0] != '"')
        return slice_make(NULL, 0);
    s = slice_from(s, 1);
    return slice_cut(&s, '"');
}

static void read_event(struct slice message, struct heard *h)
{
    h->kind = HEARD_EVENT;
    h->sequence = number_of(message, SLICE("\"of\":"));
    h->number = number_of(message, SLICE("\"n\":"));
    h->last = behind(message, SLICE("\"last\":true")).p != NULL;
    h->key = hash_fnv1a(text_of(message, SLICE("\"key\":")));
    h->id = text_of(message, SLICE("\"id\":"));
}

static void read_welcome(struct slice message, struct heard *h)
{
    struct slice recovered = behind(message, SLICE("\"recovered\":"));
    h->kind = HEARD_WELCOME;
    h->says_recovered = recovered.p != NULL;
    h->recovered = recovered.p != NULL && slice_starts(recovered, SLICE("true"));
    h->replay = number_of(message, SLICE("\"replay\":"));
    h->id = text_of(message, SLICE("\"position\":"));
}

void heard_read(struct slice message, struct heard *out)
{
    *out = (struct heard){.kind = HEARD_STRANGE};
    struct slice type = text_of(message, SLICE("\"type\":"));
    if (slice_eq(type, SLICE("chaos")))
        read_event(message, out);
    else if (slice_eq(type, SLICE("connected")))
        read_welcome(message, out);
    else if (slice_eq(type, SLICE("gap")))
        out->kind = HEARD_GAP;
    else if (slice_eq(type, SLICE("ping")) || slice_eq(type, SLICE("pong")))
        out->kind = HEARD_HEARTBEAT;
    if (out->id.n == 0 || event_id_parse(out->id, &out->id_us) != 0)
        out->id_us = 0;
}

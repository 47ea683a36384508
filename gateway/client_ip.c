/* Addresses are compared as 128 bits; a prefix of an IPv4 network counts from bit 96. */
#include "gateway/client_ip.h"
#include "common/config.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const unsigned char v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static int parse(struct slice text, struct client_ip *out, bool *is_v4)
{
    char z[INET6_ADDRSTRLEN];
    if (text.n >= sizeof(z))
        return -1;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    *is_v4 = inet_pton(AF_INET, z, out->bytes + 12) == 1;
    if (*is_v4) {
        memcpy(out->bytes, v4_prefix, sizeof(v4_prefix));
        return 0;
    }
    return inet_pton(AF_INET6, z, out->bytes) == 1 ? 0 : -1;
}

int client_ip_parse(struct slice text, struct client_ip *out)
{
    bool is_v4;
    return parse(text, out, &is_v4);
}

void client_ip_of_peer(const struct sockaddr *sa, struct client_ip *out)
{
    if (sa->sa_family == AF_INET6) {
        memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        return;
    }
    memcpy(out->bytes, v4_prefix, sizeof(v4_prefix));
    memcpy(out->bytes + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
}

static int parse_network(struct slice item, struct client_ip *base, unsigned *bits)
{
    struct slice rest = item, address = slice_cut(&rest, '/');
    bool is_v4;
    uint64_t n;
    if (parse(address, base, &is_v4) != 0)
        return -1;
    *bits = 128;
    if (rest.p == NULL)
        return 0;
    if (slice_to_u64(rest, &n) != 0 || n > (is_v4 ? 32u : 128u))
        return -1;
    *bits = (unsigned)n + (is_v4 ? 96 : 0);
    return 0;
}

static bool same_prefix(const struct client_ip *a, const struct client_ip *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}

bool client_ip_in(const struct client_ip *ip, const char *list)
{
    struct slice rest = slice_of(list), item;
    while (config_list_next(&rest, &item)) {
        struct client_ip base;
        unsigned bits;
        if (parse_network(item, &base, &bits) == 0 && same_prefix(ip, &base, bits))
            return true;
    }
    return false;
}

bool client_ip_list_valid(const char *list, struct slice *bad)
{
    struct slice rest = slice_of(list), item;
    while (config_list_next(&rest, &item)) {
        struct client_ip base;
        unsigned bits;
        if (parse_network(item, &base, &bits) != 0) {
            *bad = item;
            return false;
        }
    }
    return true;
}

struct client_ip client_ip_find(const struct client_ip *peer, struct slice forwarded_for, const char *trusted)
{
    struct client_ip nearest = *peer, next;
    while (forwarded_for.n > 0 && client_ip_in(&nearest, trusted)) {
        const char *comma = memrchr(forwarded_for.p, ',', forwarded_for.n);
        size_t from = comma != NULL ? (size_t)(comma - forwarded_for.p) + 1 : 0;
        if (client_ip_parse(slice_trim(slice_from(forwarded_for, from)), &next) != 0)
            break;
        nearest = next;
        forwarded_for.n = from > 0 ? from - 1 : 0;
    }
    return nearest;
}

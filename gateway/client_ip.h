/* Whose connection it is, behind proxies that are trusted to say so. */
#ifndef TIDEGATE_GATEWAY_CLIENT_IP_H
#define TIDEGATE_GATEWAY_CLIENT_IP_H

#include "common/slice.h"

#include <netinet/in.h>

/* An address as 16 bytes; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
struct client_ip {
    unsigned char bytes[16];
};

/* 0, or -1 when text is no address. */
int client_ip_parse(struct slice text, struct client_ip *out);
void client_ip_of_peer(const struct sockaddr *sa, struct client_ip *out);
/* True when ip is in the comma separated list of addresses and networks (10.0.0.0/8, fd00::/8); list may be NULL. */
bool client_ip_in(const struct client_ip *ip, const char *list);
/* True when every item of the list is an address or a network; else *bad is the first that is not. */
bool client_ip_list_valid(const char *list, struct slice *bad);
/* The client behind peer: while the nearest address is a trusted proxy, the entry of X-Forwarded-For to its left. What
 * is no address ends the walk, so a client cannot invent itself an address. */
struct client_ip client_ip_find(const struct client_ip *peer, struct slice forwarded_for, const char *trusted);

#endif

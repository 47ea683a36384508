/* The WebSocket transport: a socket that h2o's HTTP/1 gave up after the 101, and a frame reader. */
#ifndef TIDEGATE_GATEWAY_TRANSPORT_WS_H
#define TIDEGATE_GATEWAY_TRANSPORT_WS_H

#include "gateway/transport.h"

#include <h2o.h>

/* *Takes* the socket, whose input may hold first frames already; messages over limit bytes are refused. Returns owned:
 * give it to conn_new. */
struct transport *transport_ws_new(h2o_socket_t *sock, uint32_t limit);

#endif

/* What carries a connection's frames: WebSocket now; other transports are further files with another table. A
 * transport tells its connection by the conn_on_… functions what arrived. */
#ifndef TIDEGATE_GATEWAY_TRANSPORT_H
#define TIDEGATE_GATEWAY_TRANSPORT_H

#include "common/slice.h"

struct conn;
struct transport;

struct transport_ops {
    /* Begins to read: once the connection is ready to hear, or is being closed. */
    void (*start)(struct transport *t);
    /* Flush follows soon: brings what it will touch into the cache. */
    void (*fetch)(struct transport *t);
    /* Writes what the connection's outbox holds, unless a write is under way. */
    void (*flush)(struct transport *t);
    /* Asks the peer's protocol stack for a sign of life, behind all that waits; the answer repeats the payload. */
    void (*ping)(struct transport *t, struct slice payload);
    /* Queues the goodbye behind what waits. code 0: none. */
    void (*close)(struct transport *t, uint16_t code, struct slice reason);
    /* Ends at once: the socket is closed, conn is not called any more. The memory goes with transport_free. */
    void (*abort)(struct transport *t);
    void (*free)(struct transport *t);
};

struct transport {
    const struct transport_ops *ops;
    struct conn *conn;
};

#endif

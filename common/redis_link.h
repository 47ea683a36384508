/* One connection to one Redis server, in the clear or through TLS, on the loop: connects, authenticates, reconnects for
 * ever with jittered backoff (50 ms to 2 s), gathers output and writes it once a turn, and drops a connection that has
 * been silent for 3 s although it was asked to PING. What arrives is given to a reader: redis_commands.h (replies in
 * order) or redis_subscriber.h (pushed messages). */
#ifndef TIDEGATE_COMMON_REDIS_LINK_H
#define TIDEGATE_COMMON_REDIS_LINK_H

#include "common/buf.h"
#include "common/endpoint.h"
#include "common/loop.h"
#include "common/tls.h"

struct redis_link;

/* The half that understands what arrives. */
struct redis_link_ops {
    /* Connected and authenticated: queue commands now. */
    void (*on_up)(struct redis_link *link);
    /* The connection is gone (never called unless on_up was); what was sent may or may not have been carried out.
     * The link reconnects by itself. */
    void (*on_down)(struct redis_link *link, const char *reason);
    /* Bytes arrived: returns how many were used up, or -1 when they are not RESP (the link reconnects). The bytes may
     * be changed in place. */
    ssize_t (*on_bytes)(struct redis_link *link, char *bytes, size_t n);
    /* The watchdog has just queued a PING: its answer will come through on_bytes. */
    void (*on_ping)(struct redis_link *link);
};

enum redis_link_state {
    REDIS_LINK_DOWN,
    REDIS_LINK_CONNECTING,
    REDIS_LINK_SECURING, /* the handshake of TLS */
    REDIS_LINK_GREETING,
    REDIS_LINK_UP
};

struct redis_link {
    struct loop *loop;
    struct endpoint endpoint; /* a copy; no host: it stays down */
    const struct redis_link_ops *ops;
    char *label; /* host:port for logs */
    enum redis_link_state state;
    bool asked;        /* a PING is out */
    bool failed_once;  /* this outage was logged */
    bool refused_once; /* and that the server did not take our greeting */
    unsigned attempt;  /* connects since the last success */
    unsigned greeting; /* replies of AUTH, SELECT, CLIENT SETNAME still to come */
    h2o_socket_t *sock;
    struct buf out, in_flight;
    struct tls *tls;    /* NULL: in the clear */
    struct buf in;      /* text out of TLS that is not used up */
    struct timer timer; /* connect deadline, backoff or watchdog, by state */
    struct turn_hook flush;
    uint64_t heard_ms;         /* when bytes last came */
    struct resolve *resolving; /* the lookup under way, or NULL */
};

/* Starts connecting at the next turn; without an endpoint (NULL) it waits for redis_link_redirect. */
void redis_link_init(struct redis_link *link, struct loop *l, const struct endpoint *endpoint,
                     const struct redis_link_ops *ops);
/* Closes without on_down. */
void redis_link_release(struct redis_link *link);
/* From now on the link is to another server (on_down follows at once if it was up), or, NULL, to none. */
void redis_link_redirect(struct redis_link *link, const struct endpoint *endpoint);

static inline bool redis_link_is_up(const struct redis_link *link)
{
    return link->state == REDIS_LINK_UP;
}

/* Appends one command in RESP to the output of this turn. Only while up (a command queued otherwise is a bug). */
void redis_link_command(struct redis_link *link, const struct slice *argv, size_t argc);
/* The same of a command that is in RESP already. */
void redis_link_append(struct redis_link *link, struct slice resp);
/* Bytes queued or in flight to the socket: for back-pressure. */
size_t redis_link_unsent(const struct redis_link *link);
/* Gives up the connection, as if it had broken: on_down follows at once. */
void redis_link_drop(struct redis_link *link, const char *reason);

#endif

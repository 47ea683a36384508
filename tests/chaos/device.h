/* One device of the suite: a WebSocket client that connects to any of the gateways, resumes where it stood, and comes
 * back whenever it is thrown out, all by itself. What happens to it goes into the ledger. */
#ifndef TIDEGATE_CHAOS_DEVICE_H
#define TIDEGATE_CHAOS_DEVICE_H

#include "common/event_id.h"
#include "loadtest/lib/target.h"
#include "tests/chaos/ledger.h"

/* How a device says where it stood. */
enum resume {
    RESUME_LAST_ID, /* ?last_id= of the last message it got; of the beginning before the first */
    RESUME_ACK,     /* ?device_id=, and acknowledges what it got */
    RESUME_PONG,    /* ?device_id=, and only answers pings */
    RESUME_NOT,     /* live events only */
    RESUME_COUNT
};

enum device_state { DEVICE_AWAY, DEVICE_CONNECTING, DEVICE_SHAKING, DEVICE_OPEN };

struct device {
    int fd;
    uint32_t number, user;
    enum resume resume;
    enum device_state state;
    bool welcomed, arrived, own_done, everybody_done; /* arrived: was welcomed once */
    uint32_t target;                                  /* the gateway it is at */
    char *kept;                                       /* the start of an unfinished frame or answer */
    size_t kept_n;
    uint64_t since_us, heard_us; /* when this state began; when it last heard something */
    uint64_t due_us;             /* DEVICE_AWAY: when it comes back */
    uint64_t acked_us;           /* when it last acknowledged */
    uint64_t acked_id, id_us;    /* what it acknowledged last; where it stands */
    char id[EVENT_ID_SIZE];      /* text of id_us */
};

/* What all devices share. */
struct fleet {
    struct target targets[TARGETS_MAX];
    size_t target_count;
    struct slice secret;
    uint32_t users; /* device i belongs to user i mod users; the sequence `users` is everybody's */
    uint64_t silence_us,
        patience_us; /* without a word for so long, a device goes elsewhere; for an answer to a handshake */
    uint64_t random;
    int epoll;
    char *in; /* DEVICE_READ_MAX bytes */
    FILE *ledger;
    uint64_t now_us;
    uint64_t events, connects, refusals, stranges;
    uint32_t welcomed, arrived, done; /* devices that are; done: got the last of both sequences */
};

#define DEVICE_READ_MAX (256u << 10)

/* A number below `below`, by the fleet's seed. */
uint32_t fleet_random(struct fleet *f, uint32_t below);

/* What is due: comes back, acknowledges, gives up waiting. Called some ten times a second. */
void device_tick(struct fleet *f, struct device *d);
/* Its descriptor is ready. */
void device_on_event(struct fleet *f, struct device *d);
/* Goes away for so long, with a close frame or by a reset. No effect on one that is not open. */
void device_leave(struct fleet *f, struct device *d, bool politely, uint64_t away_us);
/* Ends the descriptor without a word into the ledger. */
void device_release(struct device *d);

#endif

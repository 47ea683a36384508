/* What clients say and what they are answered, in words that every dialect shares. */
#ifndef TIDEGATE_GATEWAY_MESSAGE_H
#define TIDEGATE_GATEWAY_MESSAGE_H

#include "common/slice.h"

enum message_kind {
    MESSAGE_PING,
    MESSAGE_PONG,      /* a sign of life, answered by nothing */
    MESSAGE_ACK,       /* all up to id has been taken */
    MESSAGE_RESUME,    /* tell me what came after id */
    MESSAGE_ECHO,      /* to be returned as it came */
    MESSAGE_MALFORMED, /* not of the dialect's form */
    MESSAGE_UNKNOWN,   /* of its form, but no type that we know */
};

/* A client's message, decoded. Slices are cut from the message's bytes. */
struct message {
    enum message_kind kind;
    bool binary;
    struct slice data, timestamp; /* PING: raw JSON values, p NULL when absent */
    uint64_t id;                  /* ACK, RESUME: a position */
    struct slice payload;         /* ECHO */
    const char *detail;           /* MALFORMED, UNKNOWN: a static sentence for the client */
};

enum reply_kind {
    REPLY_PONG,
    REPLY_ERROR,
    REPLY_PING, /* the server's own heartbeat */
    REPLY_RESUMED,
    REPLY_ECHO,
    REPLY_GAP, /* events were missed and are not kept any more: the client may ask elsewhere */
};

/* What a client is told that named where it stood. */
struct recovery {
    bool recovered;    /* nothing that it missed is missing from what follows */
    uint64_t messages; /* that follow, of before now; one for each of its targets that an event was sent to */
    uint64_t oldest;   /* id of the oldest event kept for it; 0: none is */
    uint64_t position; /* after which it goes on */
};

struct reply {
    enum reply_kind kind;
    const struct message *to;        /* PONG, ECHO: what is answered */
    const char *code, *detail;       /* ERROR: snake_case word and sentence, static */
    const struct recovery *recovery; /* RESUMED */
    uint64_t gap_from, gap_to;       /* GAP: the id before, and that of the first event behind it */
};

/* The first message on a connection. */
struct welcome {
    struct slice user_json;          /* the user's id as the token wrote it: 1 or "1" */
    const struct recovery *recovery; /* NULL: the client named neither a position nor a device */
};

#endif

/* What one replay reads of one of its targets: the log from a position on, and, when Redis lost the target's bucket
 * after that position, first all of the second log that routers refilled. Judges what Redis answers; asks nothing
 * itself. */
#ifndef TIDEGATE_GATEWAY_REPLAY_LOG_H
#define TIDEGATE_GATEWAY_REPLAY_LOG_H

#include "common/redis_fn.h"
#include "gateway/hub.h"
#include "gateway/piece.h"

/* The marker's fields that matter here, as HMGET names them. */
#define REPLAY_MARKER_FIELDS 4
extern const struct slice replay_marker_fields[REPLAY_MARKER_FIELDS];
struct replay_marker {
    uint64_t epoch;   /* 0: there is no marker; the bucket is lost, and no router has noticed yet */
    uint64_t since;   /* an id: what is older was lost; 0: nothing ever was */
    uint64_t from_ms; /* Kafka's time from which what was refilled is complete; 0: as far back as events are kept */
    bool refilling;   /* routers are at it */
};
/* The answer to HMGET of them: 0, or -1 when it is none. */
int replay_marker_parse(const redisReply *reply, struct replay_marker *out);

struct replay_log {
    enum target_name which;
    bool on;             /* to be read */
    bool counted;        /* what stands in it behind its start: count */
    bool opened;         /* oldest is known */
    bool ended;          /* at its end when it was last read */
    bool has_first;      /* first_prev is known: what was before the first event read */
    uint64_t read;       /* up to which it was read */
    uint64_t sure;       /* the same, but for events that channels have brought and the log does not have */
    uint64_t count_from; /* where to go on counting */
    uint64_t count, oldest, first_prev;
    struct piece piece; /* read, and not yet delivered */
    uint64_t head;      /* the target's last_id when it was last asked, or looked at first */
    bool asked;         /* in the round under way; and how the log stood before it: */
    bool had_first;
    uint64_t before, sure_before;
};

/* In the order in which they are delivered. */
enum replay_log_rank { REPLAY_REFILLED, REPLAY_LIVE, REPLAY_LOGS };

struct replay_target {
    struct member *member;
    uint64_t start, floor; /* where the client stood; below which events are too old to be delivered */
    bool known;            /* the marker was read: epoch, lost */
    uint64_t epoch;
    bool lost;                   /* the bucket was lost after the client's position */
    bool refilled;               /* all that could be refilled is there */
    bool waiting;                /* for that: the second log is not read yet */
    bool unmarked;               /* its marker is missing for long: others do not wait for it any more, it still does */
    uint64_t missing_ms;         /* since when; 0: not */
    bool asked;                  /* in the round under way */
    bool incomplete;             /* something is missing for sure */
    struct seen had;             /* what was delivered of it on this connection */
    struct replay_marker marker; /* as it was behind the reads of the round */
    struct replay_log logs[REPLAY_LOGS];
};

void replay_target_init(struct replay_target *rt, struct member *m, uint64_t start, uint64_t floor);
void replay_target_release(struct replay_target *rt);

/* Whether there is more to read of a log, as far as is known. */
bool replay_log_at_end(const struct replay_target *rt, const struct replay_log *log);
/* Whether it must be read now: nothing read is left, and there is more. */
bool replay_log_wants(const struct replay_target *rt, const struct replay_log *log);
/* A round begins; a read of the log is asked in it. */
void replay_log_look(const struct replay_target *rt, struct replay_log *log);
void replay_log_ask(struct replay_log *log);
/* The answer to redis_fn_read: 0, or -1 when it is none. */
int replay_log_take(struct replay_log *log, const redisReply *reply);
/* The answer to redis_fn_count: 0, or -1. */
int replay_log_take_count(struct replay_log *log, const redisReply *reply);
/* What the round under way read is forgotten: it cannot be believed. */
void replay_target_undo(struct replay_target *rt);
/* What was read and is not delivered yet is given up, to be read again. */
void replay_target_give_up(struct replay_target *rt);

enum replay_verdict {
    REPLAY_GOES_ON,
    REPLAY_STARTS_ANEW, /* other logs are to be read, or the same from their start */
    REPLAY_MUST_WAIT    /* ask for the marker again, later */
};
enum replay_patience {
    REPLAY_ALL_WAIT,  /* for what this target is missing */
    REPLAY_IT_WAITS,  /* alone: for its marker */
    REPLAY_NONE_WAITS /* any longer: what there is, is all */
};
/* After a round in which its marker was read. */
enum replay_verdict replay_target_judge(struct replay_target *rt, enum replay_patience patience);

/* Whether nothing is missing between the client's position and what is read. The first reads must be done. */
bool replay_target_is_complete(const struct replay_target *rt);

#endif

/* Where one assigned partition stands: what was read, what of it is in Redis, what may be committed and what a marker
 * may vouch for. Records finish in any order (their targets may live on several nodes, dead letters take their time),
 * but positions only ever move over a gapless run of finished ones. No I/O. */
#ifndef TIDEGATE_ROUTER_PARTITION_H
#define TIDEGATE_ROUTER_PARTITION_H

#include "common/buf.h"
#include "router/past.h"

#include <librdkafka/rdkafka.h>

#define PARTITION_NO_OFFSET (-1)

/* A record that was read and is not done with: it waits for its appends, or for its dead letter. */
struct unfinished {
    rd_kafka_message_t *message; /* owned */
    int64_t offset;
    uint32_t steps;      /* appends and dead letters still to be confirmed */
    bool is_dead_letter; /* no marker may vouch for what lies behind it */
};

/* What a commit remembers of the record before its position: a topic that was deleted and made anew has another. */
struct fingerprint {
    int64_t timestamp_ms;
    uint64_t hash; /* FNV-1a-64 of key and value */
    bool known;
};

struct partition {
    char *topic;
    int32_t id;
    uint64_t generation; /* of the topic: 1, and one more each time it was found to be another topic of that name */
    char *part;          /* "topic#generation/id": coordinates, and the field of the markers */
    unsigned refs;       /* the assignment, and each step under way */
    bool ours;           /* until it is revoked */
    bool assigned;       /* the library was told to fetch it: records may come */
    bool known;          /* generation and position are known from Kafka */
    bool placed;         /* false: where to start is not decided, records that come are not for us */
    int64_t fetched;     /* what the library delivers next, or PARTITION_NO_OFFSET when that is not known */
    uint32_t round;      /* grows when positions are set anew: steps of older rounds count for nothing */
    int64_t next;        /* offset of the next record to be dispatched */
    bool fresh;          /* no record came since it was placed */
    int64_t leapt_to;    /* where a record stood that did not follow the one before and was asked for again */
    bool has_holes;      /* such a record came twice: offsets are missing in the log itself */
    bool has_past;       /* something of it was applied before: what Redis loses of that is to be refilled */
    bool unbound;        /* markers must be told where its live events start: at bound */
    bool bounding;       /* the round of watermarks under way tells all of them */
    int64_t bound;       /* history below it is to be refilled */
    int64_t committed;   /* position of the last commit that was sent, or PARTITION_NO_OFFSET */
    bool copied;         /* a copy of its position in Redis knows the record before it */
    int64_t written;     /* watermark that all buckets have, or PARTITION_NO_OFFSET */
    int64_t marking;     /* watermark at the beginning of the round under way */
    uint64_t first_seq;  /* sequence number of the oldest unfinished record */
    size_t dead_letters; /* among the unfinished */
    struct unfinished *ring;
    size_t head, count, cap;
    rd_kafka_message_t *last;  /* the newest finished record before the position, while its fingerprint is not taken */
    struct fingerprint before; /* of the record before the position, when last is NULL */
    struct past past;          /* while it was placed */
};

/* One step of a record, remembered by whoever carries it out; it holds a ref of the partition. */
struct step {
    struct partition *partition;
    uint64_t seq;
    uint32_t round;
};

/* Returns owned, with one ref, of generation 1, not placed. */
struct partition *partition_new(const char *topic, int32_t id);
/* What Kafka knows of it: the generation of its topic, where to start if no marker knows better, and the record before
 * that (NULL: unknown). */
void partition_know(struct partition *p, uint64_t generation, int64_t start, const struct fingerprint *before);
void partition_ref(struct partition *p);
void partition_unref(struct partition *p);

/* Starts at an offset. */
void partition_place(struct partition *p, int64_t offset);
/* Back to its position, not placed: steps under way count for nothing any more. */
void partition_rewind(struct partition *p);

/* A record that was read; it has one step, its dispatching. *Takes* message, which may be NULL: then commits know no
 * fingerprint of it. */
struct step partition_open(struct partition *p, int64_t offset, rd_kafka_message_t *message);
/* One step more for an open record; the returned copy holds a ref. */
struct step partition_add_step(const struct step *s);
/* The record has become a dead letter. */
void partition_mark_dead_letter(const struct step *s);
/* Confirms a step and drops its ref. False when the step belonged to a round that is over. */
bool partition_finish(struct step *s);

/* The record of a step, while it is unfinished; NULL when its round is over. */
const rd_kafka_message_t *partition_message(const struct step *s);

/* Everything below is finished: what a commit may say. */
int64_t partition_position(const struct partition *p);
/* Everything below was handed to the pipes, in front of whatever is sent now: what a marker may say. */
int64_t partition_watermark(const struct partition *p);

/* While it is placed: notes where it stands, at most once in step_ms. now_ms: monotonic. */
void partition_remember(struct partition *p, uint64_t now_ms, uint64_t step_ms);
/* Where it stood ago_ms before it was last noted (past.h); never above its position. */
int64_t partition_past(const struct partition *p, uint64_t ago_ms);

struct fingerprint fingerprint_of(const rd_kafka_message_t *record);
/* What the metadata of a commit say. */
struct commit_note {
    uint64_t generation;
    struct fingerprint before; /* of the record before the position */
    struct past past;
};
/* "tg1 <generation> <timestamp> <hash>[ <age>:<position>]*", the metadata of a commit of partition_position: the record
 * before it, and where the partition stood earlier. Where that record is not known, "tg1 <generation>". */
void partition_commit_text(struct partition *p, struct buf *out);
/* Reads that text back: 0, or -1 when somebody else wrote it: nothing is known then, and it is generation 1. */
int partition_parse_commit(struct slice text, struct commit_note *out);

#endif

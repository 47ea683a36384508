/* What one process of a swarm has counted. It lies in memory shared with the parent: the process writes, the parent
 * reads single aligned words while that goes on, and may so see counters of slightly different moments. */
#ifndef TIDEGATE_LOADTEST_TALLY_H
#define TIDEGATE_LOADTEST_TALLY_H

#include "loadtest/lib/hist.h"

#include <stdio.h>

#define TALLY_CODES    5000 /* close codes of RFC 6455 section 7.4 end at 4999 */
#define TALLY_STATUSES 600
#define TALLY_ERRORS   134 /* errno values of Linux */

struct tally {
    uint64_t connected; /* answered with 101 */
    uint64_t welcomed;  /* and got a message of type connected */
    uint64_t failed;    /* never got a 101: errors and statuses say why */
    uint64_t lost;      /* ended by the other side after the 101: close_codes say why */
    uint64_t messages;  /* data messages but for welcome, ping and pong */
    uint64_t notices;   /* messages of type ping or pong, and protocol pings */
    uint64_t bytes;     /* payload of messages */
    uint64_t cpu_us;    /* user and system time of the process, written at its end */
    struct hist latency, connect;
    uint32_t close_codes[TALLY_CODES], statuses[TALLY_STATUSES], errors[TALLY_ERRORS];
};

struct tally_times {
    double connect_s; /* from the start until every socket was connected or had failed */
    double run_s;     /* from then to the end */
};

void tally_merge(struct tally *t, const struct tally *from);
/* One line for people and programs alike, name=value. */
void tally_print_progress(FILE *out, const struct tally *t, double at_s, double messages_per_s);
/* The result of the run over so many sockets: one JSON object on one line, or a few lines of text. */
void tally_print_json(FILE *out, const struct tally *t, uint64_t sockets, const struct tally_times *times);
void tally_print_text(FILE *out, const struct tally *t, uint64_t sockets, const struct tally_times *times);

#endif

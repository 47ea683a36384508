/* When a gateway has more connections than its fair share, how many of them are to go elsewhere, and at what pace. It
 * decides from counts alone: no clock, no connection. Each worker decides for its part; all gateways see the same
 * counts, so that what those above the mean give is what those below it lack, and nobody has to agree on anything.
 *
 * A run begins when the same gateways have been there for REBALANCE_CALM_MS, all of them ready, for a rolling update
 * takes its next step sooner; and when the excess has stood for REBALANCE_SETTLE_MS, longer than the lease of a killed
 * gateway, whose connections count here and there until then. It asks for the least excess that was seen meanwhile,
 * spread over the window, and is given up at once when a gateway comes, goes, drains or is not ready. When most of
 * those who were asked came back, the next run waits long. Pure. */
#ifndef TIDEGATE_GATEWAY_REBALANCE_H
#define TIDEGATE_GATEWAY_REBALANCE_H

#include "gateway/pace.h"

#define REBALANCE_CALM_MS   16000
#define REBALANCE_SETTLE_MS 8000
/* An excess below this burdens nobody. */
#define REBALANCE_LEAST 20
/* So long after it was asked to go, a client is connected again. */
#define REBALANCE_RETURN_MS 5000
/* Without counts for so long, nobody is asked. */
#define REBALANCE_STALE_MS 3000
/* After a run that did not help: doubled each time, until the gateways are others. */
#define REBALANCE_WAIT_MIN_MS 120000
#define REBALANCE_WAIT_MAX_MS 3600000

struct rebalance_conf {
    bool on;
    unsigned tolerance; /* percent of the mean */
    uint64_t window_ms;
    uint64_t arrivals; /* a second, that are to come to one gateway at most: a longer window then; 0: any number */
};

/* What is known of the cluster. */
struct rebalance_view {
    uint64_t gateways, connections; /* all of them, and all of theirs */
    uint64_t here;                  /* this gateway's connections */
    uint64_t movable;               /* of these, those that may be asked */
    uint64_t own;                   /* of these, this worker's */
    uint64_t least;                 /* the connections of the gateway that has the fewest */
    uint64_t set;                   /* another number for another set of gateways */
    bool calm;                      /* all are ready, none drains */
};

struct rebalance {
    struct rebalance_conf conf;
    uint64_t set;
    uint64_t seen_ms;  /* when the last view came */
    uint64_t calm_ms;  /* since then the set is the same, and all are ready */
    uint64_t since_ms; /* since then there is an excess, and nothing speaks against a run */
    uint64_t least;    /* excess since then; UINT64_MAX: none was seen */
    /* the run that is under way, or the last one */
    bool moving;
    uint64_t begun_ms, window_ms;
    uint64_t excess, asked;   /* the gateway's, at its beginning; and how many of them it asks, over its workers */
    uint64_t own_asked, left; /* this worker's part, and what is still to be asked of it */
    uint64_t own_gone;        /* and how many it has asked */
    struct pace pace;
    uint64_t wait_ms, not_before_ms;
};

enum rebalance_step {
    REBALANCE_REST,        /* nothing is to be done */
    REBALANCE_BEGUN,       /* a run has begun */
    REBALANCE_UNDER_WAY,   /* and goes on */
    REBALANCE_DONE,        /* it is over */
    REBALANCE_INTERRUPTED, /* a gateway came, went, or is not ready */
    REBALANCE_FUTILE,      /* those who were asked come back here */
};

void rebalance_init(struct rebalance *r, const struct rebalance_conf *conf);
/* New counts have come, some once a second. */
enum rebalance_step rebalance_on_view(struct rebalance *r, const struct rebalance_view *v, uint64_t now_ms);
/* How many to ask now. Call it often. */
uint64_t rebalance_due(struct rebalance *r, uint64_t now_ms);
/* So many were asked. */
void rebalance_asked(struct rebalance *r, uint64_t count);

/* Rounded up: nobody is above it by less than one. */
static inline uint64_t rebalance_mean(const struct rebalance_view *v)
{
    return v->gateways > 0 ? (v->connections + v->gateways - 1) / v->gateways : 0;
}

#endif

/* The router's metrics: struct router_metrics, one instance a thread, made from metrics.def. */
#ifndef TIDEGATE_ROUTER_METRICS_H
#define TIDEGATE_ROUTER_METRICS_H

#include "common/http_server.h"
#include "common/redis_fn.h"
#include "router/outcome.h"

#define METRICS_NAME router_metrics
#define METRICS_DEF  "router/metrics.def"
#include "common/metrics_struct.h"

extern const struct metrics_table router_metrics_table;
extern const char *router_outcome_words[DECODE_OUTCOME_COUNT];
extern const char *router_error_words[REDIS_FN_REFUSED + 1];

/* Fills the words above: before the first scrape. */
void router_metrics_name(void);

#endif

/* The router's metrics: struct router_metrics, one instance a thread, made from metrics.def. */
#ifndef TIDEGATE_ROUTER_METRICS_H
#define TIDEGATE_ROUTER_METRICS_H

#define METRICS_NAME router_metrics
#define METRICS_DEF  "router/metrics.def"
#include "common/metrics_struct.h"

extern const struct metrics_table router_metrics_table;

#endif

/* The gateway's metrics: struct gateway_metrics, one instance a worker, made from metrics.def. */
#ifndef TIDEGATE_GATEWAY_METRICS_H
#define TIDEGATE_GATEWAY_METRICS_H

#include "common/http_server.h"
#include "gateway/close.h"
#include "gateway/jwt.h"

#define METRICS_NAME gateway_metrics
#define METRICS_DEF  "gateway/metrics.def"
#include "common/metrics_struct.h"

extern const struct metrics_table gateway_metrics_table;

#endif

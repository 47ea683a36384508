/* The table of router/metrics.def. */
#include "router/metrics.h"
#include "common/metrics_table.h"

const struct metrics_table router_metrics_table = {METRICS_ROWS};

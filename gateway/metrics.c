/* The table of gateway/metrics.def. */
#include "gateway/metrics.h"
#include "common/metrics_table.h"

const struct metrics_table gateway_metrics_table = {METRICS_ROWS};

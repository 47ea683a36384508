/* What the gateway says of itself over HTTP: health and statistics, in the shapes that existing services gave. */
#ifndef TIDEGATE_GATEWAY_STATS_H
#define TIDEGATE_GATEWAY_STATS_H

#include "common/http_server.h"

/* Under METRICS_PER_USER this name is a gauge by user, written here; otherwise a histogram of metrics.def. */
#define STATS_USER_METRIC "websocket_connections_by_user"

void stats_on_health(struct http_server *s, h2o_req_t *req);
/* Both need what API_AUTH says; a user sees of connections by user only the own ones. */
void stats_on_status(struct http_server *s, h2o_req_t *req);
void stats_on_stats(struct http_server *s, h2o_req_t *req);
void stats_on_metrics(struct http_server *s, h2o_req_t *req);

#endif

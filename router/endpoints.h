/* What the router answers over HTTP: /health, /ready, /metrics, and with DAPR_INGEST=1 what a Dapr sidecar asks. */
#ifndef TIDEGATE_ROUTER_ENDPOINTS_H
#define TIDEGATE_ROUTER_ENDPOINTS_H

#include "router/app.h"

/* Their rows; the server's app is the struct app. Those of ingest come last. */
extern const struct http_route endpoints[];
extern const size_t endpoint_count, endpoint_count_without_ingest;

/* Adds what a scrape looks up: gauges and lag. */
void endpoints_measure(struct app *app);

#endif

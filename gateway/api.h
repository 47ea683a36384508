/* The gateway's endpoints: one table of rows, and those that are small. */
#ifndef TIDEGATE_GATEWAY_API_H
#define TIDEGATE_GATEWAY_API_H

#include "common/http_server.h"

/* Endpoints and hooks, for worker_init. */
extern const struct http_server_conf api_http;

#endif

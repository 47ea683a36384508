/* From an HTTP request to a WebSocket connection: everything that may refuse it, in order, and the 101. */
#ifndef TIDEGATE_GATEWAY_UPGRADE_H
#define TIDEGATE_GATEWAY_UPGRADE_H

#include "common/http_server.h"

/* GET /ws and GET /ws/{user_id}; GET /echo. */
void upgrade_on_ws(struct http_server *s, h2o_req_t *req);
void upgrade_on_echo(struct http_server *s, h2o_req_t *req);

#endif

/* The pages that the gateway carries inside itself: gateway/web/. */
#ifndef TIDEGATE_GATEWAY_WEB_H
#define TIDEGATE_GATEWAY_WEB_H

#include "common/http_server.h"

/* GET /demo/ and what the page there asks for. */
void web_on_demo(struct http_server *s, h2o_req_t *req);

#endif

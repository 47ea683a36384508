/* The gateway's endpoints: one table of rows, and the upgrade to a WebSocket. */
#ifndef TIDEGATE_GATEWAY_API_H
#define TIDEGATE_GATEWAY_API_H

struct worker;

/* Listens. 0, or -1 with *why owned. */
int api_start(struct worker *w, char **why);

#endif

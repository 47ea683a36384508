/* The program as a whole: what its HTTP endpoints may ask about. */
#ifndef TIDEGATE_ROUTER_APP_H
#define TIDEGATE_ROUTER_APP_H

#include "common/http_server.h"
#include "common/lifecycle.h"
#include "common/process.h"
#include "router/downstream.h"
#include "router/ingest.h"
#include "router/route.h"

struct app {
    const struct router_config *conf;
    struct loop loop;
    struct lifecycle lifecycle;
    struct redis_site redis;
    struct route_table *routes;
    const char **topics; /* that the group reads; owned array of borrowed names */
    size_t topic_count;
    struct metrics metrics;
    struct process process;
    struct router_metrics *cells;
    struct producer producer;
    struct deadletters deadletters;
    struct downstream downstream;
    struct ingest ingest;
    struct http_server http;
};

#endif

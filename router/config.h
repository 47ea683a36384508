/* The router's options: struct router_config and its table, both made from config.def. Filled once at the start
 * (config_start), const from then on. */
#ifndef TIDEGATE_ROUTER_CONFIG_H
#define TIDEGATE_ROUTER_CONFIG_H

#define CONFIG_NAME router_config
#define CONFIG_DEF  "router/config.def"
#include "common/config_struct.h"

extern const struct config_table router_config_table;

/* Where a partition without a commit starts. Parses START: 0, or -1 when it is neither a word nor a time. */
enum router_start { START_LATEST, START_EARLIEST, START_BACK };
int router_start_parse(const char *text, enum router_start *start, uint64_t *back_ms);

#endif

/* The gateway's options: struct gateway_config and its table, both made from config.def. Filled once at the start
 * (config_start), const from then on, read by every worker. */
#ifndef TIDEGATE_GATEWAY_CONFIG_H
#define TIDEGATE_GATEWAY_CONFIG_H

#define CONFIG_NAME gateway_config
#define CONFIG_DEF  "gateway/config.def"
#include "common/config_struct.h"

extern const struct config_table gateway_config_table;

#endif

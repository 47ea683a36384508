/* A message of librdkafka as a record. */
#ifndef TIDEGATE_ROUTER_MESSAGE_H
#define TIDEGATE_ROUTER_MESSAGE_H

#include "router/event.h"

#include <librdkafka/rdkafka.h>

#define MESSAGE_HEADERS_MAX 128

/* *Borrows* everything, headers too: the record is good as long as they are. */
struct record message_record(const rd_kafka_message_t *m, struct record_header headers[MESSAGE_HEADERS_MAX]);

#endif

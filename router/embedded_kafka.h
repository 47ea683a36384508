/* A Kafka for demonstrations and tests, in this process: librdkafka's mock cluster. It keeps about 5 MB a partition in
 * memory and nothing on disk; any client can produce to it and consume from it. It listens on 127.0.0.1, on a port that
 * the system chooses (the library offers no other way), and says which on stdout: KAFKA_BROKERS=127.0.0.1:PORT. */
#ifndef TIDEGATE_ROUTER_EMBEDDED_KAFKA_H
#define TIDEGATE_ROUTER_EMBEDDED_KAFKA_H

#include "common/slice.h"

#define EMBEDDED_KAFKA_PARTITIONS 4

/* Runs it with these topics until SIGTERM or SIGINT. Returns the process's exit code. */
int embedded_kafka_run(const struct slice *topics, size_t count);

#endif

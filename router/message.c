/* Headers beyond what we look at are left out; a record without a time has that of its reading. */
#include "router/message.h"
#include "common/clock.h"

static size_t read_headers(const rd_kafka_message_t *m, struct record_header out[MESSAGE_HEADERS_MAX])
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    size_t n = 0;
    const char *name;
    const void *value;
    size_t size;
    while (n < MESSAGE_HEADERS_MAX &&
           rd_kafka_header_get_all(headers, n, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR)
        out[n++] = (struct record_header){.name = slice_of(name), .value = {value, size}};
    return n;
}

static int64_t timestamp_of(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(m, &type);
    return ms >= 0 ? ms : (int64_t)clock_wall_ms();
}

struct record message_record(const rd_kafka_message_t *m, struct record_header headers[MESSAGE_HEADERS_MAX])
{
    return (struct record){.topic = slice_of(rd_kafka_topic_name(m->rkt)),
                           .partition = m->partition,
                           .offset = m->offset,
                           .timestamp_ms = timestamp_of(m),
                           .key = {m->key, m->key_len},
                           .value = {m->payload, m->len},
                           .headers = headers,
                           .header_count = read_headers(m, headers)};
}

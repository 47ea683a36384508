/* The mock cluster has threads of its own; ours only waits for the signal. */
#include "router/embedded_kafka.h"
#include "common/lifecycle.h"
#include "common/log.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

static void on_stop(struct lifecycle *lc)
{
    loop_stop(lc->loop);
}

static void create_topics(rd_kafka_mock_cluster_t *cluster, const struct slice *topics, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *name = slice_dup(topics[i]);
        rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, name, EMBEDDED_KAFKA_PARTITIONS, 1);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            log_warn("topic_not_created", LOG_S("topic", name), LOG_S("reason", rd_kafka_err2str(err)));
        free(name);
    }
}

int embedded_kafka_run(const struct slice *topics, size_t count)
{
    struct loop loop;
    struct lifecycle lifecycle;
    loop_init(&loop);
    lifecycle_init(&lifecycle, &loop, on_stop);

    /* The cluster hangs on a client instance that does nothing else. */
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0); /* it complains that it knows no broker */
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    rd_kafka_mock_cluster_t *cluster = rk != NULL ? rd_kafka_mock_cluster_new(rk, 1) : NULL;
    if (cluster == NULL) {
        log_error("embedded_kafka_failed", LOG_S("reason", rk != NULL ? "the mock cluster does not start" : why));
        return 1;
    }
    create_topics(cluster, topics, count);
    printf("KAFKA_BROKERS=%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);

    loop_run(&loop);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    lifecycle_release(&lifecycle);
    loop_release(&loop);
    return 0;
}

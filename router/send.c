/* Lines go out as they are read, at any speed; reports are counted in between and waited for at the end. */
#include "router/send.h"
#include "common/slice.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_MS 100

struct sending {
    const struct send *s;
    rd_kafka_t *rk;
    size_t sent, acknowledged, failed;
    const char *why; /* of the first that failed; a static text of the library's */
};

static void note_failure(struct sending *g, rd_kafka_resp_err_t err)
{
    if (g->failed++ == 0)
        g->why = rd_kafka_err2str(err);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct sending *g = opaque;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        g->acknowledged++;
    else
        note_failure(g, message->err);
}

static rd_kafka_resp_err_t produce(const struct sending *g, struct slice value)
{
    struct slice key = slice_of(g->s->key);
    return rd_kafka_producev(g->rk, RD_KAFKA_V_TOPIC(g->s->topic), RD_KAFKA_V_KEY(key.p, key.n),
                             RD_KAFKA_V_VALUE((void *)value.p, value.n), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_END);
}

static void send_one(struct sending *g, struct slice value)
{
    rd_kafka_resp_err_t err;
    g->sent++;
    while ((err = produce(g, value)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        rd_kafka_poll(g->rk, WAIT_MS);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        note_failure(g, err);
    rd_kafka_poll(g->rk, 0);
}

static void send_lines(struct sending *g)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    while ((n = getline(&line, &room, stdin)) > 0) {
        if (line[n - 1] == '\n')
            n--;
        if (n > 0)
            send_one(g, slice_make(line, (size_t)n));
    }
    free(line);
}

int send_run(const struct send *s, rd_kafka_conf_t *conf)
{
    struct sending g = {.s = s};
    char reason[512];
    rd_kafka_conf_set_opaque(conf, &g);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    g.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (g.rk == NULL) {
        rd_kafka_conf_destroy(conf);
        fprintf(stderr, "tidegate-router: %s\n", reason);
        return 1;
    }
    if (s->value != NULL)
        send_one(&g, slice_of(s->value));
    else
        send_lines(&g);
    while (g.acknowledged + g.failed < g.sent) /* each is reported, at the latest when its time is over */
        rd_kafka_poll(g.rk, WAIT_MS);
    rd_kafka_destroy(g.rk);
    printf("%zu of %zu records are in %s\n", g.acknowledged, g.sent, s->topic);
    if (g.failed > 0)
        fprintf(stderr, "tidegate-router: %zu records were not acknowledged: %s\n", g.failed, g.why);
    return g.failed == 0 ? 0 : 1;
}

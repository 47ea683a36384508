/* librdkafka's threads do the work; delivery reports come back through an eventfd and are told on the loop. */
#include "router/producer.h"
#include "common/log.h"

#define SLICE_MS 0
#define TICK_MS  100

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *p = opaque;
    struct delivery *d = message->_private;
    p->waiting--;
    d->on_delivered(d, message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(message->err));
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    log_error("producer_error", LOG_S("error", rd_kafka_err2name(err)), LOG_S("reason", reason));
}

static bool on_turn(struct turn_hook *hook)
{
    struct producer *p = CONTAINER_OF(hook, struct producer, hook);
    if (p->woken) {
        p->woken = false;
        rd_kafka_poll(p->rk, SLICE_MS);
    }
    return false;
}

static void on_wake(struct waker *w)
{
    CONTAINER_OF(w, struct producer, waker)->woken = true;
}

static void on_tick(struct timer *t)
{
    struct producer *p = CONTAINER_OF(t, struct producer, tick);
    p->woken = true;
    timer_start(p->loop, &p->tick, TICK_MS);
}

int producer_start(struct producer *p, struct loop *l, rd_kafka_conf_t *conf, char **why)
{
    *p = (struct producer){.loop = l};
    rd_kafka_conf_set_opaque(conf, p);
    rd_kafka_conf_set_dr_msg_cb(conf, on_report);
    rd_kafka_conf_set_error_cb(conf, on_error);
    char reason[512];
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (p->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        *why = xstrdup(reason);
        return -1;
    }
    static const uint64_t one = 1;
    waker_init(&p->waker, l, on_wake);
    p->queue = rd_kafka_queue_get_main(p->rk);
    rd_kafka_queue_io_event_enable(p->queue, p->waker.fd, &one, sizeof(one));
    loop_add_hook(l, &p->hook, on_turn);
    timer_init(&p->tick, on_tick);
    timer_start(l, &p->tick, TICK_MS);
    return 0;
}

void producer_release(struct producer *p, int wait_ms)
{
    timer_stop(&p->tick);
    list_remove(&p->hook.link);
    if (p->waiting > 0)
        rd_kafka_flush(p->rk, wait_ms);
    rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy(p->rk);
    waker_release(&p->waker);
}

int producer_send(struct producer *p, const struct producer_record *r, struct delivery *d, const char **why)
{
    rd_kafka_vu_t args[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = r->topic},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {.ptr = (void *)r->key.p, .size = r->key.n}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = (void *)r->value.p, .size = r->value.n}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = d},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = r->headers},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(p->rk, args, ARRAY_LEN(args) - (r->headers == NULL));
    if (error == NULL) {
        p->waiting++;
        return 0;
    }
    *why = rd_kafka_err2str(rd_kafka_error_code(error));
    rd_kafka_error_destroy(error);
    return -1;
}

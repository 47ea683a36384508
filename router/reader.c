/* Polled like the consumer: an eventfd wakes a hook that takes a slice of records a turn. Ending the library's handle
 * waits for its threads, so a thread of its own does that. */
#include "router/reader.h"
#include "common/log.h"

#define SLICE_MAX 16 /* a turn: live records wait meanwhile */
#define TICK_MS   100

static void say_error(const char *event, rd_kafka_error_t *error)
{
    if (error == NULL)
        return;
    log_warn(event, LOG_S("reason", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    log_warn("kafka_reader_error", LOG_S("error", rd_kafka_err2name(err)), LOG_S("reason", reason));
}

static void on_message(struct reader *r, rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        r->ops->on_record(r, message);
    else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        r->ops->on_end(r, rd_kafka_topic_name(message->rkt), message->partition);
    else
        log_warn("kafka_reader_error", LOG_S("error", rd_kafka_err2name(message->err)),
                 LOG_S("reason", rd_kafka_message_errstr(message)));
    rd_kafka_message_destroy(message);
}

static bool on_turn(struct turn_hook *hook)
{
    struct reader *r = CONTAINER_OF(hook, struct reader, hook);
    if (!r->woken || r->rk == NULL)
        return false;
    size_t room = MIN(r->ops->room(r), SLICE_MAX);
    for (size_t i = 0; i < room && r->rk != NULL; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(r->rk, 0);
        if (message == NULL) {
            r->woken = false;
            break;
        }
        on_message(r, message);
    }
    return r->rk != NULL && r->woken && room > 0;
}

static void on_wake(struct waker *w)
{
    CONTAINER_OF(w, struct reader, waker)->woken = true;
}

static void on_tick(struct timer *t)
{
    struct reader *r = CONTAINER_OF(t, struct reader, tick);
    r->woken = true;
    timer_start(r->loop, &r->tick, TICK_MS);
}

void reader_init(struct reader *r, struct loop *l, const struct reader_ops *ops, void *owner)
{
    *r = (struct reader){.loop = l, .ops = ops, .owner = owner};
    timer_init(&r->tick, on_tick);
    waker_init(&r->waker, l, on_wake);
    loop_add_hook(l, &r->hook, on_turn);
}

static void wait_closed(struct reader *r)
{
    if (r->closing)
        pthread_join(r->closer, NULL);
    r->closing = false;
}

int reader_start(struct reader *r, const rd_kafka_conf_t *conf, char **why)
{
    static const uint64_t one = 1;
    char reason[512];
    if (r->rk != NULL)
        return 0;
    wait_closed(r);
    rd_kafka_conf_t *own = rd_kafka_conf_dup(conf);
    rd_kafka_conf_set_opaque(own, r);
    rd_kafka_conf_set_error_cb(own, on_error);
    r->rk = rd_kafka_new(RD_KAFKA_CONSUMER, own, reason, sizeof(reason));
    if (r->rk == NULL) {
        rd_kafka_conf_destroy(own);
        *why = xstrdup(reason);
        return -1;
    }
    rd_kafka_poll_set_consumer(r->rk);
    r->queue = rd_kafka_queue_get_consumer(r->rk);
    rd_kafka_queue_io_event_enable(r->queue, r->waker.fd, &one, sizeof(one));
    timer_start(r->loop, &r->tick, TICK_MS);
    return 0;
}

void reader_assign(struct reader *r, rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_resp_err_t err = rd_kafka_assign(r->rk, partitions);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        log_warn("reader_assign_failed", LOG_S("reason", rd_kafka_err2str(err)));
    r->woken = true;
}

void reader_drop(struct reader *r, const char *topic, int32_t partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition);
    say_error("reader_unassign_failed", rd_kafka_incremental_unassign(r->rk, list));
    rd_kafka_topic_partition_list_destroy(list);
}

static void *close_handle(void *rk)
{
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

void reader_stop(struct reader *r)
{
    if (r->rk == NULL)
        return;
    timer_stop(&r->tick);
    rd_kafka_queue_io_event_enable(r->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(r->queue);
    if (pthread_create(&r->closer, NULL, close_handle, r->rk) != 0)
        BUG("cannot start a thread");
    r->closing = true;
    r->rk = NULL;
}

void reader_release(struct reader *r)
{
    reader_stop(r);
    wait_closed(r);
    list_remove(&r->hook.link);
    waker_release(&r->waker);
}

/* librdkafka writes to an eventfd when its queue is no longer empty; then a hook polls it slice by slice, between which
 * the loop serves Redis and HTTP. Pausing, moving and polling happen on this one thread only: the library loses records
 * otherwise. */
#include "router/consumer.h"
#include "common/log.h"
#include "router/kafka_conf.h"

#include <stdlib.h>

#define SLICE_MAX 256
#define TICK_MS   100 /* in case a wake-up was lost */

static void say_error(struct consumer *c, const char *event, rd_kafka_error_t *error)
{
    if (error == NULL)
        return;
    counter_add(&c->metrics->kafka_errors, 1);
    log_error(event, LOG_S("reason", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
}

/* Of partitions that are revoked, those that were assigned; the library refuses others. */
static void give_up(struct consumer *c, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *all = NULL, *ours = rd_kafka_topic_partition_list_new(partitions->cnt);
    if (rd_kafka_assignment(c->rk, &all) != RD_KAFKA_RESP_ERR_NO_ERROR)
        all = rd_kafka_topic_partition_list_new(0); /* the group is left already */
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *p = &partitions->elems[i];
        if (rd_kafka_topic_partition_list_find(all, p->topic, p->partition) != NULL)
            rd_kafka_topic_partition_list_add(ours, p->topic, p->partition);
    }
    if (c->paused)
        rd_kafka_resume_partitions(c->rk, ours); /* or they would be paused when they come back */
    say_error(c, "unassign_failed", rd_kafka_incremental_unassign(c->rk, ours));
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_topic_partition_list_destroy(ours);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
                         void *opaque)
{
    struct consumer *c = opaque;
    c->rebalances++;
    counter_add(&c->metrics->rebalances, 1);
    switch (err) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
        log_info("partitions_assigned", LOG_I("count", partitions->cnt));
        if (c->state == CONSUMER_JOINING)
            c->state = CONSUMER_MEMBER;
        c->unreachable = false;
        if (partitions->cnt > 0 && c->state == CONSUMER_MEMBER)
            c->ops->on_assigned(c, partitions);
        else
            consumer_assign_none(c);
        break;
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
        log_info("partitions_revoked", LOG_I("count", partitions->cnt), LOG_I("lost", rd_kafka_assignment_lost(rk)));
        c->ops->on_revoked(c, partitions, rd_kafka_assignment_lost(rk));
        give_up(c, partitions);
        break;
    default:
        log_error("rebalance_failed", LOG_S("reason", rd_kafka_err2str(err)));
        rd_kafka_assign(rk, NULL);
    }
}

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    struct consumer *c = opaque;
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    counter_add(&c->metrics->kafka_errors, 1);
    log_warn("commit_failed", LOG_S("reason", rd_kafka_err2str(err)), LOG_I("partitions", offsets->cnt));
    c->ops->on_commit_failed(c, offsets);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct consumer *c = opaque;
    counter_add(&c->metrics->kafka_errors, 1);
    log_error("kafka_error", LOG_S("error", rd_kafka_err2name(err)), LOG_S("reason", reason));
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !c->unreachable) {
        log_error("kafka_unreachable",
                  LOG_S("hint", "is KAFKA_BROKERS right, and may we connect there? nothing is ready until then"));
        c->unreachable = true;
    }
}

bool consumer_missed(const struct consumer *c, const char *topic)
{
    for (size_t i = 0; i < c->topic_count; i++)
        if (strcmp(c->topics[i], topic) == 0)
            return c->missing[i];
    return false;
}

bool consumer_waits_for_topics(const struct consumer *c)
{
    for (size_t i = 0; i < c->topic_count; i++)
        if (!c->missing[i])
            return false;
    return c->state == CONSUMER_JOINING;
}

static void on_missing(struct consumer *c, const char *topic)
{
    log_warn("topic_missing", LOG_S("topic", topic),
             LOG_S("hint", "it is read from its beginning as soon as somebody creates it"));
    for (size_t i = 0; i < c->topic_count; i++)
        c->missing[i] |= strcmp(c->topics[i], topic) == 0;
    c->unreachable = false;
}

static void on_message(struct consumer *c, rd_kafka_message_t *message)
{
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        c->unreachable = false;
        c->ops->on_record(c, message);
        return;
    }
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && message->rkt != NULL) {
        on_missing(c, rd_kafka_topic_name(message->rkt));
        rd_kafka_message_destroy(message);
        return;
    }
    counter_add(&c->metrics->kafka_errors, 1);
    log_warn("consumer_error", LOG_S("error", rd_kafka_err2name(message->err)),
             LOG_S("reason", rd_kafka_message_errstr(message)));
    rd_kafka_message_destroy(message);
}

/* A fetch that failed because there is no such topic is tried again, and nobody is told: if the topic was made anew
 * meanwhile the library goes on at the old offset in it. Topics that are missing all the time are told of otherwise. */
static void on_log(const rd_kafka_t *rk, int severity, const char *facility, const char *text)
{
    struct consumer *c = rd_kafka_opaque(rk);
    if (c != NULL && strcmp(facility, "BROKERUA") == 0 &&
        strstr(text, rd_kafka_err2str(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)) != NULL)
        atomic_store(&c->doubtful, true);
    kafka_log(rk, severity, facility, text);
}

static bool on_turn(struct turn_hook *hook)
{
    struct consumer *c = CONTAINER_OF(hook, struct consumer, hook);
    if (atomic_exchange(&c->doubtful, false) && c->state == CONSUMER_MEMBER)
        c->ops->on_doubt(c);
    if (!c->woken || c->state == CONSUMER_CLOSED)
        return false;
    size_t room = c->paused || c->state == CONSUMER_CLOSING ? SLICE_MAX : c->ops->room(c);
    for (size_t i = 0; i < MIN(room, SLICE_MAX); i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(c->rk, 0);
        if (message == NULL) {
            c->woken = false;
            break;
        }
        on_message(c, message);
    }
    return c->woken && room > 0;
}

static void on_wake(struct waker *w)
{
    CONTAINER_OF(w, struct consumer, waker)->woken = true;
}

static void on_tick(struct timer *t)
{
    struct consumer *c = CONTAINER_OF(t, struct consumer, tick);
    c->woken = true;
    if (c->state == CONSUMER_CLOSING && rd_kafka_consumer_closed(c->rk))
        c->state = CONSUMER_CLOSED;
    timer_start(c->loop, &c->tick, c->state == CONSUMER_CLOSING ? 10 : TICK_MS);
}

static rd_kafka_resp_err_t subscribe(struct consumer *c, const char *const *topics, size_t count)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t err = rd_kafka_subscribe(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return err;
}

int consumer_start(struct consumer *c, struct loop *l, rd_kafka_conf_t *conf, const char *const *topics, size_t count,
                   struct router_metrics *metrics, const struct consumer_ops *ops, void *owner, char **why)
{
    *c = (struct consumer){.loop = l,
                           .metrics = metrics,
                           .ops = ops,
                           .owner = owner,
                           .woken = true,
                           .topics = topics,
                           .topic_count = count};
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    char reason[512];
    c->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    if (c->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        *why = xstrdup(reason);
        return -1;
    }
    rd_kafka_poll_set_consumer(c->rk);
    rd_kafka_resp_err_t err = subscribe(c, topics, count);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        *why = xasprintf("subscribing: %s", rd_kafka_err2str(err));
        rd_kafka_destroy(c->rk);
        return -1;
    }
    c->missing = xcalloc(count, sizeof(*c->missing));
    static const uint64_t one = 1;
    waker_init(&c->waker, l, on_wake);
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    rd_kafka_queue_io_event_enable(c->queue, c->waker.fd, &one, sizeof(one));
    loop_add_hook(l, &c->hook, on_turn);
    timer_init(&c->tick, on_tick);
    timer_start(l, &c->tick, TICK_MS);
    return 0;
}

void consumer_assign(struct consumer *c, rd_kafka_topic_partition_list_t *partitions)
{
    say_error(c, "assign_failed", rd_kafka_incremental_assign(c->rk, partitions));
    if (c->paused && partitions->cnt > 0)
        rd_kafka_pause_partitions(c->rk, partitions);
}

/* An offset that must be looked up, such as the end, would do as a start of partitions that wait, but the library asks
 * for it again when the answer comes after such a partition was moved, and goes on there half a second later. */
void consumer_assign_none(struct consumer *c)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(1);
    consumer_assign(c, none);
    rd_kafka_topic_partition_list_destroy(none);
}

/* A seek fails on a partition that is not being fetched yet, and says so nowhere: giving it up and taking it again does
 * not. */
void consumer_move(struct consumer *c, rd_kafka_topic_partition_list_t *partitions)
{
    if (c->paused)
        rd_kafka_resume_partitions(c->rk, partitions);
    say_error(c, "unassign_failed", rd_kafka_incremental_unassign(c->rk, partitions));
    consumer_assign(c, partitions);
}

static void pause_or_resume(struct consumer *c, bool pause)
{
    rd_kafka_topic_partition_list_t *all = NULL;
    if (rd_kafka_assignment(c->rk, &all) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (pause)
        rd_kafka_pause_partitions(c->rk, all);
    else
        rd_kafka_resume_partitions(c->rk, all);
    rd_kafka_topic_partition_list_destroy(all);
    c->paused = pause;
}

void consumer_pause(struct consumer *c)
{
    pause_or_resume(c, true);
}

void consumer_resume(struct consumer *c)
{
    pause_or_resume(c, false);
}

void consumer_commit(struct consumer *c, rd_kafka_topic_partition_list_t *offsets)
{
    rd_kafka_resp_err_t err = rd_kafka_commit(c->rk, offsets, 1);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        on_commit(c->rk, err, offsets, c);
}

void consumer_commit_now(struct consumer *c, rd_kafka_topic_partition_list_t *offsets, int wait_ms)
{
    rd_kafka_queue_t *answer = rd_kafka_queue_new(c->rk);
    rd_kafka_resp_err_t err = rd_kafka_commit_queue(c->rk, offsets, answer, on_commit, c);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        on_commit(c->rk, err, offsets, c);
    else if (rd_kafka_queue_poll_callback(answer, wait_ms) == 0)
        log_warn("commit_unanswered", LOG_I("partitions", offsets->cnt), LOG_I("wait_ms", wait_ms));
    rd_kafka_queue_destroy(answer);
}

void consumer_set_metadata(rd_kafka_topic_partition_t *element, struct slice text)
{
    free(element->metadata);
    element->metadata = slice_dup(text); /* freed by the list */
    element->metadata_size = text.n;
}

void consumer_close(struct consumer *c)
{
    if (c->state == CONSUMER_JOINING) {
        c->state = CONSUMER_CLOSED; /* closing the library's consumer now would hit an assertion in it */
        return;
    }
    c->state = CONSUMER_CLOSING;
    say_error(c, "close_failed", rd_kafka_consumer_close_queue(c->rk, c->queue));
    timer_start(c->loop, &c->tick, 10);
}

void consumer_release(struct consumer *c)
{
    timer_stop(&c->tick);
    list_remove(&c->hook.link);
    rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(c->queue);
    rd_kafka_destroy(c->rk);
    waker_release(&c->waker);
    free(c->missing);
}

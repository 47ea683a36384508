/* The census's totals go into the decision; what it says is due goes out of the roster. */
#include "gateway/mover.h"
#include "common/log.h"
#include "gateway/conn.h"

void mover_init(struct mover *m, struct context *ctx, struct roster *roster, const struct census *census)
{
    *m = (struct mover){.ctx = ctx, .roster = roster, .census = census};
    rebalance_init(&m->rebalance, &(struct rebalance_conf){.on = ctx->cfg->rebalance,
                                                           .tolerance = (unsigned)ctx->cfg->rebalance_tolerance,
                                                           .window_ms = ctx->cfg->rebalance_window,
                                                           .arrivals = ((uint64_t)ctx->cfg->admission_rate + 1) / 2});
}

/* ---- how many ---- */

static void log_run(const struct mover *m, const char *event, const struct rebalance_view *v)
{
    log_info(event, LOG_I("connections", v->here), LOG_I("mean", rebalance_mean(v)),
             LOG_I("asked", m->rebalance.own_asked), LOG_I("left", m->rebalance.left));
}

static void log_step(struct mover *m, enum rebalance_step step, const struct rebalance_view *v)
{
    switch (step) {
    case REBALANCE_BEGUN:
        counter_add(&m->ctx->metrics->rebalances, 1);
        log_run(m, "rebalance_begun", v);
        break;
    case REBALANCE_FUTILE:
        counter_add(&m->ctx->metrics->rebalances_futile, 1);
        log_warn("rebalance_futile",
                 LOG_S("reason", "most connections that were asked to go elsewhere came back: the balancer does not "
                                 "prefer gateways that have few"),
                 LOG_I("wait_s", m->rebalance.wait_ms / 1000));
        break;
    case REBALANCE_DONE:
        log_run(m, "rebalance_done", v);
        break;
    case REBALANCE_INTERRUPTED:
        log_run(m, "rebalance_interrupted", v);
        break;
    case REBALANCE_REST:
    case REBALANCE_UNDER_WAY:
        break;
    }
}

void mover_on_totals(struct mover *m)
{
    const struct census_totals *t = &m->census->totals;
    struct rebalance_view v = {.gateways = t->gateways,
                               .connections = t->connections,
                               .here = t->here,
                               .movable = t->movable_here,
                               .own = m->roster->movable,
                               .least = t->least,
                               .set = t->set,
                               .calm = t->all_ready};
    log_step(m, rebalance_on_view(&m->rebalance, &v, m->ctx->loop->now_ms), &v);
    if (census_is_first(m->census))
        gauge_set(&m->ctx->metrics->connections_mean, (int64_t)rebalance_mean(&v));
}

/* ---- which ---- */

struct candidate {
    struct conn *conn;
    uint16_t idle_s;
};

static bool may_move(const struct conn *c)
{
    return c->state == CONN_OPEN && c->resumes && !conn_is_behind(c);
}

/* Keeps the longest idle ones, the longest first; of equals those that were seen first. */
static size_t keep(struct candidate *kept, size_t n, size_t max, struct candidate it)
{
    if (n == max && kept[n - 1].idle_s >= it.idle_s)
        return n;
    size_t at = n < max ? n : max - 1;
    for (; at > 0 && kept[at - 1].idle_s < it.idle_s; at--)
        kept[at] = kept[at - 1];
    kept[at] = it;
    return MIN(n + 1, max);
}

size_t mover_move(struct mover *m, size_t count)
{
    struct candidate kept[MOVER_AT_ONCE];
    size_t n = 0, looked = 0;
    if (count == 0)
        return 0;
    LIST_EACH (it, &m->roster->watched) {
        struct conn *c = conn_of(CONTAINER_OF(it, struct roster_place, watched));
        if (looked++ == MOVER_LOOKED_AT)
            break;
        if (may_move(c))
            n = keep(kept, n, count, (struct candidate){c, conn_idle_s(c)});
    }
    for (size_t i = 0; i < n; i++)
        conn_close(kept[i].conn, CLOSE_MOVE);
    return n;
}

void mover_tick(struct mover *m)
{
    uint64_t due = rebalance_due(&m->rebalance, m->ctx->loop->now_ms);
    rebalance_asked(&m->rebalance, mover_move(m, MIN(due, MOVER_AT_ONCE)));
    gauge_set(&m->ctx->metrics->rebalance_left, (int64_t)m->rebalance.left);
    gauge_set(&m->ctx->metrics->connections_movable, (int64_t)m->roster->movable);
}

/* Watches until an excess has settled, then lets go of it over the window, then watches again. */
#include "gateway/rebalance.h"

#define REBALANCE_DUE_SPAN_MS 200 /* it was not asked for longer: that time is not made good */

void rebalance_init(struct rebalance *r, const struct rebalance_conf *conf)
{
    *r = (struct rebalance){.conf = *conf, .least = UINT64_MAX};
}

static uint64_t excess_of(const struct rebalance_view *v)
{
    uint64_t mean = rebalance_mean(v);
    return v->here > mean ? v->here - mean : 0;
}

static bool is_too_much(const struct rebalance *r, const struct rebalance_view *v)
{
    uint64_t bound = rebalance_mean(v) * (100 + r->conf.tolerance);
    return v->here * 100 > bound && excess_of(v) >= REBALANCE_LEAST;
}

/* A worker whose connections do not resume leaves it to its neighbours. */
static uint64_t own_part(const struct rebalance_view *v, uint64_t count)
{
    return v->movable > 0 ? MIN(count, v->movable) * MIN(v->own, v->movable) / v->movable : 0;
}

static void watch_anew(struct rebalance *r, uint64_t now_ms)
{
    r->since_ms = now_ms;
    r->least = UINT64_MAX;
}

static void end(struct rebalance *r, uint64_t now_ms)
{
    r->moving = false;
    r->left = 0;
    watch_anew(r, now_ms);
}

/* Fewer than a quarter of those who went, stayed away: the balancer sends them back here, and asking on would trouble
 * them for nothing. */
static bool has_helped(const struct rebalance *r, uint64_t excess, uint64_t gone)
{
    return excess + gone / 4 <= r->excess;
}

static enum rebalance_step give_up(struct rebalance *r, uint64_t now_ms)
{
    end(r, now_ms);
    r->asked = 0; /* it was judged */
    r->wait_ms = MAX(REBALANCE_WAIT_MIN_MS, MIN(2 * r->wait_ms, REBALANCE_WAIT_MAX_MS));
    r->not_before_ms = now_ms + r->wait_ms;
    return REBALANCE_FUTILE;
}

/* How many the gateway has asked, as far as this worker can tell from its own part: not all that were due, where some
 * were blind for a while or had nobody who may be asked. */
static uint64_t asked_so_far(const struct rebalance *r)
{
    return r->asked > 0 ? r->asked * r->own_gone / r->own_asked : 0;
}

/* Of those who were asked so far, they have had the time to come back. */
static uint64_t returned_by(const struct rebalance *r, uint64_t now_ms)
{
    uint64_t since = now_ms - r->begun_ms;
    if (since <= REBALANCE_RETURN_MS)
        return 0;
    return MIN(asked_so_far(r), r->asked * MIN(since - REBALANCE_RETURN_MS, r->window_ms) / r->window_ms);
}

/* Of a few nothing can be said. */
static bool is_futile(const struct rebalance *r, uint64_t excess, uint64_t gone)
{
    return gone >= MAX(r->asked / 8, REBALANCE_LEAST) && !has_helped(r, excess, gone);
}

static enum rebalance_step go_on(struct rebalance *r, const struct rebalance_view *v, uint64_t now_ms)
{
    uint64_t excess = excess_of(v);
    r->left = MIN(r->left, own_part(v, excess));
    if (r->left > 0 && is_futile(r, excess, returned_by(r, now_ms)))
        return give_up(r, now_ms);
    if (r->left > 0 && now_ms <= r->begun_ms + r->window_ms)
        return REBALANCE_UNDER_WAY;
    end(r, now_ms);
    return REBALANCE_DONE;
}

/* Those who go come to the emptiest gateway, which lets in only so many a second: they must not wait at its door. */
static uint64_t window_of(const struct rebalance *r, const struct rebalance_view *v)
{
    uint64_t mean = rebalance_mean(v), room = mean > v->least ? mean - v->least : 0;
    return r->conf.arrivals > 0 ? MAX(r->conf.window_ms, room * 1000 / r->conf.arrivals) : r->conf.window_ms;
}

static enum rebalance_step begin(struct rebalance *r, const struct rebalance_view *v, uint64_t now_ms)
{
    uint64_t asked = MIN(r->least, v->movable), own = own_part(v, asked);
    if (asked < REBALANCE_LEAST || own == 0)
        return REBALANCE_REST;
    r->moving = true;
    r->begun_ms = now_ms;
    r->window_ms = window_of(r, v);
    r->excess = r->least;
    r->asked = asked;
    r->own_asked = r->left = own;
    r->own_gone = 0;
    pace_start(&r->pace, now_ms, r->window_ms);
    return REBALANCE_BEGUN;
}

static enum rebalance_step watch(struct rebalance *r, const struct rebalance_view *v, uint64_t now_ms)
{
    if (!is_too_much(r, v)) {
        watch_anew(r, now_ms);
        r->asked = r->wait_ms = 0;
        return REBALANCE_REST;
    }
    r->least = MIN(r->least, excess_of(v));
    uint64_t first_ms = MAX(r->since_ms + REBALANCE_SETTLE_MS, r->calm_ms + REBALANCE_CALM_MS);
    if (now_ms < MAX(first_ms, r->not_before_ms))
        return REBALANCE_REST;
    if (is_futile(r, r->least, asked_so_far(r)))
        return give_up(r, now_ms);
    return begin(r, v, now_ms);
}

static enum rebalance_step hold(struct rebalance *r, const struct rebalance_view *v, uint64_t now_ms)
{
    bool interrupted = r->moving;
    end(r, now_ms);
    r->calm_ms = now_ms;
    r->asked = 0;
    if (v->set != r->set)
        r->wait_ms = r->not_before_ms = 0;
    r->set = v->set;
    return interrupted ? REBALANCE_INTERRUPTED : REBALANCE_REST;
}

enum rebalance_step rebalance_on_view(struct rebalance *r, const struct rebalance_view *v, uint64_t now_ms)
{
    r->seen_ms = now_ms;
    if (!r->conf.on)
        return REBALANCE_REST;
    if (!v->calm || v->set != r->set)
        return hold(r, v, now_ms);
    return r->moving ? go_on(r, v, now_ms) : watch(r, v, now_ms);
}

/* Never so much that a pause would end in a burst: at most twice the even share of the time since it was asked last. */
uint64_t rebalance_due(struct rebalance *r, uint64_t now_ms)
{
    if (r->left == 0)
        return 0;
    bool blind = now_ms - r->seen_ms > REBALANCE_STALE_MS;
    uint64_t since = MIN(now_ms - r->pace.last_ms, REBALANCE_DUE_SPAN_MS);
    uint64_t due = pace_due(&r->pace, now_ms, blind ? 0 : r->left);
    return MIN(due, 2 * r->own_asked * since / r->window_ms + 1);
}

void rebalance_asked(struct rebalance *r, uint64_t count)
{
    r->left -= MIN(count, r->left);
    r->own_gone += count;
}

/* The rate is one number, the moment of the next turn: taking a turn moves it on by the spacing, and it never lags
 * behind now by more than a burst (the generic cell rate algorithm, ITU-T I.371). One atomic serves all workers; turns
 * rise, so each worker's queue is in order by itself. A client that goes while it waits leaves its turn unused. */
#include "gateway/admission.h"
#include "common/clock.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

void admission_rate_init(struct admission_rate *r, uint64_t rate, uint64_t burst, uint64_t wait_ms)
{
    *r = (struct admission_rate){.wait_ns = wait_ms * NS_PER_MS};
    if (rate == 0)
        return;
    r->spacing_ns = NS_PER_S / rate;
    r->burst_ns = (burst - 1) * r->spacing_ns;
}

uint64_t admission_rate_take(struct admission_rate *r, uint64_t now_ns)
{
    if (r->spacing_ns == 0)
        return 0;
    uint64_t oldest = now_ns > r->burst_ns ? now_ns - r->burst_ns : 0;
    uint64_t next = atomic_load_explicit(&r->next_ns, memory_order_relaxed), turn;
    do {
        turn = MAX(next, oldest);
        if (turn > now_ns && turn - now_ns > r->wait_ns)
            return ADMISSION_REFUSED;
    } while (!atomic_compare_exchange_weak_explicit(&r->next_ns, &next, turn + r->spacing_ns, memory_order_relaxed,
                                                    memory_order_relaxed));
    return turn > now_ns ? turn - now_ns : 0;
}

static struct admission_ticket *first_of(struct admission *a)
{
    return list_empty(&a->waiting) ? NULL : CONTAINER_OF(a->waiting.next, struct admission_ticket, link);
}

static void call(struct admission *a, struct admission_ticket *t, bool admitted)
{
    list_remove(&t->link);
    gauge_add(&a->ctx->metrics->admission_waiting, -1);
    t->on_turn(t, admitted);
}

static void arm(struct admission *a)
{
    const struct admission_ticket *first = first_of(a);
    uint64_t now = a->ctx->loop->now_ms;
    if (first != NULL)
        timer_start(a->ctx->loop, &a->timer, first->due_ms > now ? first->due_ms - now : 0);
}

static void on_due(struct timer *timer)
{
    struct admission *a = CONTAINER_OF(timer, struct admission, timer);
    struct admission_ticket *t;
    while ((t = first_of(a)) != NULL && t->due_ms <= a->ctx->loop->now_ms)
        call(a, t, true);
    arm(a);
}

void admission_init(struct admission *a, struct context *ctx, struct admission_rate *rate)
{
    *a = (struct admission){.ctx = ctx, .rate = rate};
    list_init(&a->waiting);
    timer_init(&a->timer, on_due);
}

void admission_release(struct admission *a)
{
    assert(list_empty(&a->waiting));
    timer_stop(&a->timer);
}

enum admission_answer admission_ask(struct admission *a, struct admission_ticket *t,
                                    void (*on_turn)(struct admission_ticket *t, bool admitted))
{
    uint64_t wait_ns = admission_rate_take(a->rate, clock_mono_us() * 1000);
    if (wait_ns == ADMISSION_REFUSED)
        return ADMISSION_NEVER;
    if (wait_ns == 0 && list_empty(&a->waiting))
        return ADMISSION_NOW;
    t->due_ms = a->ctx->loop->now_ms + (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
    t->on_turn = on_turn;
    list_push_back(&a->waiting, &t->link);
    gauge_add(&a->ctx->metrics->admission_waiting, 1);
    counter_add(&a->ctx->metrics->admission_waited, 1);
    if (!timer_is_armed(&a->timer))
        arm(a);
    return ADMISSION_LATER;
}

void admission_dismiss(struct admission *a)
{
    struct admission_ticket *t;
    while ((t = first_of(a)) != NULL)
        call(a, t, false);
    timer_stop(&a->timer);
}

"""What a refill of history costs live events, and how fast it is.

Live events never stop. Phases with nothing else alternate with losses: FLUSHALL, behind which the router reads the
whole topic again. Compared are the medians of both kinds' 99th percentiles. The loss itself, until the refill begins,
delays live events by more: that is shown, but is not the refill.
"""

import statistics
import time

from lib import proc
from measure.live import RATE, Live
from measure.servers import fill_topic, start_redis, start_router

PATIENCE = 300  # seconds
CALM = 1  # seconds that the end of a refill may still be felt


def p99(delays):
    return delays[len(delays) * 99 // 100]


def alone(live, seconds):
    """The delays of a phase without anything else."""
    time.sleep(CALM)
    begin = time.monotonic()
    time.sleep(seconds)
    return live.delays(begin, begin + seconds)


def wait_said(router, event, behind):
    """Waits for an event in the router's log behind its first records, and returns the record."""
    def said():
        return [record for record in router.log_records()[behind:] if record.get("event") == event]
    return proc.wait_until(said, PATIENCE, f"{event} in the log")[0]


def lose(redis, router, live):
    """Lets Redis lose everything: (delays during the refill, the longest one before it, records a second)."""
    behind, client, lost = len(router.log_records()), redis.client(), time.monotonic()
    client("FLUSHALL")
    client.close()
    wait_said(router, "refill_begun", behind)
    begun = time.monotonic()
    done = wait_said(router, "refill_done", behind)
    during = live.delays(begun, time.monotonic())
    return during, live.delays(lost - 1, begun)[-1], 1000 * done["records"] / done["ms"]


def start(bench, stack):
    """(Redis, a router that has appended everything, live events, what it was read from)."""
    broker, count, what = fill_topic(bench, stack, bench.plan["refill"])
    redis = start_redis(bench, stack)
    router = start_router(bench, stack, broker, redis, "router-refill", LOG_LEVEL="info", LIVE_OVERLAP="1s")
    router.wait_ready()
    proc.wait_until(lambda: router.metric("tidegate_router_appends_total") >= count, PATIENCE,
                    f"{count} events appended", every=0.2)
    live = Live(broker, redis, count).start()
    stack.callback(live.stop)
    return redis, router, live, f"{count} and live ones from {what}"


def refill(bench, stack):
    redis, router, live, what = start(bench, stack)
    seconds = bench.plan["refill_alone"]
    alone(live, seconds)  # not counted: caches and the broker's compiler are cold
    quiet, losses = [alone(live, seconds)], []
    for _ in range(bench.plan["refill_repeat"]):
        losses.append(lose(redis, router, live))
        quiet.append(alone(live, seconds))
    during, longest, rates = zip(*losses)
    of_alone = p99_row(bench, "live events alone, p99", quiet)
    of_refill = p99_row(bench, "live events beside a refill, p99", during,
                        f"; {max(longest):.0f} ms at most between FLUSHALL and the refill")
    # the embedded Kafka's own delay would hide any other
    bench.row("ratio, beside a refill", of_refill / of_alone, "× alone", 2.0 if bench.jars else None)
    bench.row("refill", statistics.median(rates), "records per second",
              note=f"({min(rates):.0f} to {max(rates):.0f}; {what}, {RATE} a second)")


def p99_row(bench, what, phases, note=""):
    tails = [p99(delays) for delays in phases]
    median = statistics.median(tails)
    bench.row(what, median, "ms",
              note=f"({min(tails):.1f} to {max(tails):.1f} in {len(tails)} phases, "
                   f"p50 {statistics.median(map(statistics.median, phases)):.1f}{note})")
    return median

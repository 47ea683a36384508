"""What a router spends on decoding, and how fast it appends."""

import contextlib
import re
import statistics
import subprocess
import time

from lib.redis import RedisClient
from measure.bench import MESSAGE, Busy, Failed
from measure.machine import cpu_us
from measure.servers import USERS, fill_topic, start_redis, start_router

DECODE_LINE = re.compile(r"^(.+?)\s+(\d+) bytes\s+(\d+) ns per event$", re.M)
BUSY = 0.9  # less than this share of a CPU, and Redis alone was not the limit of what Redis alone did


def decode(bench, stack):
    program = bench.options.build / "bench/decode_bench"
    if not program.exists():
        raise Failed(f"{program} is not built")
    done = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True)
    for number, (what, size, ns) in enumerate(DECODE_LINE.findall(done.stdout)):
        bench.row(f"decode: {what}", int(ns) / 1000, "µs/event", 1 if number == 0 else None, note=f"({size} bytes)")


def append_rate(redis, count, seconds=180):
    """Appends a second and Redis' share of a CPU, between the first and the last tenth, as Redis counts them."""
    client, seen = RedisClient(redis.port), []
    deadline = time.monotonic() + seconds
    while not seen or seen[-1][1] < count:
        found = re.search(rb"cmdstat_xadd:calls=(\d+)", client("INFO", "commandstats"))
        seen.append((time.monotonic(), int(found[1]) if found else 0, cpu_us(redis.proc.pid)))
        if time.monotonic() > deadline:
            raise Failed(f"only {seen[-1][1]} of {count} events were appended in {seconds} s")
        time.sleep(0.01)
    client.close()
    first = next(sample for sample in seen if sample[1] >= count * 0.1)
    last = next(sample for sample in seen if sample[1] >= count * 0.9)
    if last[0] - first[0] < 0.1:
        raise Failed(f"{count} events went too fast to be timed")
    took = last[0] - first[0]
    return (last[1] - first[1]) / took, (last[2] - first[2]) / 1e6 / took


def entry_bytes(redis):
    """Length of the first entry of some user's log."""
    client = RedisClient(redis.port)
    _, keys = client("SCAN", 0, "MATCH", "tg:{*}:l:u:*", "COUNT", 100000)
    length = len(client("XRANGE", keys[0], "-", "+", "COUNT", 1)[0][1][1])
    client.close()
    return length


def router_turn(bench, stack, broker, count, turn):
    """(what append_rate gives, bytes of an entry) of a router that finds all events waiting and an empty Redis."""
    redis = start_redis(bench, stack)
    start_router(bench, stack, broker, redis, f"router-{turn}")
    return append_rate(redis, count), entry_bytes(redis)


def alone_turn(bench, stack, count, entry):
    """What append_rate gives when only publish calls the same function, with entries as long as the router's."""
    redis = start_redis(bench, stack)
    bench.publish(redis, "--count", 1, "--size", MESSAGE, "--users", 1)
    size = MESSAGE - (entry_bytes(redis) - entry)
    RedisClient(redis.port)("CONFIG", "RESETSTAT")
    child = subprocess.Popen([bench.tool("publish"), "--redis", redis.url, "--count", str(count), "--rate", "0",
                              "--users", str(USERS), "--size", str(size)], stdout=subprocess.DEVNULL)
    stack.callback(child.wait)
    return append_rate(redis, count)


def appends(bench, stack):
    broker, count, what = fill_topic(bench, stack, bench.plan["appends"])
    router, alone = [], []
    for turn in range(bench.plan["append_repeat"]):
        with contextlib.ExitStack() as each:
            got, entry = router_turn(bench, each, broker, count, turn)
            router.append(got)
        with contextlib.ExitStack() as each:
            alone.append(alone_turn(bench, each, count, entry))
    of_router = append_row(bench, "router, appends", router, f"from {what}")
    of_alone = append_row(bench, "Redis alone, appends", alone)
    busy = statistics.median(share for _, share in alone)
    if busy < BUSY and not bench.options.short:
        raise Busy(f"router against Redis alone would be {of_router / of_alone:.2f}, "
                   f"but Redis alone got only {busy:.0%} of a CPU")
    bench.row("router against Redis alone", of_router / of_alone, "× Redis alone", 0.7, at_least=True)


def append_row(bench, what, got, note=""):
    rates, shares = zip(*got)
    median = statistics.median(rates)
    bench.row(what, median, "per second",
              note=f"({min(rates):.0f} to {max(rates):.0f}; Redis {statistics.median(shares):.0%} busy) {note}")
    return median

#!/usr/bin/env python3
"""Measures the release build: what a gateway spends per message, connection and connect, what a router spends per event.

    ./tidegate bench [--short] [--only WORD] [--json FILE] [--build FOLDER]

CPU is that of the measured process alone, user and system, divided by what the clients counted. Cost per message is
given as a ratio to loadtest/floor, a bare epoll writer of ready-made frames: rounds of the two alternate, and medians
are compared, since the same program differs by 15 to 25 % from minute to minute on a shared machine. As root all of it
runs in a network namespace of its own, out of reach of connection tracking. Ends with 1 when a bar is missed (not under
--short, which only shows that everything still measures) or something could not be measured (under --short, for another
reason than a busy machine).
"""

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lib import kafka, proc, tools  # noqa: E402
from lib.programs import Gateway, Router  # noqa: E402
from lib.redis import Redis, RedisClient  # noqa: E402

SECRET = "a-secret-of-the-measurements-0123456789"
MESSAGE = 500  # bytes that a client gets
AROUND = 80  # of them what a gateway puts around a published payload, about
DECODE_LINE = re.compile(r"^(.+?)\s+(\d+) bytes\s+(\d+) ns per event$", re.M)

# One round of each: sockets, then for bursts of one and of eight: rounds of writing, and how many a second. The rates
# leave the measured process idle most of the time: one that falls behind writes several messages at once.
FULL = {"repeat": 6, "idle": 10000, "idle_repeat": 3, "appends": 200000, "append_repeat": 3,
        1000: {1: (150, 40), 8: (60, 15)}, 10000: {1: (20, 4)}}
SHORT = {"repeat": 2, "idle": 2000, "idle_repeat": 1, "appends": 30000, "append_repeat": 1,
         1000: {1: (40, 40), 8: (15, 15)}, 10000: {1: (5, 4)}}
EMBEDDED_MOST = 30000  # records of 500 bytes that the embedded Kafka keeps for certain
USERS = 10000  # whom appended events are for
BUSY = 0.9  # less than this share of a CPU, and Redis alone was not the limit of what Redis alone did
BEHIND = 0.98  # less than this part of the writes that a round should take, and it was another workload


class Failed(Exception):
    """A measurement that cannot be believed or made; the text says why."""


class Busy(Failed):
    """Others use the machine so much that it would be another measurement. No fault under --short."""


# ---- the machine ----

def enter_namespace():
    """A network of our own with only loopback, and all ports on it. False without the right to make one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"lo", 0x41))  # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    for name, value in {"ipv4/ip_local_port_range": "1024 65535", "core/somaxconn": "65535"}.items():
        with contextlib.suppress(OSError):
            pathlib.Path("/proc/sys/net", name).write_text(value)
    return True


def cpu_us(pid):
    """User and system time of a process and all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def writes(pid):
    """Calls of write and its kin so far."""
    return int(re.search(r"^syscw: (\d+)$", pathlib.Path(f"/proc/{pid}/io").read_text(), re.M)[1])


def private_bytes(pid):
    """Memory that only this process has: what would be free if it ended."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(n) for n in re.findall(r"^Private_\w+: +(\d+) kB$", text, re.M))


def settle(pid, read, quiet=0.3):
    """Waits until a figure of a process stands still, and returns it."""
    last = read(pid)
    while True:
        time.sleep(quiet)
        now = read(pid)
        if now == last:
            return now
        last = now


# ---- the tools ----

class Swarm(proc.Proc):
    """loadtest/swarm in the background; its counts are read from its progress lines."""

    def __init__(self, bench, name, port, sockets):
        super().__init__(name, [bench.tool("swarm"), "--target", f"127.0.0.1:{port}", "--sockets", sockets, "--secret",
                                SECRET, "--hold", "--interval", "0.05"], bench.folder)
        # an earlier swarm may have written to this log: its counts are not ours
        self.begin = self.log_path.stat().st_size if self.log_path.exists() else 0

    def counts(self):
        with contextlib.suppress(FileNotFoundError), open(self.log_path, "rb") as log:
            log.seek(max(self.begin, log.seek(0, os.SEEK_END) - 2000))
            lines = [line for line in log.read().decode().split("\n")[:-1] if line.startswith("t=")]
            if lines:
                return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)(?= |$)", lines[-1])}
        return {}

    def wait(self, name, value, seconds=60):
        """Waits until a count is there; Failed when sockets failed or were lost, or it did not come."""
        def reached():
            counts = self.counts()
            if not self.alive() or counts.get("failed") or counts.get("lost"):
                raise Failed(f"{self.name}: {counts or 'ended'}\n{self.tail(5)}")
            return counts.get(name, 0) >= value
        try:
            proc.wait_until(reached, seconds, f"{self.name}: {name} >= {value}")
        except TimeoutError as late:
            raise Failed(f"{late}, but {self.counts()}") from None
        return self.counts()[name]


class Floor:
    """loadtest/floor, which writes when told to."""

    def __init__(self, bench, sockets):
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", bench.tool("floor"), "--port", "0", "--conns", str(sockets), "--size",
             str(MESSAGE), "--commands"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = int(self.child.stderr.readline().rpartition(":")[2])
        self.pid = self.child.pid

    def write(self, rounds, burst, rate):
        self.child.stdin.write(f"{rounds} {burst} {rate}\n")
        self.child.stdin.flush()
        self.child.stdout.readline()

    def stop(self):
        self.child.kill()
        self.child.communicate()


class Bench:
    """Where things are, and the rows of the result."""

    def __init__(self, options, folder, jars):
        self.options, self.folder = options, folder
        self.plan = SHORT if options.short else FULL
        self.rows, self.failures, self.at_fault = [], [], False
        self.load_before, self.jars = os.getloadavg()[0], jars

    def tool(self, name):
        path = self.options.build / "loadtest" / name
        if not path.exists():
            raise Failed(f"{path} is not built")
        return path

    def publish(self, redis, *words):
        done = subprocess.run([self.tool("publish"), "--redis", redis.url, *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"publish: {done.stdout}")
        return json.loads(done.stdout)

    def row(self, what, value, unit, bar=None, at_least=False, note=""):
        """Notes and prints a figure; bar is the most it may be, or the least. The short form is too short to judge."""
        met = None if bar is None or self.options.short else value >= bar if at_least else value <= bar
        self.rows.append({"what": what, "value": round(value, 3), "unit": unit, "bar": bar, "met": met, "note": note})
        print(f"    {what}: {value:.3g} {unit} {note}", flush=True)

    def measure(self, title, function):
        if self.options.only not in title:
            return
        print(f"==> {title}", flush=True)
        started = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                function(self, stack)
        except (Failed, proc.Dead, TimeoutError) as reason:
            self.failures.append(f"{title}: {reason}")
            self.at_fault |= not (self.options.short and isinstance(reason, Busy))
            print(f"    not measured: {reason}", flush=True)
        print(f"    {time.monotonic() - started:.0f} s", flush=True)


# ---- a gateway and a floor with clients ----

def start_redis(bench, stack):
    redis = Redis(pathlib.Path(tempfile.mkdtemp(dir=bench.folder)), options=["--appendonly", "no"]).start()
    stack.callback(redis.stop)
    return redis


def start_gateway(bench, stack, redis):
    """One worker; heartbeats out of the way, since they are no messages."""
    gateway = Gateway(bench.options.build, bench.folder, "gateway", {
        "REDIS_URL": redis.url, "JWT_SECRET_KEY": SECRET, "WORKERS": 1, "LOG_LEVEL": "warn", "HEARTBEAT_INTERVAL": "1h",
        "IDLE_PING": "1h", "CONNECTION_TIMEOUT": "1d", "DRAIN_SECONDS": "0"})
    stack.callback(gateway.stop)
    return gateway.start()


def start_swarm(stack, *args):
    swarm = Swarm(*args).start()
    stack.callback(swarm.stop)
    return swarm


class Fanout:
    """A gateway and a floor, each with the same number of clients, written to in turn."""

    def __init__(self, bench, stack, sockets):
        self.bench, self.sockets = bench, sockets
        self.redis = start_redis(bench, stack)
        self.gateway = start_gateway(bench, stack, self.redis)
        self.floor = Floor(bench, sockets)
        stack.callback(self.floor.stop)
        self.of_gateway = start_swarm(stack, bench, "swarm-gateway", self.gateway.port, sockets)
        self.of_floor = start_swarm(stack, bench, "swarm-floor", self.floor.port, sockets)
        self.of_gateway.wait("welcomed", sockets)
        self.of_floor.wait("connected", sockets)
        self.size = self.fit_size()

    def fit_size(self):
        """Finds what to publish so that a client gets MESSAGE bytes; also the first, cold messages."""
        probe = 20
        self.bench.publish(self.redis, "--size", MESSAGE - AROUND, "--count", probe, "--rate", 10)
        self.of_gateway.wait("messages", probe * self.sockets)
        counts = self.of_gateway.counts()
        return MESSAGE - AROUND + MESSAGE - round(counts["bytes"] / counts["messages"])

    def cost(self, pid, swarm, write, messages):
        """CPU microseconds and writes per message while write() makes everybody get `messages` in all."""
        had, cpu, calls = swarm.counts()["messages"], cpu_us(pid), writes(pid)
        write()
        count = swarm.wait("messages", had + messages)
        if count != had + messages:
            raise Failed(f"{swarm.name} got {count - had} messages, {messages} were sent")
        return (cpu_us(pid) - cpu) / messages, (writes(pid) - calls) / messages

    def of(self, which, burst, rounds, rate):
        if which == "floor":
            return self.cost(self.floor.pid, self.of_floor, lambda: self.floor.write(rounds, burst, rate),
                             rounds * burst * self.sockets)
        return self.cost(self.gateway.proc.pid, self.of_gateway, lambda: self.bench.publish(
            self.redis, "--size", self.size, "--count", rounds * burst, "--burst", burst, "--rate", rate),
            rounds * burst * self.sockets)

    def rounds(self, cases):
        """Runs all (which, burst) alternately, and back on every second turn: the median and a note of each.

        A process that fell behind merged messages that came apart, which is cheaper and not what is asked: such a turn
        is thrown away for all cases alike, whatever it cost, counted, and made again.
        """
        plan, seen, behind = self.bench.plan, {case: [] for case in cases}, 0
        while len(seen[cases[0]]) < plan["repeat"]:
            turn = {case: self.of(*case, *plan[self.sockets][case[1]])
                    for case in (cases if len(seen[cases[0]]) % 2 == 0 else reversed(cases))}
            if any(calls < BEHIND / burst for (_, burst), (_, calls) in turn.items()):
                behind += 1
                if behind > 2 * plan["repeat"]:
                    ratios = ", ".join(f"{which} {calls:.3f}" for (which, _), (_, calls) in turn.items())
                    raise Busy(f"fell behind in {behind} turns (writes a message: {ratios}): the machine is too busy")
                continue
            for case, got in turn.items():
                seen[case].append(got)
        if behind:
            print(f"    {behind} turns thrown away: something fell behind and merged messages", flush=True)
        return {case: self.summary(got) for case, got in seen.items()}

    @staticmethod
    def summary(got):
        costs, calls = [cost for cost, _ in got], [calls for _, calls in got]
        return (statistics.median(costs),
                f"({min(costs):.2f} to {max(costs):.2f}; {statistics.median(calls):.3f} writes/message)")


def fanout(bench, stack, sockets, bar):
    got = Fanout(bench, stack, sockets).rounds([("floor", 1), ("gateway", 1)])
    (floor, of_floor), (gateway, of_gateway) = got["floor", 1], got["gateway", 1]
    bench.row(f"floor, {sockets} sockets", floor, "µs/message", note=of_floor)
    bench.row(f"gateway, {sockets} sockets", gateway, "µs/message", note=of_gateway)
    bench.row(f"ratio, {sockets} sockets", gateway / floor, "× floor", bar)


def bursts(bench, stack):
    got = Fanout(bench, stack, 1000).rounds([("floor", 1), ("floor", 8), ("gateway", 8)])
    (floor, of_floor), (eight, of_eight), (gateway, of_gateway) = got["floor", 1], got["floor", 8], got["gateway", 8]
    bench.row("floor, message by message", floor, "µs/message", note=of_floor)
    bench.row("floor, bursts of 8", eight, "µs/message", note=of_eight)
    bench.row("gateway, bursts of 8", gateway, "µs/message", note=of_gateway)
    bench.row("ratio, bursts of 8", gateway / floor, "× floor without bursts", 0.4)


def idle(bench, stack):
    """Connections of as many users, each authenticated, subscribed and welcomed, and then silent."""
    sockets, memory, connects = bench.plan["idle"], [], []
    redis = start_redis(bench, stack)
    for _ in range(bench.plan["idle_repeat"]):
        with contextlib.ExitStack() as turn:
            gateway = start_gateway(bench, turn, redis)
            pid = gateway.proc.pid
            before, spent = settle(pid, private_bytes), cpu_us(pid)
            swarm = start_swarm(turn, bench, "swarm-idle", gateway.port, sockets)
            swarm.wait("welcomed", sockets)
            connects.append(sockets / ((cpu_us(pid) - spent) / 1e6))
            memory.append((settle(pid, private_bytes) - before) / sockets)
    bench.row("idle connection", statistics.median(memory), "bytes of user space", 1024,
              note=f"({sockets} users)")
    bench.row("connects", statistics.median(connects), "per CPU second")


# ---- the router ----

def decode(bench, stack):
    program = bench.options.build / "bench/decode_bench"
    if not program.exists():
        raise Failed(f"{program} is not built")
    done = subprocess.run([program], stdout=subprocess.PIPE, text=True, check=True)
    for number, (what, size, ns) in enumerate(DECODE_LINE.findall(done.stdout)):
        bench.row(f"decode: {what}", int(ns) / 1000, "µs/event", 1 if number == 0 else None, note=f"({size} bytes)")


def task(number):
    """A task event of about 500 bytes, for one of USERS."""
    return json.dumps({
        "event_id": f"event-{number:08}", "schema_version": "1.0", "event_type": "task.sync", "operation": "update",
        "timestamp": "2026-01-03T10:00:00Z", "user_id": f"u{number % USERS}", "task_id": number,
        "task_snapshot": {"id": number, "title": f"task {number}", "fill": "x" * 240}}, separators=(",", ":"))


def fill_topic(bench, stack):
    """A Kafka that holds the events already: (Kafka, how many, what it is)."""
    count, topic = bench.plan["appends"], "task-updates"
    if bench.jars:
        broker, what = kafka.Broker(bench.folder / "kafka"), "Apache Kafka"
    else:
        count, what = min(count, EMBEDDED_MOST), "the embedded Kafka"
        broker = kafka.Embedded(bench.folder / "kafka", bench.options.build / Router.program)
    stack.callback(broker.stop)
    broker.start().create_topic(topic)
    broker.produce(topic, [(f"u{number % USERS}", task(number)) for number in range(count)])
    return broker, count, what


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
    router = Router(bench.options.build, bench.folder, f"router-{turn}", {
        "REDIS_URL": redis.url, "KAFKA_BROKERS": broker.brokers, "KAFKA_GROUP_ID": f"bench-{turn}", "START": "earliest",
        "LOG_LEVEL": "warn", "DRAIN_SECONDS": "1"})
    stack.callback(router.stop)
    router.start(wait=False)
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
    broker, count, what = fill_topic(bench, stack)
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


# ---- the result ----

def print_table(bench):
    print(f"\n{'':44}{'':>12}  {'':26}{'bar':>10}")
    for row in bench.rows:
        bar = "" if row["bar"] is None else f"{row['bar']:g}"
        met = {None: "", True: "met", False: "NOT MET"}[row["met"]]
        print(f"{row['what']:44}{row['value']:>12.5g}  {row['unit']:26}{bar:>8}  {met} {row['note']}")
    for failure in bench.failures:
        print(f"not measured: {failure}")


def write_json(bench, path, own_network):
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "own_network": own_network,
               "load_before": bench.load_before}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "short": bench.options.short, "rows": bench.rows,
                                "failures": bench.failures}, indent=1, ensure_ascii=False) + "\n")
    print(f"written to {path}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a minute instead of four, and no judgement on speed")
    parser.add_argument("--only", default="", metavar="WORD", help="only measurements whose title holds this")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", metavar="FOLDER")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="where the figures go (FOLDER/bench.json)")
    return parser.parse_args()


def have_jars():
    """Whether a real Kafka can be run; without one the embedded one serves."""
    try:
        return tools.path("jars")
    except tools.Unavailable as reason:
        print(f"bench: {reason}", flush=True)
        return None


def main():
    options = parse_options()
    jars = have_jars()  # before the outside is out of reach
    own_network = enter_namespace()
    if not own_network:
        print("bench: no network namespace of its own (not root): expect figures up to 20 % higher", flush=True)
    proc.exit_on_sigterm()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    bench = Bench(options, folder, jars)
    if bench.load_before > 1:
        print(f"bench: this machine is busy (load {bench.load_before:.1f}): expect wide ranges", flush=True)
    bench.measure("idle connections", idle)
    bench.measure("fan-out to 1,000", lambda b, stack: fanout(b, stack, 1000, 1.15))
    bench.measure("fan-out to 10,000", lambda b, stack: fanout(b, stack, 10000, 1.25))
    bench.measure("bursts", bursts)
    bench.measure("decode", decode)
    bench.measure("appends", appends)
    print_table(bench)
    write_json(bench, options.json or options.build / "bench.json", own_network)
    shutil.rmtree(folder, ignore_errors=True)
    missed = any(row["met"] is False for row in bench.rows)
    return 1 if missed or bench.at_fault or not bench.rows else 0


if __name__ == "__main__":
    sys.exit(main())

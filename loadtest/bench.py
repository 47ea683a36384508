#!/usr/bin/env python3
"""Measures the release build: what a gateway spends per message, connection and connect, what a router spends per event.

    ./tidegate bench [--short] [--only WORD] [--json FILE] [--build FOLDER]

CPU is that of the measured process alone, user and system, divided by what the clients counted. Cost per message is
given as a ratio to loadtest/floor, a bare epoll writer of ready-made frames: rounds of the two alternate, and medians
are compared, since the same program differs by 15 to 25 % from minute to minute on a shared machine. As root all of it
runs in a network namespace of its own, out of reach of connection tracking. Ends with 1 when a bar is missed (not under
--short, which only shows that everything still measures) or something could not be measured.
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

from lib import proc  # noqa: E402
from lib.programs import Gateway  # noqa: E402
from lib.redis import Redis, RedisClient  # noqa: E402

SECRET = "a-secret-of-the-measurements-0123456789"
MESSAGE = 500  # bytes that a client gets
AROUND = 80  # of them what a gateway puts around a published payload, about
DECODE_LINE = re.compile(r"^(.+?)\s+(\d+) bytes\s+(\d+) ns per event$", re.M)

# One round of each: sockets, then for bursts of one and of eight: rounds of writing, and how many a second. The rates
# leave the measured process idle most of the time: one that falls behind writes several messages at once.
FULL = {"repeat": 6, "idle": 10000, "idle_repeat": 3, 1000: {1: (150, 40), 8: (60, 15)}, 10000: {1: (20, 4)}}
SHORT = {"repeat": 2, "idle": 2000, "idle_repeat": 1, 1000: {1: (40, 40), 8: (15, 15)}, 10000: {1: (5, 4)}}
BEHIND = 0.98  # less than this part of the writes that a round should take, and it was another workload


class Failed(Exception):
    """A measurement that cannot be believed or made; the text says why."""


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

    def __init__(self, bench, name, port, sockets, path="/ws", rate=5000):
        super().__init__(name, [bench.tool("swarm"), "--target", f"127.0.0.1:{port}", "--path", path, "--sockets", sockets,
                                "--secret", SECRET, "--rate", rate, "--hold", "--interval", "0.05"], bench.folder)
        self.begin = self.log_path.stat().st_size if self.log_path.exists() else 0  # what an earlier one wrote is not ours

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
             str(MESSAGE), "--commands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.plan = SHORT if options.short else FULL
        self.rows, self.failures = [], []
        self.load_before = os.getloadavg()[0]

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


def start_swarm(stack, *args, **more):
    swarm = Swarm(*args, **more).start()
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
                    raise Failed(f"fell behind in {behind} turns, writes a message: "
                                 f"{ {case: round(calls, 3) for case, (_, calls) in turn.items()} }: the machine is too busy")
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


def main():
    options = parse_options()
    own_network = enter_namespace()
    if not own_network:
        print("bench: no network namespace of its own (not root): expect figures up to 20 % higher", flush=True)
    proc.exit_on_sigterm()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    bench = Bench(options, folder)
    if bench.load_before > 1:
        print(f"bench: this machine is busy (load {bench.load_before:.1f}): expect wide ranges", flush=True)
    bench.measure("idle connections", idle)
    bench.measure("fan-out to 1,000", lambda b, stack: fanout(b, stack, 1000, 1.15))
    bench.measure("fan-out to 10,000", lambda b, stack: fanout(b, stack, 10000, 1.25))
    bench.measure("bursts", bursts)
    bench.measure("decode", decode)
    print_table(bench)
    write_json(bench, options.json or options.build / "bench.json", own_network)
    shutil.rmtree(folder, ignore_errors=True)
    missed = any(row["met"] is False for row in bench.rows)
    return 1 if missed or bench.failures or not bench.rows else 0


if __name__ == "__main__":
    sys.exit(main())

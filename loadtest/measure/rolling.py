"""What a rolling update costs: three gateways replaced one after another, behind two balancers and under numbered events.

A new gateway is ready and in the balancers before an old one is told to go, as a Deployment with maxSurge 1 and
maxUnavailable 0 does it. Clients are the fault suite's devices, with their ledger: they resume where they stood, and come
back when the gateway's retry=<ms> says so. Kafka's events are for single users and numbered; what is late is told by the
clock that producer and devices share. Bystanders of a drain are the devices whom it does not touch.
"""

import collections
import random
import signal
import statistics
import threading
import time

from chaos import ledger
from chaos.load import Devices, routes
from lib import kafka, proc
from lib.haproxy import HAProxy
from lib.ports import free_port
from measure.bench import SECRET, Busy, Failed
from measure.servers import TOPIC, new_folder, start_gateway, start_kafka, start_redis, start_router

GATEWAYS, BALANCERS = 3, 2
HELD = 9900  # connections of a balancer: 20,000 descriptors, two each
COMING = 1000  # devices a second, in the beginning
SILENCE = 90  # seconds, above the gateways' heartbeat
PATIENCE = 60
TAIL_US = 3_000_000  # a drain's last clients come back after its end
WINDOW_US = 1_000_000
TICK = 0.001
BEHIND = 0.9
KCAT_BLOCK = 128  # kcat hands a line on only when the block that it ends in is full
GATEWAY = {"LOG_LEVEL": "info", "HEARTBEAT_INTERVAL": "30s", "IDLE_PING": "25s", "CONNECTION_TIMEOUT": "60s",
           "RATE_LIMIT_MAX_MESSAGES": "0", "ADMISSION_RATE": None}


def now_us():
    return time.monotonic_ns() // 1000


class Numbered:
    """`rate` events a second on a thread, numbered for each user. `sent` has the moment of each."""

    def __init__(self, broker, users, rate):
        self.users, self.rate = users, rate
        self.counts = dict.fromkeys(range(users + 1), 0)
        self.sent = {}
        self.random = random.Random(users)
        self.over, self.failed = threading.Event(), None
        self.producer = broker.producer(TOPIC)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        """Ends each sequence with its last event; all are acknowledged then."""
        self.abandon()
        if self.failed:
            raise self.failed
        self.producer.write("".join(self._line(sequence, ',"last":true') for sequence in self.counts))
        self.producer.close()

    def abandon(self):
        self.over.set()
        self.thread.join()

    def _line(self, sequence, end=""):
        number = self.counts[sequence]
        self.counts[sequence] += 1
        self.sent[sequence, number] = now_us()
        name, to = ("g", "global") if sequence == self.users else (f"u{sequence}", f"user:u{sequence}")
        line = f'{name}{kafka.SEPARATOR}{{"to":"{to}","of":{sequence},"n":{number}{end},"fill":"{"x" * 160}"}}'
        return line.ljust((len(line) // KCAT_BLOCK + 1) * KCAT_BLOCK - 1) + "\n"

    def _run(self):
        begin, count = time.monotonic(), 0
        try:
            while not self.over.wait(TICK):
                due = int((time.monotonic() - begin) * self.rate)
                self.producer.write("".join(self._line(self.random.randrange(self.users)) for _ in range(due - count)))
                count = due
        except OSError as fault:
            self.failed = fault


class Fleet:
    """The cluster under measurement: one more port than gateways, so that the new one can come before the old one goes."""

    def __init__(self, bench, stack):
        self.bench, self.stack, self.plan = bench, stack, bench.plan["rolling"]
        self.started = 0
        self.redis = start_redis(bench, stack)
        self.broker = start_kafka(bench, stack)
        self.router = self.start_router()
        self.ports = [free_port() for _ in range(GATEWAYS + 1)]
        self.gateways = [self.start_gateway(port) for port in self.ports[:GATEWAYS]]
        self.balancers = [HAProxy(bench.folder / f"balancer-{i}", self.ports, balance="leastconn", maxconn=HELD)
                          for i in range(BALANCERS)]
        for balancer in self.balancers:
            stack.callback(balancer.start().stop)
        self.devices = Devices(bench.options.build, new_folder(bench), [b.port for b in self.balancers], SECRET,
                               self.plan["users"], self.plan["sockets"], "lap", 1, silence=SILENCE, rate=COMING)
        stack.callback(self.devices.proc.stop)

    def start_router(self):
        file = self.bench.folder / "routes.json"
        file.write_text(routes(TOPIC))
        return start_router(self.bench, self.stack, self.broker, self.redis, "router-rolling", ROUTES=file).wait_ready()

    def start_gateway(self, port):
        self.started += 1
        return start_gateway(self.bench, self.stack, self.redis, f"gateway-{self.started}", port,
                             **{**GATEWAY, "DRAIN_SECONDS": f"{self.plan['drain']}s"})

    def replace_first(self):
        """Replaces the gateway that is longest there: when it was told to go, and when it had ended."""
        old = self.gateways.pop(0)
        spare = next(port for port in self.ports if port not in [g.port for g in [old, *self.gateways]])
        self.gateways.append(self.start_gateway(spare))
        for balancer in self.balancers:
            proc.wait_until(lambda b=balancer: len(b.up()) == GATEWAYS + 1, PATIENCE, "the new gateway is in the balancer")
        begin = now_us()
        old.proc.signal(signal.SIGTERM)
        status = old.proc.wait_exit(self.plan["drain"] + PATIENCE)
        if status != 0:
            raise Failed(f"a gateway that was told to go ended with status {status}")
        return begin, now_us()


class Story:
    """The devices' ledger, as far as it tells of speed."""

    def __init__(self, path):
        self.asked, self.closed, self.events = [], [], []
        for kind, _, _, device, at, sequence, number, _, _ in ledger.read(path):
            if kind == ledger.EVENT:
                self.events.append((at, device, sequence, number))
            elif kind == ledger.ASKED:
                self.asked.append((at, device))
            elif kind == ledger.CLOSED:
                self.closed.append((at, device))

    def moved(self, begin, end):
        """Devices that were disconnected between two times."""
        return {device for at, device in self.closed if begin <= at < end + TAIL_US}

    def delays(self, sent, begin, end, without=()):
        """Milliseconds to each device but some, of every event produced between two times, in ascending order."""
        within = {event: at for event, at in sent.items() if begin <= at < end}
        return sorted((at - within[sequence, number]) / 1000 for at, device, sequence, number in self.events
                      if (sequence, number) in within and device not in without)

    def reconnects(self, begin, end):
        """(how many, the most in one second, the mean of a second from begin to the last) of attempts to connect."""
        times = [at for at, _ in self.asked if begin <= at < end + TAIL_US]
        seconds = collections.Counter((at - begin) // WINDOW_US for at in times)
        return len(times), max(seconds.values()), len(times) * 1e6 / (max(times) - begin)


def roll(fleet, numbered, seconds):
    """Phases as (begin, end): those before each drain, and the drains."""
    calm, drains = [], []
    for _ in range(GATEWAYS):
        begin, had = now_us(), len(numbered.sent)
        time.sleep(seconds)
        calm.append((begin, now_us()))
        if len(numbered.sent) - had < BEHIND * numbered.rate * seconds:
            raise Busy(f"{len(numbered.sent) - had} events produced in {seconds} s, not {numbered.rate} a second")
        drains.append(fleet.replace_first())
    return calm, drains


def judge(fleet, numbered):
    """The verdict over all ledgers; Failed when the promise was broken."""
    verdict = ledger.check(ledger.read(fleet.devices.path), fleet.plan["users"], fleet.plan["sockets"], numbered.counts)
    broken = verdict.bad(allowed=("rewound",))  # where the machine is so busy that a cursor takes seconds to be written
    if broken:
        raise Failed(f"{broken}: {'; '.join(verdict.said)}")
    return verdict


def tail(delays):
    if not delays:
        raise Failed("nothing was delivered in a phase")
    return delays[len(delays) * 99 // 100]


def tails_row(bench, what, phases):
    tails = [tail(phase) for phase in phases]
    median = statistics.median(tails)
    bench.row(what, median, "ms", note=f"({min(tails):.1f} to {max(tails):.1f} in {len(tails)} phases, "
              f"p50 {statistics.median(map(statistics.median, phases)):.1f})")
    return median


def rolling(bench, stack):
    fleet = Fleet(bench, stack)
    fleet.devices.start()
    numbered = Numbered(fleet.broker, fleet.plan["users"], fleet.plan["rate"]).start()
    stack.callback(numbered.abandon)
    time.sleep(fleet.plan["calm"])  # not counted: what is cold gets warm
    calm, drains = roll(fleet, numbered, fleet.plan["calm"])
    time.sleep(TAIL_US / 1e6)
    numbered.stop()
    fleet.devices.finish(PATIENCE)
    verdict, story = judge(fleet, numbered), Story(fleet.devices.path)
    bench.row("rolling update, events lost", verdict.faults["lost"], "events", 0,
              note=f"({verdict.deliveries} delivered to {fleet.plan['sockets']} sockets, {verdict.again} again)")
    counts, peaks, means = zip(*(story.reconnects(*drain) for drain in drains))
    ratios = [peak / mean for peak, mean in zip(peaks, means)]
    bench.row("reconnects, peak against mean", max(ratios), "× mean", 1.3,
              note=f"({min(ratios):.2f} to {max(ratios):.2f}; {', '.join(map(str, counts))} reconnects, "
                   f"at most {max(peaks)} a second)")
    before = tails_row(bench, "events before, p99", [story.delays(numbered.sent, *phase) for phase in calm])
    during = tails_row(bench, "bystanders' events during, p99",
                       [story.delays(numbered.sent, *phase, without=story.moved(*phase)) for phase in drains])
    bench.row("bystanders' p99, ratio", during / before, "× before", 2.0 if bench.jars else None)

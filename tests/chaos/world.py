"""One scenario under way: a cluster of real processes, load on it, and what actions use to break it."""

import collections
import contextlib
import random
import signal
import time

from chaos import ledger, logs
from chaos.faultproxy import FaultProxy
from chaos.load import Devices, Events, routes
from lib import metrics
from lib.cluster import SECRET, Cluster
from lib.proc import wait_until

GATEWAY = {"LOG_LEVEL": "info", "WORKERS": "2", "HEARTBEAT_INTERVAL": "2s", "RATE_LIMIT_MAX_MESSAGES": "0",
           "MAX_CONNECTIONS_PER_USER": "0", "DRAIN_SECONDS": "1s"}
KEPT = 5000  # events of a log: more than a short scenario gives to one user
ROUTER = {"LOG_LEVEL": "info", "USER_HISTORY_LENGTH": str(KEPT), "GLOBAL_HISTORY_LENGTH": str(KEPT)}
LOAD = {"users": 100, "devices": 300, "rate": 1200, "resume": "lap", "churn": 1}
SAY_EVERY = 5
PATIENCE = 120  # with a producer that a broker keeps waiting

# What gateways count and the table wants: column, metric.
COUNTED = {"gaps": "tidegate_gateway_gaps_total", "repaired": "tidegate_gateway_repaired_total"}


class World:
    """`row` is the scenario, `settings` are the run's. Everything is ended by close()."""

    def __init__(self, row, settings, kafka):
        self.row = row
        self.settings = settings
        self.count = row.short if settings.short else row.count
        self.random = random.Random(f"{settings.seed}/{row.name}")
        self.counted = collections.Counter()
        self.started = self.said = time.monotonic()
        self.load = {**LOAD, **row.load}
        self.ends = contextlib.ExitStack()
        self.proxy = self.events = self.devices = None
        self.cluster = self._make_cluster(kafka)
        if row.prepare:
            row.prepare(self)

    def _make_cluster(self, kafka):
        row, settings = self.row, self.settings
        options = {"gateways": 3, "routers": 2, **row.cluster}
        options["gateway"] = {**GATEWAY, **options.get("gateway", {})}
        options["router"] = {**ROUTER, **options.get("router", {})}
        if row.redis:
            options["redis"] = lambda folder: row.redis(self, folder)
        cluster = Cluster(settings.folder, settings.build, kafka, **options)
        file = cluster.folder / "routes.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(routes(cluster.topic))
        for router in cluster.routers:
            router.env["ROUTES"] = str(file)
        return cluster

    # ---- its course ----

    def open(self):
        self.cluster.start()
        ports = [self.cluster.balancer.port] if self.row.balanced else [g.port for g in self.cluster.gateways]
        load = self.load
        self.devices = Devices(self.settings.build, self.cluster.folder, ports, SECRET, load["users"], load["devices"],
                               load["resume"], self.random.getrandbits(31), load["churn"]).start()
        self.events = Events(self.cluster.kafka.brokers, self.cluster.topic, load["users"], load["rate"],
                             self.random.getrandbits(31)).start()

    def finish(self):
        """Waits for the rest, and returns the verdict."""
        self.produce_at_least(self.row.records * self.count // self.row.count)
        self.events.stop()
        self.devices.finish(self.settings.patience)
        for program in self.cluster.programs:
            self.count_of(program)
        if self.proxy:
            self.counted["dropped"] = sum(route.stats()["dropped"] for route in self.proxy.routes)
        verdict = ledger.check(ledger.read(self.devices.path), self.load["users"], self.load["devices"], self.events.counts)
        logs.check(self.cluster.redis, self.events.counts, verdict, KEPT)
        return verdict

    def produce_at_least(self, count):
        """Waits until there were so many events."""
        deadline = time.monotonic() + count / self.load["rate"] + PATIENCE
        while self.events.total < count:
            if self.events.failed or time.monotonic() > deadline:
                raise TimeoutError(f"{self.events.total} of {count} events produced: {self.events.failed}")
            self.pause(0.2)
            self.progress("more events")

    def close(self):
        """Ends all; returns what was wrong with the processes, as sentences."""
        if self.events:
            self.events.abandon()
        if self.devices:
            self.devices.proc.stop()
        faults = self.cluster.stop()
        self.ends.close()
        return faults

    # ---- for actions ----

    def fault_proxy(self):
        """The scenario's own, started when first asked for."""
        if self.proxy is None:
            self.proxy = self.ends.enter_context(
                FaultProxy(self.settings.build, self.settings.folder, self.random.getrandbits(31),
                           f"faultproxy-{self.row.name}"))
        return self.proxy

    def rounds(self, seconds):
        """Numbers 0 to the scenario's count; between them the given seconds pass."""
        for number in range(self.count):
            yield number
            self.pause(seconds)
            self.progress(f"{number + 1} of {self.count}")

    def pause(self, seconds):
        time.sleep(seconds)

    def moment(self, longest):
        """A pause that the seed decides."""
        self.pause(self.random.random() * longest)

    def progress(self, what):
        if time.monotonic() - self.said < SAY_EVERY:
            return
        self.said = time.monotonic()
        now = self.devices.progress()
        print(f"      {self.row.name} {self.said - self.started:.0f} s, {what}: {self.events.total} produced, {now.get('events')} delivered, "
              f"{now.get('welcomed')} of {self.load['devices']} devices connected", flush=True)

    def kill(self, program):
        """SIGKILL, and a new process at once. Returns when that is ready."""
        self.count_of(program)
        program.kill()
        program.start(wait=False)
        program.wait_ready(60)

    def restart(self, program):
        """SIGTERM, and a new process when the old one has ended."""
        self.count_of(program)
        program.stop()
        program.start(wait=False)
        program.wait_ready(60)

    def calm(self, seconds=60):
        """Waits until all programs are ready again."""
        def all_ready():
            return all(program.ready() for program in self.cluster.programs)
        wait_until(all_ready, seconds, "all programs are ready again", every=0.2)

    @contextlib.contextmanager
    def stopped(self, proc):
        """SIGSTOP while the block lasts."""
        proc.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            proc.signal(signal.SIGCONT)

    def count_of(self, program):
        """Remembers what a process counted, before it dies."""
        try:
            samples = metrics.parse(program.get("/metrics", seconds=2).body.decode())
        except (OSError, ValueError):
            return
        for column, name in COUNTED.items():
            self.counted[column] += int(metrics.total(samples, name) or 0)

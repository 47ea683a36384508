"""Gateways behind HAProxy that become more: the sockets of those that have too many go to the new ones, and lose nothing."""

import collections
import signal
import time

from chaos import ledger
from chaos.load import Devices, Events, routes
from chaos.world import GATEWAY, ROUTER
from lib.cluster import SECRET
from lib.proc import wait_until

MOVED = 4004
SETTLE = 8  # seconds for which an excess must stand
KINDS = "lapn"  # n: names nothing, and so does not resume


class Scene:
    """Gateways of which only some run yet, a balancer that knows all of them, and devices that come through it."""

    def __init__(self, new_cluster, gateways, balance="leastconn", **gateway):
        self.cluster = new_cluster(start=False, gateways=gateways, routers=1, gateway={**GATEWAY, **gateway}, router=ROUTER,
                                   balance=balance)
        self.build = self.cluster.gateways[0].proc.argv[0].rpartition("/")[0]
        self.gateways = self.cluster.gateways
        self.devices = self.events = None

    def __enter__(self):
        cluster = self.cluster
        cluster.redis.start()
        cluster.kafka.create_topic(cluster.topic)
        file = cluster.folder / "routes.json"
        file.write_text(routes(cluster.topic))
        cluster.routers[0].env["ROUTES"] = str(file)
        cluster.routers[0].start()
        cluster.balancer.start()
        return self

    def __exit__(self, *fault):
        if self.events:
            self.events.abandon()
        if self.devices:
            self.devices.proc.stop()

    def run(self, *numbers):
        """Starts gateways, and waits until the balancer sends connections there."""
        for number in numbers:
            self.gateways[number].start(wait=False)
        for number in numbers:
            self.gateways[number].wait_ready()
        wait_until(lambda: self.cluster.balancer.up() >= {f"gateway-{n + 1}" for n in numbers}, 20, "the balancer knows them")

    def come(self, devices, kinds="lap", rate=0):
        """Devices, three of each user, and so many events a second for them."""
        users, cluster = devices // 3, self.cluster
        self.devices = Devices(self.build, cluster.folder, [cluster.balancer.port], SECRET, users, devices, kinds, 1).start()
        if rate:
            self.events = Events(cluster.kafka.brokers, cluster.topic, users, rate, 1).start()

    def metric(self, name, **labels):
        """Of each gateway that runs."""
        return [g.metric(name, **labels) or 0 for g in self.gateways if g.proc.alive()]

    def counts(self):
        return self.metric("websocket_connections_total")

    def moved(self):
        return sum(self.metric("tidegate_gateway_closed_total", reason="move_elsewhere"))

    def even(self, percent):
        counts = self.counts()
        mean = self.devices.count / len(counts)
        return sum(counts) == self.devices.count and all(abs(n - mean) <= mean * percent / 100 for n in counts)

    def at_rest(self):
        return not any(self.metric("tidegate_gateway_rebalance_left"))

    def end(self):
        """The verdict over all that the devices heard, and how many connections of each kind were moved."""
        self.events.stop()
        self.devices.finish(30)
        entries, count = list(ledger.read(self.devices.path)), self.devices.count
        verdict = ledger.check(entries, count // 3, count, self.events.counts)
        assert not verdict.bad(), (dict(verdict.faults), verdict.said)
        return verdict, [(entry[3], entry[6]) for entry in entries if entry[0] == ledger.CLOSED]


def excess(counts, gateways):
    """What those above the mean have too many, once there are so many gateways."""
    mean = sum(counts) / gateways
    return sum(max(0, count - mean) for count in counts)


def kind_of(device, users, kinds):
    return kinds[(device // users + device) % len(kinds)]


def test_scale_out(new_cluster):
    """Two gateways become four, with all settings as they are by default, while events flow."""
    with Scene(new_cluster, 4) as scene:
        scene.run(0, 1)
        scene.come(2400, KINDS, rate=300)
        too_many = excess(scene.counts(), 4)
        scene.run(2, 3)
        started = time.monotonic()
        wait_until(lambda: scene.even(5) and scene.at_rest(), 120, "all have their share", every=0.5)
        seconds = time.monotonic() - started
        verdict, closed = scene.end()
    moved = [device for device, code in closed if code == MOVED]
    assert 0.9 * too_many <= len(moved) <= 1.05 * too_many, (len(moved), too_many)
    assert collections.Counter(code for _, code in closed) == {MOVED: len(moved)}
    assert not [device for device in moved if kind_of(device, 800, KINDS) == "n"]
    print(f"      {len(moved)} of an excess of {too_many:.0f} moved, {seconds:.0f} s after the new gateways were ready; "
          f"{verdict.deliveries} events delivered, {verdict.again} again")


def test_scale_out_under_round_robin(new_cluster):
    """A balancer that deals out: half of those who go come back, so it takes several runs, each for what is left."""
    with Scene(new_cluster, 4, "roundrobin", REBALANCE_WINDOW="5s", MAX_CONNECTIONS_PER_USER="3") as scene:
        scene.run(0, 1)
        scene.come(900, rate=200)
        too_many = excess(scene.counts(), 4)
        scene.run(2, 3)
        wait_until(lambda: scene.moved() > 0 and scene.at_rest(), 60, "the first run is over", every=0.1)
        first = scene.moved()
        assert 0.9 * too_many <= first <= 1.05 * too_many, (first, too_many)
        wait_until(lambda: scene.even(20) and scene.at_rest(), 120, "all have their share, more or less", every=0.5)
        _, closed = scene.end()
        assert {code for _, code in closed} == {MOVED}, collections.Counter(code for _, code in closed)
        assert scene.moved() <= 2 * 1.05 * too_many


def test_none_while_a_gateway_drains(new_cluster):
    """Its clients go to the other one little by little, which soon has too many. When it is back, they are asked."""
    with Scene(new_cluster, 2, DRAIN_SECONDS="20s", REBALANCE_WINDOW="2s") as scene:
        scene.run(0, 1)
        scene.come(600)
        scene.gateways[1].proc.signal(signal.SIGTERM)
        while scene.gateways[1].proc.alive():
            assert scene.gateways[0].metric("tidegate_gateway_closed_total", reason="move_elsewhere") == 0
            time.sleep(0.2)
        wait_until(lambda: scene.even(0), 30, "all are at the other one")
        assert scene.moved() == 0
        scene.run(1)
        wait_until(lambda: scene.even(10), 60, "both have their share")
        assert scene.moved() <= 1.05 * 300


def test_none_for_a_gateway_that_was_killed(new_cluster):
    """Its clients are elsewhere at once, and in its lease for a while: that is no excess. When it is back, there is one."""
    with Scene(new_cluster, 2, REBALANCE_WINDOW="2s") as scene:
        scene.run(0, 1)
        scene.come(600)
        scene.gateways[1].kill()
        wait_until(lambda: scene.even(0), 30, "all are at the other one")
        until = time.monotonic() + SETTLE + 7
        while time.monotonic() < until:
            assert scene.moved() == 0
            time.sleep(0.2)
        scene.run(1)
        wait_until(lambda: scene.even(10), 60, "both have their share")
        assert scene.moved() <= 1.05 * 300


def test_the_switch(new_cluster):
    """REBALANCE=0."""
    with Scene(new_cluster, 2, REBALANCE="0", REBALANCE_WINDOW="1s") as scene:
        scene.run(0)
        scene.come(300)
        scene.run(1)
        wait_until(lambda: scene.metric("tidegate_gateway_connections_mean") == [150, 150], 10, "both know of each other")
        time.sleep(SETTLE + 3)
        assert scene.counts() == [300, 0] and scene.moved() == 0


test_scale_out.seconds = test_scale_out_under_round_robin.seconds = 300

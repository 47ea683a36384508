"""The scripts of loadtest/k6, in short form: they pass on a system that works, and fail when something does not."""

import itertools
import json
import re
import subprocess

from lib import jwt, tools
from lib.cluster import SECRET
from lib.ports import free_port
from lib.proc import ROOT, Proc, wait_until
from lib.stub import WELCOME, says, stub

CROSSED = 99  # k6's exit status when a threshold was crossed
PATIENT = {"LATENCY_P99": 60000, "WELCOME_P95": 60000, "PONG_P99": 60000}  # speed is not what is tested here
SIZE = {"SOCKETS": 60, "USERS": 6, "RATE": 200, "DURATION": 60}
MOMENT = {"DURATION": 20}  # for those that will not end by themselves
QUIET = {"K6_NO_USAGE_REPORT": "true", "K6_AUTO_EXTENSION_RESOLUTION": "false", "K6_NO_COLOR": "true"}
_numbers = itertools.count(1)


class K6:
    """A run of a script against the balancer and both gateways."""

    def __init__(self, cluster, folder, script, **env):
        ports = [cluster.balancer.port, *(g.port for g in cluster.gateways)]
        where = {"URLS": ",".join(f"ws://127.0.0.1:{port}/ws" for port in ports), "JWT_SECRET_KEY": SECRET,
                 "PREFIX": f"{cluster.user()}-"}
        self.cluster = cluster
        self.env = {**QUIET, **PATIENT, **SIZE, **where, **env}
        self.sockets = int(self.env["SOCKETS"])
        name = f"{script}-{next(_numbers)}"
        self.summary = folder / f"{name}.json"
        self.proc = Proc(name, [tools.path("k6"), "run", "--quiet", "--address", "", "--summary-export", self.summary,
                                  ROOT / f"loadtest/k6/{script}.js"], folder,
                         {name: str(value) for name, value in self.env.items()}).start()

    def connected(self):
        """Waits until it says of all its sockets that they are there."""
        def told():
            return sum(map(int, re.findall(r"its (\d+) sockets are connected", self.proc.log()))) == self.sockets
        wait_until(told, 30, f"{self.sockets} sockets of {self.proc.name}", every=0.1)
        return self

    def feed(self, *words, user=None, rate=120, seconds=2, command="", meanwhile=lambda: None):
        """The feed's events to Kafka. `command` stands between."""
        whom = ["--user", user] if user else ["--prefix", self.env["PREFIX"], "--users", str(self.env["USERS"])]
        feed = [ROOT / "loadtest/feed", *whom, "--rate", str(rate), "--seconds", str(seconds), *words]
        kcat = f"{command} kcat -P -b {self.cluster.kafka.brokers} -t {self.cluster.topic} -k load -X acks=all -X linger.ms=5"
        with (subprocess.Popen(feed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as source,
              subprocess.Popen(kcat, shell=True, stdin=source.stdout) as sink):
            meanwhile()
            assert sink.wait(60) == 0
        return self

    def end(self, seconds=90):
        """Exit status."""
        self.status = self.proc.wait_exit(seconds)
        return self.status

    def count(self, metric, of="count"):
        metrics = json.loads(self.summary.read_text())["metrics"]
        return metrics.get(f"tidegate_{metric}", {}).get(of, 0)

    def crossed(self):
        """Names of the thresholds that were crossed."""
        metrics = json.loads(self.summary.read_text())["metrics"]
        return {name.removeprefix("tidegate_") for name, metric in metrics.items() if any(metric.get("thresholds", {}).values())}

    def passed(self, **counts):
        assert self.end() == 0, self.proc.tail(60)
        came = {name: self.count(name) for name in counts}
        assert came == counts, (came, self.proc.tail(60))

    def failed(self, *thresholds):
        assert self.end() == CROSSED and self.crossed() >= set(thresholds), (self.crossed(), self.proc.tail(60))
        return self


def test_connect_storm(cluster, folder):
    K6(cluster, folder, "connect-storm", SOCKETS=200, USERS=20, RATE=0, HOLD=1).passed(cut=0)


def test_a_storm_that_is_asked_to_come_later(new_cluster, folder):
    cluster = new_cluster(routers=1, gateway={"ADMISSION_RATE": "10", "ADMISSION_BURST": "10", "ADMISSION_WAIT": "1s"})
    run = K6(cluster, folder, "connect-storm", SOCKETS=80, RATE=0, HOLD=0, RETRIES=100)
    run.passed(cut=0)
    assert run.count("attempts_welcomed", "passes") == 80 and run.count("attempts_welcomed", "fails") > 0, run.proc.tail(60)


def test_a_welcome_that_k6_throws_away(cluster, folder):
    """What comes before k6 is ready for it is lost to scripts, sometimes; here the first ten welcomes are."""
    turns = itertools.count()

    def talk(connection):
        if next(turns) >= 10:
            connection.send(WELCOME)
        while True:
            connection.recv()
            connection.send('{"type":"pong"}')

    with stub(talk) as where:
        run = K6(cluster, folder, "connect-storm", URLS=where, SOCKETS=10, HOLD=0)
        run.passed(cut=0)
    assert run.count("attempts_welcomed", "passes") == run.count("attempts_welcomed", "fails") == 10, run.proc.tail(60)


def test_connect_storm_fails_when_it_should(cluster, folder):
    K6(cluster, folder, "connect-storm", WELCOME_P95=0.001, HOLD=0).failed("welcome_ms")
    K6(cluster, folder, "connect-storm", JWT_SECRET_KEY="another secret that is long enough").failed("absent")
    K6(cluster, folder, "connect-storm", URLS=f"ws://127.0.0.1:{free_port()}/ws", RETRIES=1).failed("absent")
    with says("") as silent:
        K6(cluster, folder, "connect-storm", URLS=silent, DURATION=2).failed("absent")


def test_steady(cluster, folder):
    K6(cluster, folder, "steady").connected().feed().passed(events=60 * 40, lost=0, repeated=0)


def test_steady_with_a_ready_token(cluster, folder):
    user = cluster.user()
    run = K6(cluster, folder, "steady", TOKEN=jwt.user(SECRET, user), JWT_SECRET_KEY="")
    run.connected().feed(user=user, rate=50, seconds=1).passed(events=60 * 50)


def test_steady_fails_when_it_should(cluster, folder):
    unfinished = K6(cluster, folder, "steady", **MOMENT).connected().feed("--omit", "39")
    missing = K6(cluster, folder, "steady").connected().feed("--omit", "7").failed("lost")
    assert missing.count("lost") == 60 and missing.count("events") == 60 * 39
    K6(cluster, folder, "steady").connected().feed(command="sed p |").failed("repeated")
    K6(cluster, folder, "steady", LATENCY_P99=0.001).connected().feed().failed("latency_ms")
    K6(cluster, folder, "steady", DURATION=2).failed("silent")
    assert unfinished.failed("lost").count("lost") == 60


def test_reconnect(cluster, folder):
    run = K6(cluster, folder, "reconnect", EVERY=1, AWAY=1).connected().feed(seconds=4)
    run.passed(events=60 * 80, lost=0, unrecovered=0)
    assert run.count("returns") > 30


def test_reconnect_fails_when_it_should(cluster, folder):
    forgetful = K6(cluster, folder, "reconnect", EVERY=1, AWAY=1, RESUME=0, **MOMENT).connected().feed(seconds=4)
    K6(cluster, folder, "reconnect", EVERY=1, AWAY=1).connected().feed("--omit", "50", seconds=4).failed("lost")
    K6(cluster, folder, "reconnect", EVERY=100).connected().feed(seconds=1).failed("returns")
    forgetful.failed("lost")


def test_soak(cluster, folder):
    pages = ",".join(f"http://127.0.0.1:{p.port}/metrics" for p in cluster.programs)
    run = K6(cluster, folder, "soak", EVERY=2, AWAY=1, PING_EVERY=1, METRICS_URLS=pages, MEMORY_AFTER=1, MEMORY_GROWTH=1000)
    run.connected().feed(rate=60, seconds=4).passed(events=60 * 40, lost=0, pings_unanswered=0, cut=0)


def test_soak_fails_when_it_should(cluster, folder):
    pages = f"http://127.0.0.1:{cluster.gateways[0].port}/"
    grown = K6(cluster, folder, "soak", METRICS_URLS=f"{pages}metrics,{pages}health", MEMORY_AFTER=0, MEMORY_GROWTH=0)
    grown.connected().feed(seconds=1).failed("memory_growth_percent", "memory_unknown")


def test_a_gateway_dies(new_cluster, folder):
    """Sockets are cut, and nothing is lost all the same."""
    cluster = new_cluster(routers=1)
    victim = cluster.gateways[1]

    def kill():
        cluster.wait_metric("websocket_messages_sent_total", 600, programs=[victim])
        victim.kill()

    soak = K6(cluster, folder, "soak", RETRIES=100, CUTS=60).connected()
    steady = K6(cluster, folder, "steady", RETRIES=100, PREFIX=soak.env["PREFIX"]).connected()
    soak.feed(rate=60, seconds=4, meanwhile=kill).passed(events=60 * 40, lost=0)
    assert steady.failed("cut").crossed() == {"cut"} and steady.count("events") == 60 * 40, steady.proc.tail(60)

"""The demo: Redis, Kafka, a router, two gateways and a balancer on loopback until Ctrl-C, or for one unattended round.

    python3 -m lib.demo                runs it and prints what to try
    python3 -m lib.demo --once         produces events, sees them arrive on sockets of both gateways, exits 0 or 1
    python3 -m lib.demo --may-start    says whether the first form could start now

Standard library only: it runs on a machine that has just been given the packages.
"""

import fcntl
import json
import os
import pathlib
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time

from lib import jwt, proc
from lib.haproxy import HAProxy
from lib.kafka import Embedded, Kcat
from lib.ports import is_free
from lib.programs import Gateway, Router
from lib.redis import Redis
from lib.wire import RawSocket, Refused

BUILD = proc.ROOT / "build/release"
TOPIC = "task-updates"
USER = 1
EVENTS = 100
RATE = 200  # events a second in the unattended round


class Problem(Exception):
    """Why the demo cannot run, in a sentence."""


def lock_path():
    return pathlib.Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"tidegate-demo-{os.getuid()}.lock"


def take_lock(url):
    """Holds the lock for as long as we live; Problem if another demo does."""
    file = open(lock_path(), "a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise Problem(f"a demo runs already ({file.read().strip()}); stop it with Ctrl-C where it runs") from None
    file.truncate(0)
    file.write(f"process {os.getpid()}, {url}")
    file.flush()
    return file


def wanted_ports():
    """What each fixed port of the attended demo is for."""
    first = int(os.environ.get("DEMO_PORT") or 8080)
    return dict(zip(["balancer", "gateway-1", "gateway-2", "router"], range(first, first + 4)))


def check_ports(ports):
    for name, port in ports.items():
        if not is_free(port):
            raise Problem(f"port {port} is taken and the {name} wants it; "
                          f"choose four free ones in a row: DEMO_PORT=9080 ./tidegate demo")


class Demo:
    """All processes of one demo. `ports` names fixed ones; what it does not name gets a free one."""

    def __init__(self, ports):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-demo-"))
        self.ports = ports
        self.secret = os.environ.get("JWT_SECRET_KEY") or secrets.token_urlsafe(32)
        self.token = jwt.user(self.secret, USER, seconds=86400)
        self.procs = []
        self.kafka = Kcat()

    def start(self):
        """In the order of who needs whom. The embedded servers stand in for what the environment does not name."""
        redis_url = os.environ.get("REDIS_URL")
        if not redis_url:
            redis = Redis(self.folder)
            self.run("redis", redis)
            redis_url = redis.url
        self.kafka.brokers = os.environ.get("KAFKA_BROKERS") or ""
        if not self.kafka.brokers:
            self.kafka = Embedded(self.folder, BUILD / Router.program)
            self.run("embedded Kafka", self.kafka)
            self.kafka.create_topic(TOPIC)
        common = {"REDIS_URL": redis_url, "LOG_LEVEL": "info"}
        router = {**common, "KAFKA_BROKERS": self.kafka.brokers, "KAFKA_GROUP_ID": "tidegate-demo",
                  "DRAIN_SECONDS": "1"}
        gateway = {**common, "JWT_SECRET_KEY": self.secret, "PROFILE": "task-sync",
                   "API_AUTH": "open", "DRAIN_SECONDS": "1"}
        self.router = Router(BUILD, self.folder, "router", router, self.ports.get("router"))
        self.run("router", self.router)
        self.gateways = []
        for name in ("gateway-1", "gateway-2"):
            self.gateways.append(Gateway(BUILD, self.folder, name, gateway, self.ports.get(name)))
            self.run(name, self.gateways[-1])
        self.balancer = HAProxy(self.folder, [g.port for g in self.gateways], self.ports.get("balancer"))
        self.run("balancer", self.balancer)

    def run(self, name, server):
        server.start()
        self.procs.append(server.proc)
        print(f"    {name} runs", flush=True)

    def stop(self):
        """Ends all, youngest first; the folder goes unless a process died, for then its logs are wanted."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        dead = self.dead()
        proc.stop_all()
        if not dead:
            shutil.rmtree(self.folder, ignore_errors=True)

    def dead(self):
        return [p for p in self.procs if not p.alive()]

    def watch(self):
        """Returns only by an exception: Ctrl-C, or a process that ended."""
        while True:
            time.sleep(0.3)
            for p in self.dead():
                raise Problem(f"{p.name} ended with {proc.describe(p.child.returncode)}\n{p.tail(15)}")


def event(number, **more):
    return json.dumps({"schema_version": "1.0", "event_type": "task.sync",
                       "user_id": USER, "operation": "create", "task_id": number,
                       "task_snapshot": {"id": number, "title": "Buy milk", "status": "pending", **more}})


def instructions(demo):
    base = f"127.0.0.1:{demo.balancer.port}"
    socket = f'"ws://{base}/ws?token={demo.token}"'
    watch = f"websocat {socket}"
    if not shutil.which("websocat"):
        watch += f"\n    (not installed here: cargo install websocat; or)\n    /usr/bin/python3 -m websockets {socket}"
    gateways = " and ".join(f"127.0.0.1:{g.port}" for g in demo.gateways)
    return f"""
  Page: two panes, each on a gateway
    http://{base}/demo/#token={demo.token}

  Token of user {USER}, good for a day
    {demo.token}

  Watch, in another terminal
    {watch}

  Produce an event
    echo '{event(123)}' | kcat -P -b {demo.kafka.brokers} -t {TOPIC} -k {USER}

  Look
    curl http://{base}/health
    curl http://{base}/stats

  The balancer at {base} stands before the gateways {gateways}; the router answers at 127.0.0.1:{demo.router.port}.
  Logs are in {demo.folder}. Ctrl-C stops all of it.
"""


def attended():
    ports = wanted_ports()
    lock = take_lock(f"http://127.0.0.1:{ports['balancer']}/demo/")
    check_ports(ports)
    demo = Demo(ports)
    try:
        demo.start()
        print(instructions(demo), flush=True)
        demo.watch()
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        demo.stop()
        lock.close()
    return 0


class Watcher(threading.Thread):
    """A socket that notes when each task update came, by task id."""

    def __init__(self, name, port, token):
        super().__init__(daemon=True)
        self.name = name
        try:
            self.socket = RawSocket(port, f"/ws?token={token}")
        except Refused as refused:
            raise Problem(f"{name} refused the socket: {refused.response}") from None
        welcome = self.socket.recv_json()
        if not welcome or welcome.get("type") != "connected":
            raise Problem(f"{name} did not welcome the socket but said {welcome}")
        self.came = {}
        self.repeated = 0

    def run(self):
        try:
            while (message := self.socket.recv_json(60)) is not None:
                if message["type"] == "task_update":
                    number, now = message["task_id"], time.time()
                    self.repeated += number in self.came
                    self.came.setdefault(number, now - message["task"]["sent"])
        except OSError:
            pass

    def has(self, numbers):
        return all(number in self.came for number in numbers)


def warm_up(producer, watchers):
    """Sends until the whole path is open: a router may still be waiting for its partitions."""
    for number in range(-1, -121, -1):
        producer.send(USER, event(number, sent=time.time()))
        time.sleep(0.25)
        if all(any(number < 0 for number in w.came) for w in watchers):
            return
    raise Problem("no event arrived within 30 s")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def deliver(demo):
    """Opens the sockets, sends the events and prints what came. True if all did."""
    g1, g2 = (g.port for g in demo.gateways)
    places = {"gateway-1": g1, "gateway-2": g2, "balancer, first": demo.balancer.port,
              "balancer, second": demo.balancer.port}
    watchers = [Watcher(name, port, demo.token) for name, port in places.items()]
    for w in watchers:
        w.start()
    held = {g.proc.name: int(g.metric("websocket_connections_total") or 0) for g in demo.gateways}
    print("    sockets held: " + ", ".join(f"{name} {count}" for name, count in held.items()))
    producer = demo.kafka.producer(TOPIC)
    warm_up(producer, watchers)
    for number in range(EVENTS):
        producer.send(USER, event(number, sent=time.time()))
        time.sleep(1 / RATE)
    producer.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not all(w.has(range(EVENTS)) for w in watchers):
        time.sleep(0.05)
    for w in watchers:
        count = sum(number in w.came for number in range(EVENTS))
        print(f"    {w.name:18} {count} of {EVENTS} events, {w.repeated} repeated")
    took = [w.came[number] * 1000 for w in watchers for number in range(EVENTS) if number in w.came]
    whole = len(took) == EVENTS * len(watchers)
    if took:
        print(f"{len(took)} of {EVENTS * len(watchers)} deliveries; producer to socket: "
              f"p50 {percentile(took, 0.5):.1f} ms, p99 {percentile(took, 0.99):.1f} ms")
    return whole and len(held) == 2 and all(held.values())


def once():
    demo = Demo({})
    passed = False
    try:
        demo.start()
        passed = deliver(demo)
        for p in demo.dead():
            raise Problem(f"{p.name} ended with {proc.describe(p.child.returncode)}\n{p.tail(15)}")
    finally:
        demo.stop()
    print("demo: 1 passed, 0 failed, 0 skipped" if passed else "demo: 0 passed, 1 failed, 0 skipped")
    return 0 if passed else 1


def may_start():
    take_lock("a check").close()
    check_ports(wanted_ports())
    return 0


def main():
    ways = {(): attended, ("--once",): once, ("--may-start",): may_start, ("--may-start", "--once"): lambda: 0}
    way = ways.get(tuple(sys.argv[1:]))
    if way is None:
        print("usage: ./tidegate demo [--once]", file=sys.stderr)
        return 2
    proc.exit_on_sigterm()
    try:
        return way()
    except (Problem, proc.Dead) as problem:
        print(f"demo: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""The fault proxy (loadtest/faultproxy.c) at work: routes between our programs and their Redis or Kafka that break on
command and heal again. What is left out, when and for how long follows from a seed, as far as timing allows.

    proxy = FaultProxy(build, folder, seed=7).start()
    route = proxy.to_redis("one", redis.port)          # route.port leads to redis
    route.drop(0.01)                                   # one message in a hundred is not delivered
    route.heal(); route.stats()["dropped"]
"""

import json
import pathlib
import re
import socket
import threading

from lib.ports import free_port
from lib.proc import Proc


class FaultProxy:
    """One process, any number of routes; commands may come from any thread. Use it in a `with`, or start() and stop()."""

    def __init__(self, build, folder, seed=1, name="faultproxy"):
        self.control = free_port()
        self.seed = seed
        self.proc = Proc(name, [pathlib.Path(build) / "loadtest/faultproxy", "--control", self.control], folder)
        self.lock = threading.Lock()
        self.routes = []
        self.sock = None

    def start(self):
        self.proc.start().wait_ready(self._connect)
        return self

    def _connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.control), 10)
        self.file = self.sock.makefile("rb")
        return True

    def stop(self):
        """Ends it and all connections through it. Returns its exit status."""
        if self.sock:
            self.sock.close()
        return self.proc.stop()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def command(self, *words):
        """One line there, one line back. ValueError when it says no."""
        with self.lock:
            self.sock.sendall(" ".join(map(str, words)).encode() + b"\n")
            answer = self.file.readline().decode().rstrip("\n")
        if not answer or answer.startswith("error"):
            raise ValueError(f"{words}: {answer or 'the proxy is gone'}")
        return answer

    def to_redis(self, name, port):
        """A route on a port of its own to a redis-server, whose replies it knows apart."""
        return self._add(name, free_port(), port, "resp")

    def to_kafka(self, name, broker):
        """The route to a broker that was given a second listener. Bytes are just bytes."""
        return self._add(name, *broker.behind, "raw")

    def _add(self, name, own_port, port, kind):
        route = Route(self, name, own_port)
        self.command("add", name, route.port, port, kind)
        self.command("seed", name, self.seed + len(self.routes))
        self.routes.append(route)
        return route

    def heal(self):
        for route in self.routes:
            route.heal()


class Route:
    """One way through the proxy. Faults stay until heal() or until they are set to 0."""

    def __init__(self, proxy, name, port):
        self.proxy = proxy
        self.name = name
        self.port = port

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def set(self, **fields):
        """Fields of struct fault_plan (loadtest/lib/fault.h)."""
        self.proxy.command("set", self.name, *[word for field in fields.items() for word in field])

    def drop(self, share, only="*"):
        """Leaves out that share of the messages to subscribers, of channels that hold `only` ("*": of all)."""
        self.set(drop=share, only=only)

    def delay(self, ms, jitter_ms=0):
        """Each way. Order is kept."""
        self.set(delay_ms=ms, jitter_ms=jitter_ms)

    def cut_replies(self, at=20, count=1):
        """The next `count` replies that are longer than `at` bytes end there, with a TCP reset both ways."""
        self.set(cut_at=at, cuts=count)

    def hole(self, existing=True):
        """Both ways are swallowed without an end: for connections that are, for good (heal() does not bring them back),
        and for those that come until heal(). existing=False spares those that are."""
        self.set(hole=1 if existing else 2)

    def freeze(self, up=True, down=True):
        """Nothing is read from clients (up), from the server (down); after heal() all goes on where it was."""
        self.set(freeze_up=int(up), freeze_down=int(down))

    def refuse(self):
        """Nobody listens: new connections are refused, those that are stay."""
        self.set(refuse=1)

    def reset(self):
        """TCP resets to both ends of all connections. Returns how many there were."""
        return int(self.proxy.command("reset", self.name))

    def heal(self):
        self.proxy.command("heal", self.name)

    def stats(self):
        """Counts since the start (struct fault_counts): messages seen, dropped, replies cut, bytes, …"""
        return json.loads(self.proxy.command("stats", self.name))


def lead_through(route, *programs):
    """Lets programs that are not started yet find their Redis at the end of a route."""
    for program in programs:
        program.env["REDIS_URL"] = route.url


def second_listener(broker):
    """Gives a lib.kafka.Broker of one node, which is not started yet, a listener whose clients must come through a proxy:
    broker.behind is (the proxy's port, which it advertises to them; its own). broker.brokers stays a clean way."""
    broker.behind = (free_port(), free_port())
    outer, inner = broker.behind
    file = pathlib.Path(broker.nodes[0].argv[-1])
    text = re.sub(r"^listeners=(PLAINTEXT://[^,]*),", rf"listeners=\1,PROXIED://127.0.0.1:{inner},", file.read_text(), flags=re.M)
    file.write_text(text + f"advertised.listeners=PLAINTEXT://{broker.brokers},PROXIED://127.0.0.1:{outer}\n"
                    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n")
    return broker

"""Everything that can go wrong around one gateway at once: clients of every bad habit, and a Redis that dies, stalls and
hangs up. Each habit is a function that is called again and again on a thread of its own."""

import contextlib
import os
import random
import signal
import socket
import struct
import threading

from websockets.exceptions import WebSocketException

from lib.alone import Alone, event
from lib.clients import Client
from lib.functions import channel
from lib.proc import wait_until
from lib.redis import RedisClient
from lib.wire import BINARY, CLOSE, PING, TEXT, RawSocket, Refused, frame, upgrade_head

USERS = [f"user-{i}" for i in range(30)]
NOISE = (OSError, Refused, AssertionError, UnicodeError)  # what a client meets while the world burns

# Short times, so that every deadline of the gateway falls into a short test.
GATEWAY = {"WORKERS": "4", "API_AUTH": "open", "CONFORMANCE": "1", "HEAD_TIMEOUT": "1s",
           "DRAIN_SECONDS": "1s", "CHANNEL_LINGER": "50ms", "HEARTBEAT_INTERVAL": "300ms", "IDLE_PING": "200ms",
           "CONNECTION_TIMEOUT": "1500ms", "OUTBOX_BYTES": "64k", "MAX_MESSAGE_SIZE": "16k", "RATE_LIMIT_MAX_MESSAGES": "500",
           "RATE_LIMIT_WINDOW": "1s", "MAX_CONNECTIONS_PER_USER": "20", "MAX_CONNECTIONS_PER_IP": "100000"}


class Storm(Alone):
    """A gateway and its Redis, and threads that torment them. The seed says what exactly happens, up to timing."""

    def __init__(self, folder, build, seed, **gateway):
        super().__init__(folder, build, **{**GATEWAY, **gateway})
        self.random = random.Random(seed)
        self.over, self.redis_wanted = threading.Event(), threading.Event()
        self.threads = []
        self.crashes = []

    def path(self, user=None, **claims):
        return super().path(user or self.random.choice(USERS), **claims)

    def torment(self, *habits):
        for habit in habits:
            self.threads.append(threading.Thread(target=self._again, args=(habit, random.Random(self.random.random()))))
            self.threads[-1].start()

    def _again(self, habit, rng):
        while not self.over.is_set():
            try:
                habit(self, rng)
            except NOISE:
                self.over.wait(0.01)
            except Exception as fault:  # a fault of the test itself must not pass for peace
                self.crashes.append(f"{habit.__name__}: {fault!r}")
                return

    def tend(self):
        """Call it now and then: starts Redis again, for a child ends with the thread that made it."""
        if self.redis_wanted.is_set():
            self.redis.start()
            self.redis_wanted.clear()

    def calm(self):
        """Ends all habits."""
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not self.crashes, self.crashes
        self.redis.proc.signal(signal.SIGCONT)
        if not self.redis.proc.alive():
            self.redis.start()

    def stop(self):
        """Ends all; returns what was wrong, as sentences."""
        self.over.set()
        wrong = super().stop()
        for thread in self.threads:
            thread.join(30)
        return wrong

    def left(self):
        """What the gateway still held when it ended, by its last log line."""
        last = [record for record in self.gateway.log_records() if record.get("event") == "stopped"]
        assert last, f"no last line\n{self.gateway.proc.tail()}"
        return {name: last[-1].get(name) for name in ("connections", "sockets", "frames")}


# ---- clients ----


def reset(sock):
    """Closes with a TCP reset."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def come_and_go(storm, rng):
    """Connects, perhaps talks, and leaves in one of many ways."""
    with contextlib.closing(RawSocket(storm.port, storm.path(), seconds=3).sock) as sock:
        for _ in range(rng.randrange(3)):
            sock.sendall(frame(TEXT, rng.choice(['{"type":"ping"}', '{"type":"x"}', "no json"])))
        if rng.random() < 0.3:
            sock.recv(4096)
        leave = rng.randrange(5)
        if leave == 0:
            sock.sendall(frame(CLOSE, b"\x03\xe8"))
            sock.recv(4096)
        elif leave == 1:
            sock.shutdown(socket.SHUT_WR)
        elif leave == 2:
            reset(sock)
        elif leave == 3:
            sock.sendall(frame(CLOSE, b"") + frame(TEXT, "after the end"))


def many_at_once(storm, rng):
    """A burst of handshakes, gone before they are answered."""
    socks = []
    try:
        for _ in range(40):
            sock = socket.create_connection(("127.0.0.1", storm.port), 3)
            socks.append(sock)
            sock.sendall(upgrade_head(storm.port, storm.path()) + frame(TEXT, '{"type":"ping"}'))
        storm.over.wait(rng.choice([0, 0, 0.01, 0.2]))
    finally:
        for sock in socks:
            (reset if rng.random() < 0.5 else socket.socket.close)(sock)


def talk_nonsense(storm, rng):
    """Random bytes, or frames that are almost right, on an open WebSocket."""
    path = rng.choice(["/echo", storm.path()])
    with contextlib.closing(RawSocket(storm.port, path, seconds=2).sock) as sock:
        for _ in range(rng.randrange(1, 20)):
            data = bytearray(frame(rng.randrange(16), rng.randbytes(rng.choice([0, 1, 125, 126, 3000, 20000])),
                                   fin=rng.random() < 0.7, masked=rng.random() < 0.95,
                                   rsv=0 if rng.random() < 0.9 else rng.randrange(8)))
            if rng.random() < 0.3:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            sock.sendall(data if rng.random() < 0.8 else rng.randbytes(500))
        sock.recv(65536)


def talk_http_nonsense(storm, rng):
    """Heads cut short, garbage, pipelines, bodies that never come, answers that nobody reads."""
    get = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
    said = rng.choice([
        rng.randbytes(rng.randrange(1, 3000)),
        b"GET /health HTTP/1.1\r\nHo",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 40000,
        (get % rng.choice([b"/status", b"/stats", b"/metrics", b"/demo/"])) * rng.randrange(1, 30),
        (get % b"/status") * 3 + upgrade_head(storm.port, storm.path()),
    ])
    with contextlib.closing(socket.create_connection(("127.0.0.1", storm.port), 3)) as sock:
        sock.sendall(said)
        wait = rng.randrange(4)
        if wait == 0:
            sock.recv(65536)
        elif wait == 1:
            storm.over.wait(1.5)
        elif wait == 2:
            reset(sock)


def never_read(storm, rng):
    """An open WebSocket whose client reads nothing, with events on their way to it."""
    sock = RawSocket(storm.port, storm.path(), seconds=3, receive_buffer=4096).sock
    try:
        for _ in range(rng.randrange(2, 20)):
            sock.sendall(frame(TEXT, '{"type":"ping","data":"%s"}' % ("z" * 12000)))
            storm.over.wait(0.1)
    finally:
        (reset if rng.random() < 0.5 else socket.socket.close)(sock)


def fall_silent(storm, rng):
    """A socket that stays open and never says or reads anything, handshake or not."""
    sock = socket.create_connection(("127.0.0.1", storm.port), 3)
    try:
        if rng.random() < 0.7:
            sock.sendall(upgrade_head(storm.port, storm.path()))
        storm.over.wait(rng.choice([0.5, 2, 6]))
    finally:
        sock.close()


def behave(storm, rng):
    """A well-behaved client that stays a while: it is told hello first, and gets its pong unless it is told to go."""
    with contextlib.closing(RawSocket(storm.port, storm.path(), seconds=5)) as client:
        first = client.recv(5)
        if first is None or first[0] == CLOSE:
            return
        assert first[0] == TEXT and b'"connected"' in first[1], first
        for _ in range(rng.randrange(5)):
            client.send(frame(PING, b"x") + frame(BINARY, b"y"))
            if client.recv_json(5) is None:
                return
        client.send(frame(CLOSE, b"\x03\xe8"))
        client.close_code(5)


def behave_by_the_book(storm, rng):
    """A client that nobody here wrote."""
    try:
        client = Client(f"ws://127.0.0.1:{storm.port}{storm.path()}")
        try:
            client.welcome()
            client.send({"type": "ping"})
            client.recv(3)
            storm.over.wait(rng.random())
        finally:
            client.close()
    except (WebSocketException, TimeoutError):
        storm.over.wait(0.01)


def ask_for_figures(storm, rng):
    for path in ("/status", "/stats", "/health", "/ready", "/metrics"):
        assert storm.gateway.get(path, seconds=5).status in (200, 503, None)


CLIENTS = [come_and_go, come_and_go, many_at_once, talk_nonsense, talk_http_nonsense, never_read, fall_silent, behave,
           behave_by_the_book, ask_for_figures]


# ---- Redis ----


def publish(storm, rng):
    client = RedisClient(storm.redis.port, timeout=2)
    try:
        for number in range(200):
            client("SPUBLISH", channel(f"u:{rng.choice(USERS)}"), event(number))
            if number % 20 == 0:
                client("SPUBLISH", channel("g"), event(number, 3000))
                client("SPUBLISH", channel("g"), rng.randbytes(50))
            storm.over.wait(0.002)
    finally:
        client.close()


def cut_links(storm, rng):
    """Redis hangs up, on commands or on subscriptions."""
    storm.over.wait(rng.random())
    client = RedisClient(storm.redis.port, timeout=2)
    try:
        client("CLIENT", "KILL", "TYPE", rng.choice(["normal", "pubsub"]), "SKIPME", "yes")
    finally:
        client.close()


def stall_redis(storm, rng):
    storm.redis.proc.signal(signal.SIGSTOP)
    try:
        storm.over.wait(rng.choice([0.2, 1, 4.5]))
    finally:
        storm.redis.proc.signal(signal.SIGCONT)


def kill_redis(storm, rng):
    storm.redis.kill()
    storm.over.wait(rng.choice([0, 0.5, 1.5]))
    storm.redis_wanted.set()
    while storm.redis_wanted.is_set() and not storm.over.wait(0.05):
        pass


def trouble_redis(storm, rng):
    """One trouble after the other, with peace between."""
    storm.over.wait(0.5 + 1.5 * rng.random())
    if not storm.over.is_set():
        rng.choice([stall_redis, kill_redis, cut_links, cut_links])(storm, rng)


def settled(storm, seconds=20):
    """With all clients gone and Redis there: no connection, no target, and only our own socket that asks."""
    def quiet():
        page = {name: storm.gateway.metric(name) for name in
                ("websocket_connections_total", "tidegate_gateway_targets", "tidegate_gateway_sockets",
                 "tidegate_gateway_frames", "websocket_connections_by_user_count")}
        frames = page.pop("tidegate_gateway_frames")  # each worker keeps its heartbeats, one a dialect
        sockets = page.pop("tidegate_gateway_sockets")
        return all(value == 0 for value in page.values()) and sockets <= 2 and frames <= 8
    wait_until(quiet, seconds, "the gateway is empty", every=0.2)


def seed():
    """Another one each time, printed by the test; TIDEGATE_SEED repeats one."""
    return int(os.environ.get("TIDEGATE_SEED") or random.randrange(1 << 32))


def seconds():
    """How long a storm blows; TIDEGATE_STORM_SECONDS for a long one."""
    return float(os.environ.get("TIDEGATE_STORM_SECONDS") or 12)

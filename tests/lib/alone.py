"""Gateways and their Redis, without Kafka and routers: for tests of what gateways do by themselves."""

import json
import signal
import time

from lib import jwt
from lib.functions import SOURCE, Sender, channel, marker, pack, second_log, tags, text_of
from lib.programs import Gateway
from lib.redis import Redis, RedisClient
from lib.wire import CLOSE, RawSocket

SECRET = "a-secret-of-the-tests-0123456789abcdef"


def event(number=1, size=300, target="g", key=None, targets=None):
    """An ephemeral event's envelope, as a router publishes it."""
    text = json.dumps({"n": number, "filler": "x" * size}, separators=(",", ":"))
    now = int(time.time() * 1000)
    targets = targets or [target]
    return (b"0 0 \x9b" + pack(1, key or f"k{number}", now, "task_update") + bytes([0x90 | len(targets)])
            + pack(*targets, 0, text) + b"\xc0\xc0\xc0" + pack(1))


class History:
    """Events in logs, written as routers write them, through the function library."""

    def __init__(self, redis):
        self.client = RedisClient(redis.port)
        self.client("FUNCTION", "LOAD", "REPLACE", SOURCE)
        self.sender = Sender()
        self.marked = set()

    def mark(self, *targets, **fields):
        """Gives buckets a marker: since 0, or what the fields say."""
        for target in targets:
            self.client("HSET", marker(target), "epoch", fields.pop("epoch", self.sender.epoch), "since",
                        text_of(fields.pop("since", 0)), *(x for pair in fields.items() for x in pair))
            self.marked.add(target)

    def beat(self):
        """What everybody hears once a second: all before it was heard."""
        name = "tg:{%d}:beat" % tags()[0]
        return self.client("FCALL", "tg1_beat", 1, name, pack("", 0, 0))[0]

    def add(self, target, numbers, size=300, **more):
        """Appends events; returns their ids."""
        if target not in self.marked:
            self.mark(target)
        ids = self.client.pipeline([
            self.sender.append(target, body=event(n, size, target, **more)[4:]) for n in numbers])
        assert all(isinstance(i, int) for i in ids), ids
        return ids

    def add_refilled(self, target, numbers, size=300):
        """Events of a second log, as routers refill it."""
        before = "0"
        for n in numbers:
            now = "%d-%d" % divmod(self.beat(), 1000)
            body = event(n, size, target)[4:]
            self.client("XADD", second_log(target), now, "e", f"{now} {before} ".encode() + body)
            before = now

    def close(self):
        self.client.close()


class Alone:
    """Use it in a `with`: it starts all, and judges how they ended. Most tests need one gateway, the first."""

    def __init__(self, folder, build, count=1, **gateway):
        self.redis = Redis(folder)
        self.gateways = [Gateway(build, folder, f"gateway-{i + 1}",
                                 {"JWT_SECRET_KEY": SECRET, "REDIS_URL": self.redis.url, "DRAIN_SECONDS": "0",
                                  "WORKERS": "1", **gateway}) for i in range(count)]
        self.gateway = self.gateways[0]

    def start(self):
        self.redis.start()
        for gateway in self.gateways:
            gateway.start()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, fault, trace):
        if fault is not None:
            for gateway in self.gateways:
                print(gateway.proc.tail())
        wrong = self.stop()
        assert fault is not None or not wrong, wrong

    @property
    def port(self):
        return self.gateway.port

    def path(self, user="u", **claims):
        return f"/ws?token={jwt.user(SECRET, user, **claims)}"

    def connect(self, user="u", gateway=0, **more):
        """A socket that was told hello."""
        client = RawSocket(self.gateways[gateway].port, self.path(user), **more)
        hello = client.recv_json()
        assert hello and hello["type"] == "connected", hello
        return client

    def resume(self, user="u", gateway=0, receive_buffer=None, **query):
        """A socket that names where it stood, and its hello."""
        more = "".join(f"&{name}={value}" for name, value in query.items() if value is not None)
        client = RawSocket(self.gateways[gateway].port, self.path(user) + more, receive_buffer=receive_buffer)
        hello = client.recv_json()
        assert hello and hello["type"] == "connected" and "recovered" in hello, hello
        return client, hello

    def close_code(self, user="u", gateway=0):
        """The code with which a new connection is closed before hello, None if it was welcome."""
        client = RawSocket(self.gateways[gateway].port, self.path(user))
        opcode, payload = client.recv()
        client.close()
        return int.from_bytes(payload[:2], "big") if opcode == CLOSE else None

    def redis_client(self):
        return RedisClient(self.redis.port)

    def publish(self, user, *events):
        client = self.redis_client()
        for one in events:
            client("SPUBLISH", channel(f"u:{user}" if user != "g" else "g"), one)
        client.close()

    def stop(self):
        """Ends all; returns what was wrong, as sentences."""
        self.redis.proc.signal(signal.SIGCONT)
        for gateway in self.gateways:
            gateway.stop(40)
        self.redis.stop()
        return [fault for gateway in self.gateways for fault in gateway.faults()]

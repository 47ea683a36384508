"""One gateway and its Redis, without Kafka and routers: for tests of what a gateway does by itself."""

import json
import signal
import time

from lib import jwt
from lib.functions import channel, pack
from lib.programs import Gateway
from lib.redis import Redis, RedisClient
from lib.wire import CLOSE, RawSocket

SECRET = "a-secret-of-the-tests-0123456789abcdef"


def event(number=1, size=300, target="g", key=None):
    """An ephemeral event's envelope, as a router publishes it."""
    text = json.dumps({"n": number, "filler": "x" * size}, separators=(",", ":"))
    now = int(time.time() * 1000)
    return (b"0 0 \x9b" + pack(1, key or f"k{number}", now, "task_update") + b"\x91" + pack(target, 0, text)
            + b"\xc0\xc0\xc0" + pack(1))


class Alone:
    """Use it in a `with`: it starts both, and judges how the gateway ended."""

    def __init__(self, folder, build, **gateway):
        self.redis = Redis(folder)
        self.gateway = Gateway(build, folder, "gateway", {"JWT_SECRET_KEY": SECRET, "REDIS_URL": self.redis.url,
                                                          "DRAIN_SECONDS": "0", "WORKERS": "1", **gateway})

    def start(self):
        self.redis.start()
        self.gateway.start()
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, fault, trace):
        if fault is not None:
            print(self.gateway.proc.tail())
        wrong = self.stop()
        assert fault is not None or not wrong, wrong

    @property
    def port(self):
        return self.gateway.port

    def path(self, user="u", **claims):
        return f"/ws?token={jwt.user(SECRET, user, **claims)}"

    def connect(self, user="u", **more):
        """A socket that was told hello."""
        client = RawSocket(self.port, self.path(user), **more)
        hello = client.recv_json()
        assert hello and hello["type"] == "connected", hello
        return client

    def close_code(self, user="u"):
        """The code with which a new connection is closed before hello, None if it was welcome."""
        client = RawSocket(self.port, self.path(user))
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
        """Ends both; returns what was wrong, as sentences."""
        self.redis.proc.signal(signal.SIGCONT)
        self.gateway.stop(40)
        self.redis.stop()
        return self.gateway.faults()

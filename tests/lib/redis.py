"""A real redis-server of our own, and a small RESP client to look into it."""

import pathlib
import socket

from lib.ports import free_port
from lib.proc import Proc


class RedisError(Exception):
    """An error reply."""


def encode(words):
    """One command in RESP."""
    out = [b"*%d\r\n" % len(words)]
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(out)


class RedisClient:
    """Blocking, one command at a time. Bulk strings come back as bytes."""

    def __init__(self, port, host="127.0.0.1", timeout=10):
        self.sock = socket.create_connection((host, port), timeout)
        self.file = self.sock.makefile("rb")

    def __call__(self, *words):
        self.sock.sendall(encode(words))
        return self.reply()

    def ask(self, *words):
        """The reply, an error reply too as a value: a RedisError."""
        return self.pipeline([words])[0]

    def pipeline(self, commands):
        """All commands in one write; their replies, error replies among them."""
        self.sock.sendall(b"".join(map(encode, commands)))
        replies = []
        for _ in commands:
            try:
                replies.append(self.reply())
            except RedisError as error:
                replies.append(error)
        return replies

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        if rest == b"-1":
            return None
        return self.file.read(int(rest) + 2)[:-2]

    def close(self):
        self.file.close()
        self.sock.close()


class Redis:
    """One redis-server, append-only file on, on its own port and folder. Data survive stop(), kill() and start()."""

    def __init__(self, folder, port=None, options=()):
        self.port = port or free_port()
        data = pathlib.Path(folder) / "redis"
        data.mkdir(parents=True, exist_ok=True)
        self.proc = Proc("redis", ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", data,
                                   "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
                                   "--maxmemory-policy", "noeviction", "--daemonize", "no", *options], folder)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    @property
    def procs(self):
        return [self.proc]

    def masters(self):
        """Ports of the nodes that hold the data."""
        return [self.port]

    def client(self, port=None):
        return RedisClient(port or self.port)

    def start(self):
        self.proc.start().wait_ready(lambda: self.answers("PING") == "PONG", 30)
        return self

    def answers(self, *words):
        """One command on a connection of its own; None while the server loads its data or says so."""
        client = RedisClient(self.port)
        try:
            return client(*words)
        except RedisError as error:
            if str(error).startswith("LOADING"):
                return None
            raise
        finally:
            client.close()

    def stop(self):
        self.proc.stop()

    def kill(self):
        self.proc.kill()

    def restart(self):
        self.stop()
        return self.start()

"""A thousand clients that come back at once, each with megabytes to catch up on, in bounded memory."""

import contextlib
import selectors
import signal
import socket
import time

from lib.alone import Alone, History
from lib.proc import wait_until
from lib.wire import upgrade_head

SIZE = 10_000
BUDGET = 64 << 20  # REPLAY_MEMORY as it is


def memory_of(pid, what):
    """Bytes of a figure in /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))


class Reader:
    """A socket that counts the events that came, without keeping them."""

    def __init__(self, alone, path):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.sock.connect(("127.0.0.1", alone.port))
        self.sock.sendall(upgrade_head(alone.port, path))
        self.sock.setblocking(False)
        self.rest, self.frames, self.upgraded = bytearray(), 0, False
        self.next = 0

    def read(self):
        """Takes what is there. False at the end."""
        try:
            more = self.sock.recv(1 << 18)
        except BlockingIOError:
            return True
        self.rest += more
        while self.cut():
            pass
        return bool(more)

    def cut(self):
        if not self.upgraded:
            end = self.rest.find(b"\r\n\r\n")
            if end < 0:
                return False
            assert self.rest.startswith(b"HTTP/1.1 101"), bytes(self.rest[:200])
            del self.rest[:end + 4]
            self.upgraded = True
        if len(self.rest) < 4:
            return False
        size, head = self.rest[1] & 127, 2
        if size == 126:
            size, head = int.from_bytes(self.rest[2:4], "big"), 4
        if len(self.rest) < head + size:
            return False
        self.on_text(self.rest[head:head + 60])
        del self.rest[:head + size]
        return True

    def on_text(self, start):
        if start.startswith(b'{"type":"task_update"'):
            assert int(start.split(b'"n":')[1].split(b",")[0]) == self.next, (start, self.next)
            self.next += 1


def read_all(readers, events, seconds):
    deadline, missing = time.monotonic() + seconds, len(readers)
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.sock, selectors.EVENT_READ, reader)
        while missing:
            assert time.monotonic() < deadline, f"{missing} of {len(readers)} have not everything"
            for key, _ in selector.select(1):
                reader = key.data
                assert reader.read(), f"closed after {reader.next}"
                if reader.next == events:
                    selector.unregister(reader.sock)
                    missing -= 1


@contextlib.contextmanager
def resuming(build, folder, clients, events, **options):
    """A gateway, clients that resume all of a user's events, and the gateway's resident bytes before they came."""
    with Alone(folder, build, MAX_CONNECTIONS_PER_USER="0", HEARTBEAT_INTERVAL="0", IDLE_PING="0", CONNECTION_TIMEOUT="5m",
               WORKERS="2", REPLAY_STALL="5m", **options) as alone:
        history = History(alone.redis)
        history.sender.maxlen = 1_000_000
        history.mark("g")
        for start in range(0, events, 32):
            history.add("u:u", range(start, min(start + 32, events)), size=SIZE)
        history.close()
        baseline = memory_of(alone.gateway.proc.pid, "VmRSS")
        readers = [Reader(alone, alone.path() + "&last_id=0") for _ in range(clients)]
        yield alone, readers, baseline
        for reader in readers:
            reader.sock.close()


def keeps_what_is_freed(build):
    return "asan" in str(build) or "tsan" in str(build)


def test_a_thousand_clients_at_once(build, folder):
    """2.5 GB in all."""
    clients, events = (100 if keeps_what_is_freed(build) else 1000), 256
    with resuming(build, folder, clients, events) as (alone, readers, baseline):
        started = time.monotonic()
        read_all(readers, events, 200)
        took = time.monotonic() - started
        peak = memory_of(alone.gateway.proc.pid, "VmHWM")
        print(f"resident {baseline / 2**20:.1f} MiB, at most {peak / 2**20:.1f} MiB; all was read in {took:.1f} s")
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_replaying") == 0, 10, "all are live")
        assert alone.gateway.metric("tidegate_gateway_replayed_total") == clients * events
        if not keeps_what_is_freed(build):
            assert peak - baseline <= 1.2 * BUDGET, (baseline, peak)


test_a_thousand_clients_at_once.seconds = 400


def test_clients_that_do_not_read(build, folder):
    """More than the kernel keeps for them: what they are owed waits in Redis, and their turn comes."""
    budget, clients, events = 8 << 20, 200, 1000
    with resuming(build, folder, clients, events, REPLAY_MEMORY=budget) as (alone, readers, baseline):
        def held():
            return alone.gateway.metric("tidegate_gateway_replay_bytes")
        seen, most = [], 0
        while len(seen) < 10 or len(set(seen[-10:])) > 1:  # until the kernel takes no more
            seen.append(alone.gateway.metric("tidegate_gateway_replayed_total"))
            most = max(most, held())
            assert len(seen) < 600, seen[-10:]
            time.sleep(0.2)
        assert budget * 3 / 4 < most <= budget, most
        read_all(readers, events, 200)
        peak = memory_of(alone.gateway.proc.pid, "VmHWM")
        print(f"held {most / 2**20:.1f} of {budget >> 20} MiB; resident {baseline / 2**20:.1f} MiB, at most {peak / 2**20:.1f} MiB")
        wait_until(lambda: held() == 0, 10, "all is given back")


test_clients_that_do_not_read.seconds = 400


def test_what_is_held_of_other_logs(build, folder):
    """A piece of one log waits until another was read as far: many that hold one must not wait for each other."""
    clients, own, everybodys = 60, 100, 100
    with Alone(folder, build, MAX_CONNECTIONS_PER_USER="0", REPLAY_STALL="5m", REPLAY_MEMORY="1MiB") as alone:
        history = History(alone.redis)
        history.sender.maxlen = 1_000_000
        history.mark("g")
        history.add("u:u", range(own), size=SIZE)
        history.add("g", range(own, own + everybodys), size=2000)
        history.close()
        readers = [Reader(alone, alone.path() + "&last_id=0") for _ in range(clients)]
        read_all(readers, own + everybodys, 60)
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_replay_bytes") == 0, 10, "all is given back")
        for reader in readers:
            reader.sock.close()


test_what_is_held_of_other_logs.seconds = 200


def test_a_gateway_that_ends_in_the_midst(build, folder):
    """Clients that do not read, others that wait for room, and a Redis that answers nothing any more."""
    for stopped in (False, True):
        with resuming(build, folder / str(stopped), 60, 300, REPLAY_MEMORY="1MiB") as (alone, readers, _):
            for i, reader in enumerate(readers):
                if i % 2:
                    reader.sock.shutdown(socket.SHUT_WR)
            if stopped:
                alone.redis.proc.signal(signal.SIGSTOP)
                more = [Reader(alone, alone.path() + f"&device_id=d{i}") for i in range(20)]
                time.sleep(0.3)
            assert alone.gateway.stop(40) == 0
            for reader in more if stopped else []:
                reader.sock.close()

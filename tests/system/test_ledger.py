"""Devices that come and go over two gateways, while Redis loses the ends of logs, and whole buckets: each device gets every
event of its user, and new ones in order."""

import contextlib
import random
import threading
import time

from lib import storm
from lib.alone import Alone
from lib.byhand import PART, Beats, Router, body
from lib.functions import log, marker, meta, second_log, second_meta
from lib.wire import RawSocket

USERS, DEVICES, SECONDS = 6, 24, 20


class Device(threading.Thread):
    """Connects to either gateway where it stood, for a while: every other one by its cursor, the others by last_id."""

    def __init__(self, alone, number, seed):
        super().__init__(daemon=True)
        self.alone, self.number, self.random = alone, number, random.Random(seed + number)
        self.user = f"user-{number % USERS}"
        self.acks = number % 2 == 0
        self.position = "0"
        self.seen, self.known = [], set()
        self.expected = None  # how many there are in the end, once that is known
        self.given_up = threading.Event()

    def done(self):
        return self.given_up.is_set() or (self.expected is not None and len(self.seen) >= self.expected)

    def run(self):
        while not self.done():
            with contextlib.suppress(OSError, AssertionError, EOFError):
                self.stay()
            time.sleep(self.random.random() * (0.8 if self.expected is None else 0.05))

    def path(self):
        path = self.alone.path(self.user)
        if self.acks:
            path += f"&device_id=device-{self.number}"
        return path + (f"&last_id={self.position}" if not self.acks or not self.seen else "")

    def stay(self):
        client = RawSocket(self.alone.gateways[self.random.randrange(2)].port, self.path())
        until = time.monotonic() + self.random.random()
        if client.recv_json(20) is None:
            return
        while (time.monotonic() < until or self.expected is not None) and not self.done():
            with contextlib.suppress(TimeoutError):
                message = client.recv_json(0.05)
                if message is None:
                    break
                if message["type"] == "task_update":
                    self.take(client, message)
        client.close()

    def take(self, client, message):
        self.position = message.get("id", self.position)
        if message["n"] not in self.known:
            self.known.add(message["n"])
            self.seen.append(message["n"])
        if self.acks and "id" in message and self.random.random() < 0.3:
            client.send_json({"type": "ack", "id": self.position})


def pause(chance, most):
    time.sleep(chance.random() * most)


def append_some(router, user, chance, most):
    for _ in range(chance.randrange(most)):
        router.append(user, 2)
        pause(chance, 0.1)


def lose_the_end(router, user, chance):
    """The log and its meta as they were a moment ago; what is missing is appended again, one by one."""
    target, first = f"u:{user}", router.next
    saved = router.client("DUMP", log(target)), router.client("GET", meta(target))
    if saved[0] is None:
        return
    append_some(router, user, chance, 5)
    pause(chance, 0.3)
    router.client.pipeline([("MULTI",), ("RESTORE", log(target), 0, saved[0], "REPLACE"), ("SET", meta(target), saved[1]),
                            ("EXEC",)])
    pause(chance, 0.4)
    for n in range(first, router.next):
        router.again(user, [n])
        pause(chance, 0.05)


def refill(router, target, numbers):
    for reply in router.client.pipeline([router.sender.refill(target, PART, n, body=body(n, target)) for n in numbers]):
        assert isinstance(reply, int), reply
    router.client(*router.sender.mark(target, {"~" + PART: numbers[-1] + 1}))


def lose_all(router, user, chance, heard):
    """The bucket; live events go on from a little before, and what is older is refilled meanwhile. As routers do, so far
    before that nothing is older which gateways may not have heard."""
    target = f"u:{user}"
    append_some(router, user, chance, 3)
    router.client("DEL", *(name(target) for name in (log, meta, marker, second_log, second_meta)))
    pause(chance, 0.5)
    bound = max(1, min(heard, router.next - chance.randrange(30)))
    router.sender.epoch += 1
    fields = {"r:" + PART: bound, PART: bound}
    assert router.client(*router.sender.mark(target, fields, create=1)) == router.sender.epoch
    live, old = list(range(bound, router.next)), list(range(bound))
    while live or old:
        if live and (not old or chance.random() < 0.5):
            router.again(user, live[:10])
            del live[:10]
        else:
            count = chance.randrange(1, 60)
            refill(router, target, old[:count])
            del old[:count]
        pause(chance, 0.05)


class Heard:
    """Up to where all gateways have heard each user's events, at least: one whose link was killed may take some seconds."""

    def __init__(self, routers):
        self.routers, self.until = routers, 0
        self.then = {}

    def link_killed(self):
        now = time.monotonic()
        if now >= self.until:
            self.then = {user: router.next for user, router in self.routers.items()}
        self.until = now + 5

    def of(self, user):
        return self.then[user] if time.monotonic() < self.until else self.routers[user].next


def kill_links(control, chance):
    for line in control("CLIENT", "LIST").decode().splitlines():
        if " name=tidegate " in line and chance.random() < 0.5:
            control.ask("CLIENT", "KILL", "ID", line.split()[0][3:])


def make_trouble(alone, routers, chance):
    control, ends, heard = alone.redis_client(), time.monotonic() + SECONDS, Heard(routers)
    while time.monotonic() < ends:
        user = chance.choice(list(routers))
        what = chance.random()
        if what < 0.04:
            lose_the_end(routers[user], user, chance)
        elif what < 0.06:
            lose_all(routers[user], user, chance, heard.of(user))
        elif what < 0.07:
            heard.link_killed()
            kill_links(control, chance)
        else:
            routers[user].append(user, chance.randrange(1, 4))
        time.sleep(0.01)
    control.close()


def test_devices_over_losses(build, folder):
    seed = storm.seed()
    print(f"seed {seed}")
    with Alone(folder, build, count=2, MAX_CONNECTIONS_PER_USER="0", HEADS_INTERVAL="1s",
               RATE_LIMIT_MAX_MESSAGES="100000") as alone:
        routers = {f"user-{i}": Router(alone.redis.port).mark(f"user-{i}") for i in range(USERS)}
        one = next(iter(routers.values()))
        one.client(*one.sender.mark("g", create=2))
        devices = [Device(alone, number, seed) for number in range(DEVICES)]
        with Beats(alone.redis.port):
            for user, router in routers.items():
                router.append(user, 2)
            for device in devices:
                device.start()
            make_trouble(alone, routers, random.Random(seed))
            for device in devices:
                device.expected = routers[device.user].next
            deadline = time.monotonic() + 60
            for device in devices:
                device.join(max(0.1, deadline - time.monotonic()))
                device.given_up.set()
        for device in devices:
            missing = sorted(set(range(device.expected)) - device.known)
            assert not missing, (device.number, device.user, missing[:10])
            assert device.seen == list(range(device.expected)), (device.number, device.user, "out of order")


test_devices_over_losses.seconds = 200

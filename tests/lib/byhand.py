"""What a router does, done by a test: events and beats straight into Redis, and what a client must have got of them."""

import json
import threading
import time

from lib.functions import SOURCE, Sender, log, meta, pack, tags, text_of
from lib.redis import RedisClient

PART = "tasks#1/0"
BEAT = "tg:{%d}:beat" % tags()[0]


def name_of(user):
    """The target of a user, or of everybody."""
    return user if user == "g" else f"u:{user}"


def body(number, target, size=0):
    """An envelope without its ids: event `number` of PART, from there in Kafka."""
    text = json.dumps({"n": number, "filler": "x" * size}, separators=(",", ":"))
    now = int(time.time() * 1000)
    return (b"\x9b" + pack(1, f"{PART}/{number}", now, "task_update") + b"\x91" + pack(target, 0, text)
            + b"\xc0\xc0\xc0" + pack(3))


class Router:
    """Appends as a router does: numbered events of one partition, whose offsets are the numbers."""

    def __init__(self, port, maxlen=100_000):
        self.client = RedisClient(port, timeout=40)
        self.client("FUNCTION", "LOAD", "REPLACE", SOURCE)
        self.sender = Sender(maxlen=maxlen)
        self.next = 0

    def mark(self, *users, epoch=7):
        self.sender.epoch = epoch
        for user in users:
            self.client(*self.sender.mark(name_of(user), create=1, epoch=epoch))
        return self

    def commands(self, user, numbers, size=0):
        target = name_of(user)
        return [self.sender.append(target, part=PART, offset=n, body=body(n, target, size)) for n in numbers]

    def append(self, user, count, size=0):
        for reply in self.client.pipeline(self.commands(user, range(self.next, self.next + count), size)):
            assert isinstance(reply, int) and reply > 0, reply
        self.next += count

    def again(self, user, numbers):
        """Appends what was appended before; Redis may know or not."""
        for reply in self.client.pipeline(self.commands(user, numbers)):
            assert isinstance(reply, int), reply

    def append_unheard(self, user):
        """An append whose message nobody gets: what the function writes, without its last step."""
        target, number = name_of(user), self.next
        before = self.client(*["FCALL", "tg1_heads", 1, meta(target)])[0]
        new = max(before + 1, int(time.time() * 1e6))
        message = f"{text_of(new)} {text_of(before)} ".encode() + body(number, target)
        self.client("XADD", log(target), text_of(new), "e", message)
        self.client("SET", meta(target), pack(new, 7, int(time.time() * 1000) + 3_600_000, PART, 0, number))
        self.next += 1


class Beats:
    """A router's beat, ten times a second so that tests are quick."""

    def __init__(self, port, name=BEAT):
        self.client = RedisClient(port, timeout=40)
        self.name = name
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        sender = Sender()
        while not self.ended.wait(0.1):
            self.client("FCALL", "tg1_beat", 1, self.name, pack(*sender.place(), 0))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self.client.close()


def numbers(messages):
    return [message["n"] for message in messages]


def judge(client, count, seconds=60):
    """All events came, once each, in order."""
    got = numbers(client.tasks(count, seconds))
    assert got == list(range(count)), f"{len(got)} events: " + str([n for i, n in enumerate(got) if i != n][:20])


def rising(messages):
    """Positions never fall."""
    ids = [tuple(map(int, message["id"].split("-"))) for message in messages if "id" in message]
    assert ids == sorted(ids)
    return ids

"""Calls of the function library inside Redis, made without any of our C: a second reading of what redis_fn.h says."""

import contextlib
import functools
import itertools
import struct

from lib.proc import ROOT
from lib.redis import Redis, RedisClient, RedisError

NOW, ZERO = 1, 2  # create a missing marker, since now or since 0
SOURCE = (ROOT / "common" / "tg1.lua").read_bytes()


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value


@functools.cache
def tags():
    """Bucket → the smallest number in the middle of its slots."""
    found, number = {}, 0
    while len(found) < 1024:
        slot = crc16(b"%d" % number) % 16384
        if slot % 16 == 8:
            found.setdefault(slot // 16, number)
        number += 1
    return found


def prefix(target):
    return "tg:{%d}:" % tags()[fnv1a(target.encode()) % 1024]


def log(target):
    return f"{prefix(target)}l:{target}"


def meta(target):
    return f"{prefix(target)}m:{target}"


def presence(target):
    return f"{prefix(target)}p:{target}"


def cursors(target):
    return f"{prefix(target)}d:{target}"


def keys(target):
    return f"{prefix(target)}k:{target}"


def second_log(target):
    return f"{prefix(target)}h:{target}"


def second_meta(target):
    return f"{prefix(target)}j:{target}"


def second_keys(target):
    return f"{prefix(target)}i:{target}"


def channel(target):
    return f"{prefix(target)}c:{target}"


def marker(target):
    return f"{prefix(target)}b"


def text_of(number):
    """An id as Redis writes it."""
    return "%d-%d" % divmod(number, 1000) if number else "0"


def pack(*values):
    """A row of MessagePack values: str and integers that are not negative."""
    out = b""
    for value in values:
        if isinstance(value, int):
            out += struct.pack("B", value) if value < 128 else b"\xcf" + struct.pack(">Q", value)
        else:
            value = value.encode()
            out += struct.pack("B", 0xA0 | len(value)) if len(value) < 32 else b"\xda" + struct.pack(">H", len(value))
            out += value
    return out


NUMBERS = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
STRINGS = {0xD9: ">B", 0xDA: ">H"}


def unpack(row):
    """The values of such a row."""
    values, at = [], 0

    def number(form):
        nonlocal at
        at += struct.calcsize(form)
        return struct.unpack_from(form, row, at - struct.calcsize(form))[0]

    while at < len(row):
        head = number(">B")
        if head < 0x80:
            values.append(head)
        elif head in NUMBERS:
            values.append(number(NUMBERS[head]))
        else:
            size = number(STRINGS[head]) if head in STRINGS else head & 0x1F
            values.append(row[at:at + size].decode())
            at += size
    return values


class Sender:
    """A pipe, or with name "" none: builds commands, each with the next number."""

    def __init__(self, name="", epoch=7, maxlen=1000, ttl=3_600_000):
        self.name, self.epoch, self.maxlen, self.ttl = name, epoch, maxlen, ttl
        self.seq = 0

    def place(self):
        self.seq += 1
        return self.name, self.seq

    def append_row(self, part, offset, n, other):
        row = [*self.place(), other.get("turn", 0), other.get("epoch", self.epoch), part, n, offset,
               str(other.get("maxlen", self.maxlen)), other.get("ttl", self.ttl)]
        if other.get("key") is not None:
            row += [other["key"], other.get("window", 60_000), other.get("kafka_ms", 0)]
        return pack(*row)

    def append(self, target, part="", offset=0, n=0, body=b"body", **other):
        """More of an append: turn, epoch, maxlen, ttl; key, window, kafka_ms."""
        names = [log(target), meta(target), marker(target)] + [keys(target)] * (other.get("key") is not None)
        return "FCALL", "tg1_append", len(names), *names, self.append_row(part, offset, n, other), channel(target), body

    def refill(self, target, part, offset=0, n=0, body=b"body", **other):
        names = [second_log(target), second_meta(target), marker(target)]
        names += [second_keys(target)] * (other.get("key") is not None)
        return "FCALL", "tg1_refill", len(names), *names, self.append_row("~" + part, offset, n, other), body

    def publish(self, target, body=b"body"):
        return "FCALL", "tg1_publish", 1, channel(target), pack(*self.place()), body

    def mark(self, target, watermarks=(), create=0, epoch=None):
        row = pack(*self.place(), self.epoch if epoch is None else epoch, create,
                   *(value for pair in dict(watermarks).items() for value in pair))
        return "FCALL", "tg1_mark", 1, marker(target), row

    def beat(self, target, floor=0):
        return "FCALL", "tg1_beat", 1, prefix(target) + "beat", pack(*self.place(), floor)


def read(log_name, after=0, most=1000, size=1 << 30):
    """A command: a log's events behind an id."""
    return "FCALL", "tg1_read", 1, log_name, pack(after, most, size)


def count(log_name, after=0, floor=0, most=1000):
    """A command: [oldest, count, where to go on]."""
    return "FCALL", "tg1_count", 1, log_name, pack(after, floor, most)


def cursor(target, *devices, ttl=3_600_000, most=100):
    """A command: devices are (id, position, acks)."""
    return "FCALL", "tg1_cursor", 1, cursors(target), pack(ttl, most, *(value for row in devices for value in row))


def parts_of(client, target, name=meta):
    """Part → (offset, n), as the target's meta has them, the newest first."""
    values = unpack(client("GET", name(target)))[3:]
    return {values[i]: (values[i + 2], values[i + 1]) for i in range(0, len(values), 3)}


def entries(client, target, name=log):
    """The log: a list of (id, the bytes of its envelope)."""
    return [(entry[0].decode(), entry[1][1]) for entry in client("XRANGE", name(target), "-", "+")]


def marker_of(client, target):
    """The fields of the bucket's marker."""
    row = [word.decode() for word in client("HGETALL", marker(target))]
    return dict(zip(row[::2], row[1::2]))


@contextlib.contextmanager
def running(folder, *options, loaded=True):
    """A server with the library, and a client of it."""
    server = Redis(folder, options=options).start()
    try:
        client = RedisClient(server.port)
        if loaded:
            client("FUNCTION", "LOAD", SOURCE)
        yield server, client
        client.close()
    finally:
        server.stop()


_names = map("pipe{}".format, itertools.count())


def new_pipe(**how):
    return Sender(next(_names), **how)


def pipe_with_marker(client, target, **how):
    s = new_pipe(**how)
    assert client(*s.mark(target, create=NOW)) == s.epoch
    return s


def refused(reply, text):
    return isinstance(reply, RedisError) and str(reply).startswith(text)


def bodies(client, target, name=log):
    return [envelope.split(b" ", 2)[2] for _, envelope in entries(client, target, name)]


def assert_chain(client, target, name=log):
    """Ids increase, and each entry names the one before it."""
    before = None
    for text, envelope in entries(client, target, name):
        own, prev, _ = envelope.decode().split(" ", 2)
        assert own == text
        if before is not None:
            assert prev == before and [int(x) for x in before.split("-")] < [int(x) for x in own.split("-")]
        before = own

"""Reads the ledger that tests/chaos/devices writes, and decides for every device whether the promise was kept.

Producers number the events of each sequence: sequence u is user u's, sequence `users` is everybody's. A device drops what it
knows by key; what is left must be contiguous, in order, complete, and its own.
"""

import collections
import dataclasses
import struct

ENTRY = struct.Struct("<BBHIQIIQQ")  # kind, note, -, device, at_us, sequence, number, key, id: struct ledger_entry
ASKED, REFUSED, WELCOMED, EVENT, GAP, ACKED, CLOSED, STRANGE = range(1, 9)
UNSAID, RECOVERED, NOT_RECOVERED = range(3)
CURSOR_SLACK_US = 5_000_000  # an acknowledgement older than that must have reached the cursor
SENTENCES = 12

# What makes a run fail, in the words of the table.
FAULTS = {
    "lost": "events that never came",
    "duplicated": "events that came again under another key",
    "repeated": "events that came twice on one connection",
    "reordered": "events that came behind a later one",
    "foreign": "events of somebody else, or that nobody produced",
    "rewound": "connections that began before what their device had acknowledged long ago",
    "strange": "messages that are none of ours",
    "unlogged": "events that a log in Redis lacks in between",
    "mislogged": "events that a log in Redis holds twice, out of order or not for it",
    "gaps": "times a gateway said that the retention was exceeded",
}


@dataclasses.dataclass
class Verdict:
    """Sums over all devices. `faults` counts by the words of FAULTS; `said` holds the first few in words."""

    devices: int = 0
    deliveries: int = 0  # events that were new to their device
    again: int = 0  # events that came again on a later connection, dropped by key
    connects: int = 0
    unrecovered: int = 0  # connections that were told that something is missing
    faults: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    said: list = dataclasses.field(default_factory=list)

    def fault(self, word, sentence, count=1):
        self.faults[word] += count
        if sum(word in text.split(":")[0] for text in self.said) < SENTENCES // 3 and len(self.said) < SENTENCES:
            self.said.append(f"{word}: {sentence}")

    def bad(self, allowed=()):
        """The faults that are not allowed, as {word: count}."""
        return {word: count for word, count in self.faults.items() if count and word not in allowed}


class Sequence:
    """One sequence as one device sees it."""

    __slots__ = ("next", "missing")

    def __init__(self):
        self.next = 0
        self.missing = set()

    def take(self, number):
        """The fault that this number is, or None."""
        if number == self.next:
            self.next += 1
        elif number > self.next:
            self.missing.update(range(self.next, number))
            self.next = number + 1
        elif number in self.missing:
            self.missing.discard(number)
            return "reordered"
        else:
            return "duplicated"
        return None


class Device:
    """What one device was told so far."""

    def __init__(self, number, users):
        self.number = number
        self.sequences = {number % users: Sequence(), users: Sequence()}
        self.connection = 0
        self.keys = {}  # key: the connection on which it came last
        self.acks = collections.deque()  # (when, id), those that may not have reached the cursor yet
        self.settled = 0  # the newest id that must have

    def acknowledged(self, at, position):
        self.acks.append((at, position))

    def settle(self, at):
        while self.acks and self.acks[0][0] < at - CURSOR_SLACK_US:
            self.settled = max(self.settled, self.acks.popleft()[1])


def read(path):
    """All entries, as tuples in the order of ENTRY."""
    with open(path, "rb") as file:
        while block := file.read(ENTRY.size * 65536):
            yield from ENTRY.iter_unpack(block[:len(block) // ENTRY.size * ENTRY.size])


class Checker:
    """`produced` says for each sequence how many events there are: numbers 0 to that. `complete` False: nothing is missed."""

    def __init__(self, users, devices, produced, complete=True):
        self.produced = produced
        self.complete = complete
        self.devices = [Device(i, users) for i in range(devices)]
        self.verdict = Verdict(devices=devices)

    def entry(self, kind, note, at, device, sequence, number, key, position):
        if kind == EVENT:
            self.event(device, sequence, number, key, position)
        elif kind == ASKED:
            device.connection += 1
            device.settle(at)
        elif kind == WELCOMED:
            self.welcomed(device, note, position)
        elif kind == ACKED:
            device.acknowledged(at, position)
        elif kind == GAP:
            self.verdict.fault("gaps", f"device {device.number} at {at} us")
        elif kind == STRANGE:
            self.verdict.fault("strange", f"device {device.number} at {at} us")

    def event(self, device, sequence, number, key, position):
        verdict = self.verdict
        known = device.sequences.get(sequence)
        if known is None or number >= self.produced.get(sequence, 0):
            verdict.fault("foreign", f"device {device.number} got event {number} of sequence {sequence}")
            return
        before = device.keys.get(key)
        device.keys[key] = device.connection
        if before is None:
            fault = known.take(number)
            verdict.deliveries += fault != "duplicated"
            if fault:
                verdict.fault(fault, f"device {device.number} got event {number} of sequence {sequence} (position {position}) "
                              f"after event {known.next - 1}")
        elif before == device.connection:
            verdict.fault("repeated", f"device {device.number} got event {number} of sequence {sequence} (position {position}) "
                          f"twice on connection {before}")
        else:
            verdict.again += 1

    def welcomed(self, device, said, position):
        self.verdict.connects += 1
        self.verdict.unrecovered += said == NOT_RECOVERED
        if position and position < device.settled:
            self.verdict.fault("rewound", f"device {device.number} began at {position}, but had acknowledged {device.settled}")

    def end(self):
        """Decides what is missing. Returns the verdict."""
        for device in self.devices if self.complete else ():
            for name, sequence in device.sequences.items():
                count = self.produced.get(name, 0)
                missing = len(sequence.missing) + max(0, count - sequence.next)
                if missing:
                    first = min(sequence.missing, default=sequence.next)
                    self.verdict.fault("lost", f"device {device.number}: {missing} of {count} events of sequence {name}, "
                                       f"the first is {first}", missing)
        return self.verdict


def check(entries, users, devices, produced, complete=True):
    """The verdict over a whole ledger."""
    checker = Checker(users, devices, produced, complete)
    for kind, note, _, device, at, sequence, number, key, position in entries:
        checker.entry(kind, note, at, checker.devices[device], sequence, number, key, position)
    return checker.end()

"""Reads the logs in Redis when a scenario is over: whatever happened, each must hold an unbroken run of its sequence, once and
in order. What Redis lost stands in the refilled logs; both together reach from the first event that is kept to the last."""

import re

from lib.redis import RedisClient

NUMBER = re.compile(rb'"of":(\d+),"n":(\d+)')
CHUNK = 1000


def numbers(client, key):
    """(sequence, number) of all entries of a log, in its order."""
    start = b"-"
    while True:
        entries = client("XRANGE", key, start, "+", "COUNT", CHUNK)
        for _, fields in entries:
            found = NUMBER.search(fields[fields.index(b"e") + 1])
            yield int(found[1]), int(found[2])
        if len(entries) < CHUNK:
            return
        start = b"(" + entries[-1][0]


def read(redis, kind):
    """All logs of a kind, l or h for the refilled ones: {name: its (sequence, number) pairs}."""
    found = {}
    for port in redis.masters():
        client = RedisClient(port, timeout=60)
        for key in client("KEYS", f"tg:{{*}}:{kind}:*"):
            found[key.decode()] = list(numbers(client, key))
        client.close()
    return found


def check(redis, produced, verdict, kept):
    """Adds what is wrong to the verdict, as faults in its words. `redis` is any of lib.redis and lib.topologies; `produced`
    says for each sequence how many events there are, of which the last `kept` must be there."""
    has = {sequence: set() for sequence in produced}
    for kind in ("h", "l"):
        for name, entries in read(redis, kind).items():
            check_log(name, entries, verdict)
            for sequence, number in entries:
                has.setdefault(sequence, set()).add(number)
    for sequence, count in produced.items():
        missing = sorted(set(range(max(0, count - kept), count)) - has[sequence])
        if missing:
            verdict.fault("unlogged", f"{len(missing)} of {count} events of sequence {sequence} are in no log, from "
                          f"{missing[0]} to {missing[-1]}", len(missing))


def check_log(name, entries, verdict):
    """One log by itself: events of one sequence, one after the other."""
    numbers_of = [number for sequence, number in entries if sequence == entries[0][0]]
    if len(numbers_of) != len(entries):
        verdict.fault("mislogged", f"{name} holds events of several sequences")
    for before, number in zip(numbers_of, numbers_of[1:]):
        if number > before + 1:
            verdict.fault("unlogged", f"in {name} event {before} is followed by {number}", number - before - 1)
        elif number <= before:
            verdict.fault("mislogged", f"in {name} event {before} is followed by {number}")

"""Reads the logs in Redis when a scenario is over: whatever happened, each must hold an unbroken run of its sequence, once and
in order, up to the last event. (Where it begins is a matter of retention.)"""

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


def check(redis, produced, verdict):
    """Adds what is wrong to the verdict, as faults in its words. `redis` is any of lib.redis and lib.topologies; `produced`
    says for each sequence how many events there are."""
    seen = set()
    for port in redis.masters():
        client = RedisClient(port, timeout=60)
        for key in client("KEYS", "tg:{*}:l:*"):
            seen.add(check_log(key.decode(), list(numbers(client, key)), produced, verdict))
        client.close()
    for sequence in sorted(set(produced) - seen):
        verdict.fault("unlogged", f"there is no log of sequence {sequence}")


def check_log(name, entries, produced, verdict):
    """One log; returns its sequence."""
    sequence = entries[0][0] if entries else None
    own = [number for of, number in entries if of == sequence]
    expected = list(range(own[0], produced.get(sequence, 0))) if own else []
    if len(own) != len(entries):
        verdict.fault("mislogged", f"{name} holds events of several sequences")
    repeats = len(own) - len(set(own))
    if repeats:
        verdict.fault("mislogged", f"{name} holds {repeats} events twice", repeats)
    missing = sorted(set(expected) - set(own))
    if missing:
        verdict.fault("unlogged", f"{name} lacks {len(missing)} of {len(expected)} events, the first is {missing[0]}",
                      len(missing))
    if not repeats and not missing and own != expected:
        verdict.fault("mislogged", f"{name} is out of order")
    return sequence

"""Reading what Redis holds of a cluster's targets: live logs, second logs and markers, with the coordinates of every entry."""

import re

from lib.functions import log, second_log


class Entry:
    """One event in a log: its id, and where in Kafka it comes from."""

    def __init__(self, envelope, topic):
        self.id, self.prev, rest = envelope.split(b" ", 2)
        found = re.search(rb"(" + re.escape(topic.encode()) + rb"#\d+/\d+)/(\d+)", rest)
        self.part, self.offset = found[1].decode(), int(found[2])
        number = re.search(rb'"task_id":(\d+)', rest)
        self.number = int(number[1]) if number else None


def read(client, name, topic):
    """The entries of a log by its key."""
    entries = []
    for _, fields in client("XRANGE", name, "-", "+"):
        entries.append(Entry(fields[1], topic))
    return entries


def live(client, topic, target):
    return read(client, log(target), topic)


def second(client, topic, target):
    return read(client, second_log(target), topic)


def assert_in_order(entries, what=""):
    """Offsets of each part rise, and none comes twice; ids rise, and each entry names the one before."""
    last, before = {}, None
    for entry in entries:
        assert entry.offset > last.get(entry.part, -1), f"{what}: {entry.part} goes from {last[entry.part]} to {entry.offset}"
        last[entry.part] = entry.offset
        assert before in (None, entry.prev), f"{what}: {entry.id} does not follow {before}"
        before = entry.id


def markers(client):
    """Bucket tag → the marker's fields, of all buckets."""
    found = {}
    for key in client("KEYS", "tg:{*}:b"):
        row = [word.decode() for word in client("HGETALL", key)]
        found[key.decode()] = dict(zip(row[::2], row[1::2]))
    return found


def is_whole(client):
    """Every bucket has a marker, and nothing is to be refilled any more."""
    found = markers(client)
    return len(found) == 1024 and all(
        int(fields.get("refilling", 0)) == 0 and not any(name[:2] == "r:" or name[0] == "~" for name in fields)
        for fields in found.values())

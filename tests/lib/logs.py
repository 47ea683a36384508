"""Reading what Redis holds of a cluster's targets: live logs, second logs and markers, with the coordinates of every entry;
and the stream of events that tests compare them with."""

import re
import time

from lib.cluster import task
from lib.functions import log, second_log
from lib.proc import wait_until
from lib.redis import RedisClient, RedisError


class Everywhere:
    """A client of all nodes of a cluster's Redis: of KEYS it has all, of a key what the node says that has it."""

    def __init__(self, cluster):
        self.clients = [RedisClient(port) for port in cluster.redis.masters()]

    def __call__(self, *words):
        replies = [client.ask(*words) for client in self.clients]
        if words[0] in ("KEYS", "FLUSHALL"):
            return [key for reply in replies if isinstance(reply, list) for key in reply]
        known = [reply for reply in replies if not isinstance(reply, RedisError)]
        return next((reply for reply in known if reply), known[0])

    def close(self):
        for client in self.clients:
            client.close()


def stream(cluster, users, events, seconds):
    """Sends events of all users, interleaved, spread over some seconds; all are acknowledged at the end."""
    producer = cluster.kafka.producer(cluster.topic)
    started = time.monotonic()
    for n in range(events):
        for user in users:
            producer.send(user, task(user, n))
        yield n
        time.sleep(max(0, started + seconds * (n + 1) / events - time.monotonic()))
    producer.close()


def entries_of(cluster, user):
    """What a user's log holds."""
    client = cluster.redis_client()
    try:
        return live(client, cluster.topic, f"u:{user}")
    finally:
        client.close()


def numbers_in_log(cluster, user):
    """Task numbers in a user's log, in its order."""
    return [entry.number for entry in entries_of(cluster, user)]


def assert_logs(cluster, users, expected, seconds=60):
    """Every log holds exactly these, in this order, and nothing more comes."""
    for user in users:
        wait_until(lambda user=user: len(numbers_in_log(cluster, user)) >= len(expected), seconds,
                   f"{len(expected)} entries for {user}", every=0.2)
    time.sleep(0.5)
    for user in users:
        assert numbers_in_log(cluster, user) == expected, user
        assert_in_order(entries_of(cluster, user), user)


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

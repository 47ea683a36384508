"""What producers and brokers may do to a router: repeat records, restart, grow, forget a topic, hand over a group. Each
event stands once in its log, and in order."""

import contextlib
import re
import time

from lib.cluster import task
from lib.kafka_admin import Admin
from lib.proc import wait_until


def events_in_log(cluster, user):
    """The envelopes in a user's log, as bytes."""
    client = cluster.redis_client()
    found = [fields[1] for key in client("KEYS", f"tg:{{*}}:l:u:{user}") for _, fields in client("XRANGE", key, "-", "+")]
    client.close()
    return found


def numbers_in_log(cluster, user):
    """Task numbers in a user's log, in its order."""
    return [int(event.split(b'"task_id":')[1].split(b",")[0]) for event in events_in_log(cluster, user)]


# ---- idempotent producers ----

def test_records_with_one_key_are_applied_once(new_cluster):
    cluster = new_cluster(gateways=1, routers=1)
    [router] = cluster.routers
    user, other = cluster.user(), cluster.user()
    client = cluster.connect(user)
    cluster.produce(user, *[task(user, 1, event_id="once")] * 3, task(user, 2, event_id=17), task(user, 3, event_id=17),
                    task(user, 4, event_id={"no": "key"}), task(user, 5, event_id=None), task(user, 6, event_id=None),
                    partition=0)
    cluster.produce(user, task(user, 7, event_id="once"), partition=1)
    cluster.produce(other, task(other, 1, event_id="once"))
    keys = {message["task_id"]: message["key"] for message in client.tasks(5)}
    cluster.wait_log(other, 1)
    cluster.wait_metric("tidegate_router_repeats_total", 4, programs=[router])
    found = numbers_in_log(cluster, user)
    assert sorted({1, 7} & set(found)) in ([1], [7]) and sorted(set(found) - {1, 7}) == [2, 4, 5, 6], found
    assert keys[2] == "17" and keys[5].startswith(f"{cluster.topic}#1/0/"), keys
    once = next(event for event in events_in_log(cluster, user) if b"once" in event)
    assert f"{cluster.topic}#1/".encode() in once, "no coordinate beside the key"


def test_a_window_is_of_kafkas_time(new_cluster):
    """What lies apart in Kafka is apart, though a backlog is read in a moment."""
    cluster = new_cluster(gateways=1, routers=1, start=False, router={"DEDUPE_WINDOW": "1s"})
    user = cluster.user()
    cluster.kafka.create_topic(cluster.topic)
    cluster.produce(user, task(user, 0, event_id="e"), task(user, 1, event_id="e"), partition=0)
    time.sleep(1.5)
    cluster.produce(user, task(user, 2, event_id="e"), task(user, 3, event_id="other"), partition=0)
    cluster.start()
    wait_until(lambda: numbers_in_log(cluster, user)[-1:] == [3], 30, "the last event")
    assert numbers_in_log(cluster, user) == [0, 2, 3]


# ---- a topic deleted and made anew ----

@contextlib.contextmanager
def admin_of(kafka):
    admin = Admin(kafka.brokers)
    try:
        yield admin
    finally:
        admin.close()


def coordinates_in_log(cluster, user, numbers):
    """Which part each of these numbers came from, as a dict."""
    found = {}
    for event in events_in_log(cluster, user):
        part = re.search(rb"[\w.-]+#\d+/\d+", event)[0].decode()
        found[int(event.split(b'"task_id":')[1].split(b",")[0])] = part
    return [found[n] for n in numbers]


def renew_topic(cluster, before, after, running=True, between=lambda: None):
    """Events in the old topic, another number of them in the new one: all are in the log once, and the old ones keep
    their coordinates."""
    user = cluster.user()
    [router] = cluster.routers
    cluster.produce(user, *[task(user, n) for n in range(before)], partition=0)
    cluster.wait_log(user, before)
    if not running:
        assert router.stop() == 0
    with admin_of(cluster.kafka) as admin:
        admin.recreate_topic(cluster.topic, 12, between)
    cluster.produce(user, *[task(user, n) for n in range(1000, 1000 + after)], partition=0)
    if not running:
        router.start()
    wait_until(lambda: numbers_in_log(cluster, user)[-1:] == [999 + after], 60, "the new topic's events", every=0.2)
    assert numbers_in_log(cluster, user) == [*range(before), *range(1000, 1000 + after)]
    parts = coordinates_in_log(cluster, user, [0, 1000])
    assert parts == [f"{cluster.topic}#1/0", f"{cluster.topic}#2/0"], parts
    assert router.metric("tidegate_router_generations_total") >= 1


def test_a_shorter_topic_made_while_the_router_was_away(new_cluster):
    renew_topic(new_cluster(gateways=1, routers=1), 20, 5, running=False)


def test_a_longer_topic_made_while_the_router_was_away(new_cluster):
    renew_topic(new_cluster(gateways=1, routers=1, router={"START": "latest"}), 5, 20, running=False)


def test_a_shorter_topic_made_while_the_router_runs(new_cluster):
    renew_topic(new_cluster(gateways=1, routers=1), 20, 5)


def test_a_longer_topic_made_while_the_router_runs(new_cluster):
    renew_topic(new_cluster(gateways=1, routers=1), 5, 20)


def test_a_longer_topic_made_while_the_router_misses_it(new_cluster):
    cluster = new_cluster(gateways=1, routers=1)
    [router] = cluster.routers
    renew_topic(cluster, 5, 20, between=lambda: wait_until(lambda: router.metric("tidegate_router_partitions") == 0, 30,
                                                           "the partitions are gone"))

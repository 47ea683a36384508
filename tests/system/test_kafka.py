"""What producers and brokers may do to a router: repeat records, restart, grow, forget a topic, hand over a group. Each
event stands once in its log, and in order."""

import contextlib
import re
import signal
import time

from lib import metrics
from lib.cluster import task
from lib.functions import tags
from lib.kafka import Broker
from lib.kafka_admin import Admin
from lib.logs import assert_in_order, assert_logs, entries_of, numbers_in_log, stream
from lib.proc import wait_until


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
    assert all(entry.part.startswith(f"{cluster.topic}#1/") for entry in entries_of(cluster, user)), "the coordinate stays"


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


def renew_topic(cluster, before, after, end=None, between=lambda: None):
    """Events in the old topic, another number of them in the new one: all are in the log once, and the old ones keep
    their coordinates."""
    user = cluster.user()
    [router] = cluster.routers
    cluster.produce(user, *[task(user, n) for n in range(before)], partition=0)
    cluster.wait_log(user, before)
    if end:
        end()
    with admin_of(cluster.kafka) as admin:
        admin.recreate_topic(cluster.topic, 12, between)
    cluster.produce(user, *[task(user, n) for n in range(1000, 1000 + after)], partition=0)
    if end:
        router.start()
    wait_until(lambda: numbers_in_log(cluster, user)[-1:] == [999 + after], 60, "the new topic's events", every=0.2)
    assert numbers_in_log(cluster, user) == [*range(before), *range(1000, 1000 + after)]
    entries = entries_of(cluster, user)
    assert_in_order(entries)
    assert {entry.part for entry in entries} == {f"{cluster.topic}#1/0", f"{cluster.topic}#2/0"}
    assert router.metric("tidegate_router_generations_total") >= 1


def test_a_shorter_topic_made_while_the_router_was_away(new_cluster):
    cluster = new_cluster(gateways=1, routers=1)
    renew_topic(cluster, 20, 5, end=cluster.routers[0].stop)


def test_a_longer_topic_made_while_the_router_was_away(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, router={"START": "latest"})
    renew_topic(cluster, 5, 20, end=cluster.routers[0].stop)


def test_a_longer_topic_made_after_the_router_was_killed(new_cluster):
    """It had committed nothing since its first record."""
    cluster = new_cluster(gateways=1, routers=1, router={"COMMIT_INTERVAL": "5m"})

    def kill():
        client = cluster.redis_client()
        copy = "HGET", f"tg:{{{tags()[0]}}}:commits", f"{cluster.topic}/0"
        wait_until(lambda: client(*copy).startswith(b"5 tg1 1 "), 10, "the copy of a position")
        client.close()
        cluster.routers[0].kill()

    renew_topic(cluster, 5, 20, end=kill)


def test_a_shorter_topic_made_while_the_router_runs(new_cluster):
    renew_topic(new_cluster(gateways=1, routers=1), 20, 5)


def test_a_longer_topic_made_while_the_router_runs(new_cluster):
    renew_topic(new_cluster(gateways=1, routers=1), 5, 20)


def test_a_longer_topic_made_while_the_router_misses_it(new_cluster):
    cluster = new_cluster(gateways=1, routers=1)
    [router] = cluster.routers
    renew_topic(cluster, 5, 20, between=lambda: wait_until(lambda: router.metric("tidegate_router_partitions") == 0, 30,
                                                           "the partitions are gone"))


# ---- brokers ----

@contextlib.contextmanager
def own_broker(folder):
    broker = Broker(folder).start()
    try:
        yield broker
    finally:
        broker.stop()


def test_a_broker_killed_under_load(new_cluster, folder):
    with own_broker(folder) as broker:
        cluster = new_cluster(gateways=1, kafka=broker)
        users = [cluster.user() for _ in range(10)]
        for n in stream(cluster, users, 600, 12):
            if n == 200:
                broker.nodes[0].kill()
            if n == 300:
                broker.nodes[0].start()
        assert_logs(cluster, users, list(range(600)))
        assert all(router.metric("tidegate_router_generations_total") == 0 for router in cluster.routers)


def test_a_broker_asleep_under_load(new_cluster, folder):
    with own_broker(folder) as broker:
        cluster = new_cluster(gateways=1, kafka=broker)
        users = [cluster.user() for _ in range(10)]
        for n in stream(cluster, users, 600, 18):
            if n == 150:
                broker.nodes[0].signal(signal.SIGSTOP)
            if n == 484:  # ten seconds later
                broker.nodes[0].signal(signal.SIGCONT)
        assert_logs(cluster, users, list(range(600)))
        assert all(router.metric("tidegate_router_generations_total") == 0 for router in cluster.routers)


# ---- groups ----

def lag_partitions(router):
    """The partitions of which a router tells the lag."""
    samples = metrics.parse(router.get("/metrics").body.decode())
    return {int(labels["partition"]) for name, labels, _ in samples if name == "tidegate_router_lag_records"}


def shared_out(routers, count=12):
    """Each partition's lag is told by exactly one of these, and each of them has some."""
    found = [lag_partitions(router) for router in routers]
    return all(found) and sorted(p for partitions in found for p in partitions) == list(range(count))


def test_lag_is_told_by_who_has_the_partition(new_cluster):
    cluster = new_cluster(gateways=1)
    first, second = cluster.routers
    wait_until(lambda: shared_out([first, second]), 30, "partitions for both", every=0.2)
    assert second.stop() == 0
    wait_until(lambda: shared_out([first]), 30, "all partitions for one", every=0.2)
    second.start()
    wait_until(lambda: shared_out([first, second]), 30, "partitions for both again", every=0.2)
    first.proc.signal(signal.SIGSTOP)
    wait_until(lambda: shared_out([second]), 30, "partitions of a router that sleeps", every=0.2)
    first.proc.signal(signal.SIGCONT)
    wait_until(lambda: shared_out([first, second]), 30, "a router that awoke drops what it lost", every=0.2)


def test_three_routers_come_and_go(new_cluster):
    cluster = new_cluster(gateways=1, routers=3)
    users = [cluster.user() for _ in range(10)]
    one, two, three = cluster.routers
    steps = {60: one.kill, 100: lambda: one.start(wait=False), 160: two.stop, 200: lambda: two.start(wait=False),
             250: lambda: three.proc.signal(signal.SIGSTOP), 300: one.stop, 330: lambda: one.start(wait=False),
             520: lambda: three.proc.signal(signal.SIGCONT), 600: three.kill, 640: two.kill,
             660: lambda: two.start(wait=False), 680: lambda: three.start(wait=False)}
    for n in stream(cluster, users, 800, 32):
        steps.get(n, lambda: None)()
    assert_logs(cluster, users, list(range(800)))


test_three_routers_come_and_go.seconds = 240


def test_partitions_that_wait_for_redis(new_cluster):
    """The group has its answer meanwhile, and rebalances. They are then fetched from offsets: a question for the end of a log
    may be answered late, and librdkafka would go on there."""
    cluster = new_cluster(gateways=1, routers=3, start=False,
                          router={"START": "earliest", "KAFKA_CONFIG_DEBUG": "topic,cgrp", "LOG_LEVEL": "debug"})
    first, second, third = cluster.routers
    user = cluster.user()
    cluster.kafka.create_topic(cluster.topic)

    def waits(router, times=1):
        said = [record for record in router.log_records() if record["event"] == "partitions_wait"]
        return len(said) >= times

    first.start(wait=False)
    wait_until(lambda: waits(first), 30, "the first has answered")
    second.start(wait=False)
    third.start(wait=False)
    wait_until(lambda: waits(second) and waits(third), 60, "the group has three members")
    third.kill()
    cluster.produce(user, *[task(user, n) for n in range(50)], partition=3)
    cluster.redis.start()
    cluster.gateways[0].start()
    for router in (first, second):
        router.wait_ready()
    assert_logs(cluster, [user], list(range(50)))
    wait_until(lambda: shared_out([first, second]), 60, "the two have all partitions", every=0.2)
    starts = re.findall(r"Start fetch for .*? at offset (\S+)", first.proc.log() + second.proc.log())
    assert starts and all(offset.isdigit() for offset in starts), starts


def test_a_static_member_is_missed_by_nobody(new_cluster):
    """A restart within the session timeout moves no partitions."""
    cluster = new_cluster(gateways=1, start=False, router={"STATIC_MEMBERSHIP": "1", "KAFKA_SESSION_TIMEOUT": "30s"})
    for i, router in enumerate(cluster.routers):
        router.env["HOSTNAME"] = f"router-{i}"
    cluster.start()
    users = [cluster.user() for _ in range(8)]
    first, second = cluster.routers
    wait_until(lambda: shared_out([first, second]), 60, "partitions for both", every=0.2)
    had, rebalances = lag_partitions(first), second.metric("tidegate_router_rebalances_total")
    for n in stream(cluster, users, 300, 10):
        if n == 80:
            assert first.stop() == 0
        if n == 120:
            first.start(wait=False)
        if n == 200:
            first.kill()
        if n == 220:
            first.start(wait=False)
    assert_logs(cluster, users, list(range(300)))
    wait_until(lambda: shared_out([first, second]), 30, "the same partitions as before", every=0.2)
    assert lag_partitions(first) == had
    assert second.metric("tidegate_router_rebalances_total") == rebalances


test_a_static_member_is_missed_by_nobody.seconds = 180


def test_a_topic_grows(new_cluster):
    """The first records of a new partition arrive, whether routers run or not, and however long nobody notices it."""
    cluster = new_cluster(gateways=1, start=False, router={"START": "latest"})
    with admin_of(cluster.kafka) as admin:
        admin.create_topic(cluster.topic, 2)
        cluster.start()
        user = cluster.user()
        cluster.produce(user, task(user, 0), partition=0)
        cluster.wait_log(user, 1)
        admin.grow_topic(cluster.topic, 4)
        cluster.produce(user, task(user, 1), task(user, 2), partition=2)
        cluster.produce(user, task(user, 3), partition=3)
        cluster.wait_log(user, 4)
        for router in cluster.routers:
            assert router.stop() == 0
        admin.grow_topic(cluster.topic, 6)
        cluster.produce(user, task(user, 4), task(user, 5), partition=5)
        cluster.routers[0].start()
        cluster.produce(user, task(user, 6), partition=4)
        cluster.wait_log(user, 7)
    assert sorted(numbers_in_log(cluster, user)) == list(range(7))
    assert_in_order(entries_of(cluster, user))


def test_a_log_with_holes(new_cluster):
    """The mark of a transaction takes an offset and is no record: the next one does not follow, which is believed once it
    came twice; later only behind a new place."""
    cluster = new_cluster(gateways=1, routers=1)
    [router] = cluster.routers
    user = cluster.user()
    client = cluster.connect(user)

    def produce(*numbers, **more):
        cluster.kafka.produce(cluster.topic, [(str(user), task(user, n)) for n in numbers], 0, **more)

    def transact(*numbers):
        produce(*numbers, options=("-X", "transactional.id=holes"))

    transact(0, 1)
    cluster.wait_log(user, 2)
    transact(3, 4)
    transact(6, 7)
    cluster.wait_log(user, 6)
    assert router.stop() == 0
    transact(9, 10)
    produce(12)
    router.start()
    assert [message["task_id"] for message in client.tasks(9)] == [0, 1, 3, 4, 6, 7, 9, 10, 12]
    entries = entries_of(cluster, user)
    assert [entry.number for entry in entries] == [entry.offset for entry in entries], "each number is its own offset"
    assert_in_order(entries)
    leaps = [(record["from"], record["to"]) for record in router.log_records() if record["event"] == "partition_leapt"]
    assert leaps == [(2, 3), (8, 9)], leaps


def test_a_group_with_commits_of_another_service(new_cluster):
    """It is taken over where it stands: nothing before is applied, and its topic is no other one."""
    cluster = new_cluster(gateways=1, routers=1, start=False, router={"START": "earliest"})
    [router] = cluster.routers
    user = cluster.user()
    cluster.kafka.create_topic(cluster.topic)
    cluster.produce(user, *[task(user, n) for n in range(10)], partition=0)
    cluster.kafka.kcat("-G", f"tidegate-{cluster.number}", "-c", "4", "-X", "auto.offset.reset=earliest", cluster.topic)
    cluster.start()
    assert_logs(cluster, [user], list(range(4, 10)))
    assert router.stop() == 0
    cluster.produce(user, task(user, 10), partition=0)
    router.start()
    assert_logs(cluster, [user], list(range(4, 11)))
    assert [entry.part for entry in entries_of(cluster, user)] == [f"{cluster.topic}#1/0"] * 7
    assert sum(record["event"] == "commit_of_another_service" for record in router.log_records()) == 1


def test_topics_that_are_not_there_cast_no_doubt(new_cluster):
    """Routes may name topics that nobody has made yet."""
    cluster = new_cluster(gateways=1, routers=1, router={"PROFILE": "survey", "KAFKA_GROUP_ID": None})
    [router] = cluster.routers
    user = cluster.user()
    cluster.produce(user, *[task(user, n) for n in range(5)], partition=0)
    cluster.wait_log(user, 5)
    time.sleep(7)  # its metadata is asked for every two seconds
    assert not [record for record in router.log_records() if record["event"] == "topics_doubted"]


def test_a_topic_made_by_its_first_record(new_cluster):
    """Routers that found no topic at all are ready, and say so; what is then produced first arrives, wherever START is."""
    topic = f"later-{time.time_ns()}"
    cluster = new_cluster(gateways=1, router={"DAPR_TOPIC": topic, "START": "latest"})
    for router in cluster.routers:
        wait_until(lambda: [r for r in router.log_records() if r["event"] == "topic_missing" and r["topic"] == topic], 10, "a word")
        assert router.metric("tidegate_router_kafka_up") == 1
    cluster.wait_metric("tidegate_gateway_routers_silent", 0, programs=cluster.gateways)
    user = cluster.user()
    client = cluster.connect(user)
    for router in cluster.routers:
        router.proc.signal(signal.SIGSTOP)  # so that the records are there before anybody knows of the topic
    cluster.kafka.produce(topic, [(str(user), task(user, n)) for n in range(5)])
    for router in cluster.routers:
        router.proc.signal(signal.SIGCONT)
    assert [message["task_id"] for message in client.tasks(5)] == list(range(5))

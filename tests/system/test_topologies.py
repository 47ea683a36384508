"""Every way in which Redis is run: events of each user arrive in order, none is missing, whatever the servers do."""

import signal
import time

from lib.cluster import task
from lib.proc import wait_until
from lib.topologies import RedisCluster, Sentinels, Several

USERS = 12


def numbers(messages):
    return [message["task_id"] for message in messages]


def stream(cluster, users, events, seconds):
    """Sends events of all users, interleaved, spread over some seconds; returns when Kafka has acknowledged them."""
    producer = cluster.kafka.producer(cluster.topic)
    started = time.monotonic()
    for n in range(events):
        for user in users:
            producer.send(user, task(user, n))
        behind = started + seconds * (n + 1) / events - time.monotonic()
        yield n
        if behind > 0:
            time.sleep(behind)
    producer.close()


def connect_all(cluster):
    """Users and a device of each, over both gateways."""
    users = [cluster.user() for _ in range(USERS)]
    return users, {user: cluster.connect(user, i % len(cluster.gateways)) for i, user in enumerate(users)}


def unique(device, count, seconds):
    """The first `count` different task numbers of a device; a repeat is what its key is there to drop."""
    seen, keys, deadline = [], set(), time.monotonic() + seconds
    while len(seen) < count:
        message = device.recv(max(0.01, deadline - time.monotonic()))
        if message.get("type") == "task_update" and message["key"] not in keys:
            keys.add(message["key"])
            seen.append(message["task_id"])
    return seen


def check_all(cluster, devices, events, seconds=60):
    for user in devices:
        cluster.wait_log(user, events, seconds)
    for user, device in devices.items():
        got = unique(device, events, seconds)
        assert got == list(range(events)), f"{user}: {first_fault(got)}"
        assert cluster.log_length(user) == events, user


def first_fault(got):
    for i, n in enumerate(got):
        if n != i:
            return f"event {n} where {i} was due; {got[max(0, i - 3):i + 5]}"
    return "too few"


def deliver(cluster, events=200, seconds=2):
    _, devices = connect_all(cluster)
    for _ in stream(cluster, list(devices), events, seconds):
        pass
    check_all(cluster, devices, events)


def test_sentinel_delivers(new_cluster):
    deliver(new_cluster(redis=Sentinels))


def test_cluster_delivers(new_cluster):
    deliver(new_cluster(redis=RedisCluster))


def test_several_nodes_deliver(new_cluster):
    cluster = new_cluster(redis=Several)
    deliver(cluster)
    for port in cluster.redis.masters():
        client = cluster.redis.client(port)
        assert client("KEYS", "tg:{*}:l:*"), "a node without a log: all went to the others"
        client.close()


def during_stream(cluster, what, events=400, seconds=6, at=100, more=()):
    """Runs what() in the middle of a stream of all users, and checks that everything arrives."""
    _, devices = connect_all(cluster)
    for n in stream(cluster, list(devices), events, seconds):
        if n == at:
            what()
    check_all(cluster, devices, events, 90)
    for program in cluster.programs:
        program.wait_ready()


def test_sentinel_failover(new_cluster):
    cluster = new_cluster(redis=Sentinels)
    during_stream(cluster, cluster.redis.kill_master)


test_sentinel_failover.seconds = 200


def test_cluster_failover(new_cluster):
    cluster = new_cluster(redis=lambda folder: RedisCluster(folder, replicas=1))
    during_stream(cluster, cluster.redis.kill_master)


test_cluster_failover.seconds = 200


def test_slots_that_move_under_load(new_cluster):
    cluster = new_cluster(redis=RedisCluster)
    first, second, _ = sorted(cluster.redis.masters())
    def there_and_back():
        cluster.redis.move(first, second, 5000)
        cluster.redis.move(second, first, 5000)
    during_stream(cluster, there_and_back, events=600, seconds=10)


test_slots_that_move_under_load.seconds = 200


def test_one_of_several_nodes_stopped_for_a_while(new_cluster):
    cluster = new_cluster(redis=Several)
    def stop_one():
        proc = cluster.redis.nodes[1].proc
        proc.signal(signal.SIGSTOP)
        time.sleep(10)
        proc.signal(signal.SIGCONT)
    during_stream(cluster, stop_one)


test_one_of_several_nodes_stopped_for_a_while.seconds = 200

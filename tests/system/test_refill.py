"""What Redis loses is refilled from Kafka: live events go on at once, and the second logs hold what came before, each event
once and in order, whoever dies meanwhile."""

import shutil
import time
import zlib

from lib import logs
from lib.cluster import task
from lib.functions import log, marker
from lib.kafka import Broker
from lib.kafka_admin import Admin
from lib.proc import wait_until
from lib.redis import Redis, RedisClient
from lib.tools import Unavailable
from lib.topologies import RedisCluster, Several

# So that the loss itself is all that is published again, and where live events go on does not depend on the clock.
AT_ONCE = {"LIVE_OVERLAP": "0", "WATERMARK_INTERVAL": "500ms"}
LONG = {**AT_ONCE, "USER_HISTORY_LENGTH": "100000"}


def produce(cluster, users, numbers, **more):
    cluster.kafka.produce(cluster.topic, [(user, task(user, n, **more)) for n in numbers for user in users])


def wait_whole(cluster, seconds=60):
    client = logs.Everywhere(cluster)
    wait_until(lambda: logs.is_whole(client), seconds, "the history is whole", every=0.2)
    client.close()


def wait_live(cluster, user, number, seconds=30):
    """Until the user's live log ends with this number."""
    client = logs.Everywhere(cluster)

    def arrived():
        entries = logs.live(client, cluster.topic, f"u:{user}")
        return entries and entries[-1].number == number
    wait_until(arrived, seconds, f"event {number} of {user}", every=0.1)
    client.close()


def assert_history(cluster, users, expected, apart=True):
    """Live log and second log of each user hold these numbers together, none is missing, each log is in order, and (if
    apart) none is in both."""
    client = logs.Everywhere(cluster)
    for user in users:
        old = logs.second(client, cluster.topic, f"u:{user}")
        new = logs.live(client, cluster.topic, f"u:{user}")
        logs.assert_in_order(old, f"second log of {user}")
        logs.assert_in_order(new, f"live log of {user}")
        both = {entry.number for entry in old} | {entry.number for entry in new}
        assert both == set(expected), (user, sorted(set(expected) ^ both)[:5], len(old), len(new))
        assert not apart or not {entry.offset for entry in old} & {entry.offset for entry in new}, "in both logs"
    client.close()


def second_lengths(cluster, users):
    client = logs.Everywhere(cluster)
    found = [len(logs.second(client, cluster.topic, f"u:{user}")) for user in users]
    client.close()
    return found


def flushall(cluster):
    client = logs.Everywhere(cluster)
    client("FLUSHALL")
    client.close()


def applied(cluster, users, count):
    """Everything produced so far is in the logs, and what was appended is committed or will be found again."""
    for user in users:
        cluster.wait_log(user, count)


def wait_vouched(cluster, count):
    """Until all markers vouch for so many records: what is lost of one bucket is not published again for the others'
    sake."""
    client = logs.Everywhere(cluster)

    def vouched(fields):
        return sum(int(value) for name, value in fields.items() if name.startswith(cluster.topic)) >= count
    wait_until(lambda: all(map(vouched, logs.markers(client).values())), 30, "watermarks", every=0.2)
    client.close()


def events_named(router, name):
    return [record for record in router.log_records() if record["event"] == name]


def one_in_each_partition(cluster, partitions=12):
    """Users whose records fall into all partitions, by the hash of a key that librdkafka takes: every router has some."""
    found = {}
    while len(found) < partitions:
        user = cluster.user()
        found.setdefault(zlib.crc32(user.encode()) % partitions, user)
    return list(found.values())


def test_flushall_in_mid_stream(new_cluster):
    cluster = new_cluster(router=AT_ONCE)
    users = one_in_each_partition(cluster)
    devices = [(cluster.connect(user, gateway), user) for user in users for gateway in (0, 1)]
    produce(cluster, users, range(200))
    applied(cluster, users, 200)
    for device, _ in devices:
        device.tasks(200)
    flushall(cluster)
    produce(cluster, users, range(200, 300))
    for device, user in devices:
        assert [message["task_id"] for message in device.tasks(100, 30)] == list(range(200, 300)), user
    wait_whole(cluster)
    for device, _ in devices:
        device.quiet(0.1)
    assert_history(cluster, users, range(300))
    assert second_lengths(cluster, users) == [200] * len(users)
    assert sum(router.metric("tidegate_router_refill_appends_total") for router in cluster.routers) == 200 * len(users)
    for router in cluster.routers:
        assert router.metric("tidegate_router_refilling_buckets") == 0 and router.ready()
        assert events_named(router, "refill_begun") and events_named(router, "refill_done")


def test_what_may_not_have_been_heard_is_published_again(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, router={"LIVE_OVERLAP": "10m"})
    user = cluster.user()
    device = cluster.connect(user)
    produce(cluster, [user], range(50))
    device.tasks(50)
    flushall(cluster)
    produce(cluster, [user], range(50, 60))
    assert [message["task_id"] for message in device.tasks(10, 30)] == list(range(50, 60)), "a repeat was delivered"
    wait_whole(cluster)
    wait_live(cluster, user, 59)
    client = cluster.redis_client()
    assert [entry.number for entry in logs.live(client, cluster.topic, f"u:{user}")] == list(range(60))
    assert logs.second(client, cluster.topic, f"u:{user}") == []
    client.close()


def test_a_router_that_comes_after_a_loss_publishes_it_again_too(new_cluster):
    """It finds no markers, or markers that another router made, and knows from the commits where it stood before."""
    for others in (0, 1):
        cluster = new_cluster(gateways=1, routers=1 + others, router={"LIVE_OVERLAP": "10m"})
        users = one_in_each_partition(cluster)
        devices = [(cluster.connect(user), user) for user in users]
        produce(cluster, users, range(50))
        for device, _ in devices:
            device.tasks(50)
        assert cluster.routers[0].stop() == 0
        flushall(cluster)
        cluster.routers[0].start()
        produce(cluster, users, range(50, 60))
        for device, user in devices:
            assert [message["task_id"] for message in device.tasks(10, 60)] == list(range(50, 60)), user
        wait_whole(cluster)
        client = cluster.redis_client()
        for user in users:
            wait_live(cluster, user, 59)
            assert [entry.number for entry in logs.live(client, cluster.topic, f"u:{user}")] == list(range(60)), user
            assert logs.second(client, cluster.topic, f"u:{user}") == []
        client.close()
        cluster.stop()


def test_redis_started_again_empty(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    users = [cluster.user() for _ in range(4)]
    produce(cluster, users, range(300))
    applied(cluster, users, 300)
    cluster.redis.kill()
    shutil.rmtree(cluster.folder / "redis")
    (cluster.folder / "redis").mkdir()
    produce(cluster, users, range(300, 400))
    cluster.redis.start()
    for user in users:
        wait_live(cluster, user, 399)
    wait_whole(cluster)
    assert_history(cluster, users, range(400))


def test_one_marker_deleted(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    users = [cluster.user() for _ in range(6)]
    produce(cluster, users, range(200))
    applied(cluster, users, 200)
    wait_vouched(cluster, 200 * len(users))
    client = cluster.redis_client()
    client("DEL", marker(f"u:{users[0]}"))
    produce(cluster, users, range(200, 250))
    wait_whole(cluster)
    assert client("HGET", marker(f"u:{users[0]}"), "since") != b"0"
    assert client("HGET", marker(f"u:{users[1]}"), "since") == b"0"
    applied(cluster, users, 250)
    assert_history(cluster, users, range(250), apart=False)
    assert second_lengths(cluster, users) == [200, 0, 0, 0, 0, 0], "the live log was not lost, but nobody knows"
    client.close()


def test_a_bucket_deleted(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    users = [cluster.user() for _ in range(3)]
    produce(cluster, users, range(200))
    applied(cluster, users, 200)
    wait_vouched(cluster, 200 * len(users))
    client = cluster.redis_client()
    client("DEL", *client("KEYS", marker(f"u:{users[0]}")[:-1] + "*"))
    produce(cluster, users, range(200, 250))
    wait_live(cluster, users[0], 249)
    wait_whole(cluster)
    applied(cluster, users[1:], 250)
    assert_history(cluster, users, range(250))
    assert second_lengths(cluster, users) == [200, 0, 0]
    client.close()


def refilled(cluster):
    """Records that living routers have read again."""
    return sum(router.metric("tidegate_router_refill_records_total") or 0 for router in cluster.routers
               if router.proc.alive())


def test_a_router_killed_in_the_middle_of_a_refill(new_cluster):
    cluster = new_cluster(gateways=1, router=LONG)
    users = [cluster.user() for _ in range(20)]
    produce(cluster, users, range(1000), note="x" * 200)
    applied(cluster, users, 1000)
    flushall(cluster)
    wait_until(lambda: refilled(cluster) > 1000, 30, "the refill has begun", every=0.02)
    cluster.routers[0].kill()
    client = logs.Everywhere(cluster)
    assert not logs.is_whole(client), "it was done before anybody could be killed"
    client.close()
    produce(cluster, users, range(1000, 1010))
    for user in users:
        wait_live(cluster, user, 1009)
    wait_whole(cluster, 90)
    assert_history(cluster, users, range(1010))
    assert second_lengths(cluster, users) == [1000] * len(users)


test_a_router_killed_in_the_middle_of_a_refill.seconds = 240


def test_rebalances_in_the_middle_of_a_refill(new_cluster):
    cluster = new_cluster(gateways=1, router=LONG, start=False)
    users = [cluster.user() for _ in range(20)]
    first, second = cluster.routers
    cluster.redis.start()
    cluster.kafka.create_topic(cluster.topic)
    first.start()
    produce(cluster, users, range(1000), note="x" * 200)
    applied(cluster, users, 1000)
    flushall(cluster)
    wait_until(lambda: refilled(cluster) > 500, 30, "the refill has begun", every=0.02)
    second.start()
    assert first.stop() == 0
    wait_whole(cluster, 90)
    produce(cluster, users, range(1000, 1001))
    for user in users:
        wait_live(cluster, user, 1000)
    assert_history(cluster, users, range(1001))
    assert second_lengths(cluster, users) == [1000] * len(users)


def test_flushall_in_the_middle_of_a_refill(new_cluster):
    cluster = new_cluster(gateways=1, router=LONG)
    users = [cluster.user() for _ in range(20)]
    produce(cluster, users, range(500), note="x" * 200)
    applied(cluster, users, 500)
    for times in range(1, 4):
        flushall(cluster)
        wait_until(lambda times=times: refilled(cluster) > 500 * times, 30, "the refill has begun", every=0.02)
    produce(cluster, users, range(500, 550))
    for user in users:
        wait_live(cluster, user, 549)
    wait_whole(cluster)
    assert_history(cluster, users, range(550))


def older_copy(cluster):
    """A replica's data as they are now, for a server that takes the place of the cluster's."""
    replica = Redis(cluster.folder / "replica", options=("--repl-diskless-sync-delay", "0")).start()
    client = RedisClient(replica.port)
    client("REPLICAOF", "127.0.0.1", cluster.redis.port)
    wait_until(lambda: b"master_link_status:up" in client("INFO", "replication"), 20, "replication")
    client("REPLICAOF", "NO", "ONE")
    wait_until(lambda: b"aof_rewrite_in_progress:0" in client("INFO", "persistence")
               and b"aof_rewrite_scheduled:0" in client("INFO", "persistence"), 20, "its file is written")
    client.close()
    replica.stop()
    return cluster.folder / "replica" / "redis"


def swap(cluster, copy):
    """The server is gone, and another one at its address has what `copy` holds."""
    cluster.redis.kill()
    shutil.rmtree(cluster.folder / "redis")
    shutil.copytree(copy, cluster.folder / "redis")
    cluster.redis.start()


def test_failover_to_an_older_copy(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    users = [cluster.user() for _ in range(6)]
    produce(cluster, users, range(200))
    applied(cluster, users, 200)
    copy = older_copy(cluster)
    produce(cluster, users, range(200, 400))
    applied(cluster, users, 400)
    swap(cluster, copy)
    produce(cluster, users, range(400, 450))
    for user in users:
        wait_live(cluster, user, 449)
    applied(cluster, users, 450)
    assert_history(cluster, users, range(450))
    assert second_lengths(cluster, users) == [0] * len(users), "the markers survived: there was nothing to refill"


def test_an_older_copy_from_the_middle_of_a_refill(new_cluster):
    cluster = new_cluster(gateways=1, router=LONG)
    users = [cluster.user() for _ in range(20)]
    produce(cluster, users, range(1000), note="x" * 200)
    applied(cluster, users, 1000)
    flushall(cluster)
    wait_until(lambda: refilled(cluster) > 1000, 30, "the refill has begun", every=0.02)
    copy = older_copy(cluster)
    wait_whole(cluster)
    produce(cluster, users, range(1000, 1020))
    for user in users:
        wait_live(cluster, user, 1019)
    swap(cluster, copy)
    for user in users:
        wait_live(cluster, user, 1019)
    wait_whole(cluster)
    assert_history(cluster, users, range(1020))
    assert second_lengths(cluster, users) == [1000] * len(users)


def test_the_last_second_of_the_append_only_file(new_cluster):
    """Writes that were answered, and are not on disk when the power goes."""
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    users = [cluster.user() for _ in range(6)]
    produce(cluster, users, range(200))
    applied(cluster, users, 200)
    produce(cluster, users, range(200, 300))
    applied(cluster, users, 300)
    cluster.redis.kill()
    [file] = (cluster.folder / "redis" / "appendonlydir").glob("*.incr.aof")
    whole = file.stat().st_size
    with open(file, "r+b") as f:
        f.truncate(whole * 3 // 4)
    cluster.redis.start()
    produce(cluster, users, range(300, 350))
    for user in users:
        wait_live(cluster, user, 349)
    wait_whole(cluster)
    assert_history(cluster, users, range(350))


def test_what_is_older_than_the_retention_and_what_is_no_event(new_cluster):
    cluster = new_cluster(gateways=1, router={**AT_ONCE, "USER_HISTORY_RETENTION": "20s",
                                              "ROOM_HISTORY_RETENTION": "20s", "GLOBAL_HISTORY_RETENTION": "20s"})
    user = cluster.user()
    produce(cluster, [user], range(10))
    applied(cluster, [user], 10)
    time.sleep(21)  # they grow old
    cluster.kafka.produce(cluster.topic, [(user, "{no event}")])
    produce(cluster, [user], range(10, 20))
    wait_live(cluster, user, 19)
    wait_until(lambda: cluster.kafka.consume(cluster.topic + ".dlq"), 20, "the dead letter", every=0.5)
    flushall(cluster)
    wait_whole(cluster)
    client = cluster.redis_client()
    assert [entry.number for entry in logs.second(client, cluster.topic, f"u:{user}")] == list(range(10, 20))
    assert len(cluster.kafka.consume(cluster.topic + ".dlq")) == 1, "a dead letter was written once more"
    client.close()


def test_what_kafka_has_deleted_is_said(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    if not isinstance(cluster.kafka, Broker):
        raise Unavailable("embedded Kafka deletes no records")
    user = cluster.user()
    produce(cluster, [user], range(50))
    applied(cluster, [user], 50)
    time.sleep(0.01)  # another millisecond
    produce(cluster, [user], range(50, 100))
    applied(cluster, [user], 100)
    records = cluster.kafka.consume(cluster.topic)
    first = min((record for record in records if record["offset"] == 50), key=lambda record: record["ts"])
    admin = Admin(cluster.kafka.brokers)
    admin.delete_records(cluster.topic, {first["partition"]: 50})
    admin.close()
    flushall(cluster)
    wait_whole(cluster)
    client = cluster.redis_client()
    assert [entry.number for entry in logs.second(client, cluster.topic, f"u:{user}")] == list(range(50, 100))
    assert {fields.get("from") for fields in logs.markers(client).values()} == {str(first["ts"])}
    client.close()


def test_a_bound_that_nobody_can_reach_is_written_off(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, router=AT_ONCE)
    user = cluster.user()
    produce(cluster, [user], range(10))
    applied(cluster, [user], 10)
    client = cluster.redis_client()
    name = marker(f"u:{user}")
    client("HSET", name, "epoch", 5, f"r:{cluster.topic}#9/0", "?", f"r:{cluster.topic}#9/1", 70, "refilling", 2)
    wait_until(lambda: logs.is_whole(client), 30, "what is of another generation is written off", every=0.2)
    assert client("HGET", name, "refilling") == b"0"
    client.close()


def test_one_of_several_nodes_wiped(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE, redis=Several)
    users = [cluster.user() for _ in range(12)]
    produce(cluster, users, range(100))
    applied(cluster, users, 100)
    wait_vouched(cluster, 100 * len(users))
    wiped = RedisClient(cluster.redis.nodes[1].port)
    gone = [user for user in users if wiped("EXISTS", log(f"u:{user}"))]
    assert 0 < len(gone) < len(users)
    wiped("FLUSHALL")
    wiped.close()
    produce(cluster, users, range(100, 150))
    for user in users:
        wait_live(cluster, user, 149)
    wait_whole(cluster)
    assert_history(cluster, users, range(150))
    assert second_lengths(cluster, users) == [100 * (user in gone) for user in users], "a node that lost nothing was refilled"


def test_slots_that_move_in_the_middle_of_a_refill(new_cluster):
    cluster = new_cluster(gateways=1, router=LONG, redis=RedisCluster)
    users = [cluster.user() for _ in range(20)]
    produce(cluster, users, range(1000), note="x" * 200)
    applied(cluster, users, 1000)
    flushall(cluster)
    wait_until(lambda: refilled(cluster) > 1000, 30, "the refill has begun", every=0.02)
    first, second, _ = sorted(cluster.redis.masters())
    cluster.redis.move(first, second, 500)
    client = logs.Everywhere(cluster)
    assert not logs.is_whole(client), "it was done before anything had moved"
    client.close()
    produce(cluster, users, range(1000, 1020))
    for user in users:
        wait_live(cluster, user, 1019)
    wait_whole(cluster, 90)
    assert_history(cluster, users, range(1020))


test_slots_that_move_in_the_middle_of_a_refill.seconds = 240


def test_a_client_that_was_away_when_redis_lost_all(new_cluster):
    cluster = new_cluster(gateways=1, router=AT_ONCE)
    user = cluster.user()
    client = cluster.connect(user)
    produce(cluster, [user], range(50))
    position = client.tasks(50)[-1]["id"]
    cluster.drop_clients()
    produce(cluster, [user], range(50, 100))
    applied(cluster, [user], 100)
    flushall(cluster)
    produce(cluster, [user], range(100, 120))
    wait_live(cluster, user, 119)
    client = cluster.connect(user, query=f"&last_id={position}", welcome=False)
    hello = client.recv(60)
    assert hello["type"] == "connected" and hello["recovered"], hello
    seen, got = set(), []
    for message in client.tasks(hello["replay"], 60):
        if message["key"] not in seen:
            got.append(message["task_id"])
        seen.add(message["key"])
    assert got == list(range(got[0], 120)) and got[0] <= 50, got

"""Clients that come back to the whole of it: Kafka, routers, gateways that die, a Redis that loses all, several nodes."""

import contextlib
import time

from websockets.exceptions import ConnectionClosed

from lib.alone import event
from lib.cluster import task
from lib.functions import Sender, marker
from lib.logs import stream
from lib.proc import wait_until
from lib.redis import RedisClient
from lib.topologies import RedisCluster, Several
from lib.wire import RawSocket


def resume(cluster, user, last_id, gateway=0):
    """A client of the whole cluster that names where it stood, and its hello."""
    client = cluster.connect(user, gateway, welcome=False, query=f"&last_id={last_id}")
    return client, client.welcome()


def rest(client):
    """What still comes before a connection ends."""
    got = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = client.recv(20)
            if message["type"] == "task_update":
                got.append(message)
    return got


def test_from_kafka_over_a_gateway_that_is_killed(new_cluster):
    """A user's device that loses its gateway in mid-stream, again and again: every event, in order, once by its key."""
    cluster = new_cluster()
    user, total, gateway = cluster.user(), 600, 0
    cluster.produce(user, task(user, 0))
    client, _ = resume(cluster, user, "0")
    got = client.tasks(1)
    producer = cluster.kafka.producer(cluster.topic)
    for n in range(1, total):
        producer.send(user, task(user, n))
        if n % 150 == 0:
            cluster.gateways[gateway].kill()
            got += rest(client)
            cluster.gateways[gateway].start(wait=False)
            gateway = 1 - gateway
            cluster.gateways[gateway].wait_ready()
            client, hello = resume(cluster, user, got[-1]["id"], gateway)
            assert hello["recovered"], hello
    producer.close()
    while got[-1]["task_id"] != total - 1:
        got += client.tasks(1, 60)
    for one in cluster.gateways:
        one.wait_ready()
    seen = set()
    got = [m["task_id"] for m in got if m["key"] not in seen and not seen.add(m["key"])]
    assert got == list(range(total)), got


def in_order(messages, known=()):
    """Task numbers, without those whose key came before."""
    seen = {m["key"] for m in known}
    return [m["task_id"] for m in messages if m["key"] not in seen and not seen.add(m["key"])]


def take_until(client, number, seconds=60):
    got = client.tasks(1, seconds)
    while got[-1]["task_id"] != number:
        got += client.tasks(1, seconds)
    return got


def test_away_while_redis_was_wiped(new_cluster):
    """What was there before, what came before routers noticed, and what came after: all of it, in order."""
    cluster = new_cluster()
    user = cluster.user()
    connected = cluster.connect(user, 1)
    client = cluster.connect(user)
    cluster.produce(user, *[task(user, n) for n in range(50)])
    had = client.tasks(50)
    wait_until(lambda: client_position(cluster, user) > had[-1]["id"], 10, "a beat was heard")
    client.close()
    cluster.produce(user, *[task(user, n) for n in range(50, 100)])
    before = connected.tasks(100)
    cluster.redis_client()("FLUSHALL")
    cluster.produce(user, *[task(user, n) for n in range(100, 150)])
    assert [m["task_id"] for m in before + connected.tasks(50, 60)] == list(range(150))
    client, hello = resume(cluster, user, had[-1]["id"])
    assert hello["recovered"], hello
    assert in_order(take_until(client, 149), had) == list(range(50, 150))
    device = cluster.connect(user, welcome=False, query="&device_id=tv")  # its place went with the rest
    hello = device.welcome()
    assert not hello["recovered"], hello
    assert in_order(take_until(device, 149)) == list(range(150))
    cluster.produce(user, task(user, 150))
    for one in (connected, client, device):
        assert [m["task_id"] for m in one.tasks(1)] == [150]
        one.quiet(0.2)


def client_position(cluster, user):
    """The position at which a device that is new starts: what is safe by now."""
    client = cluster.connect(user, welcome=False, query=f"&device_id=probe-{time.monotonic_ns()}")
    return client.welcome()["position"]


def test_wiped_in_the_midst_of_a_replay(new_cluster):
    """A client that reads slowly has half of it when Redis loses the rest."""
    cluster = new_cluster(gateway={"REPLAY_STALL": "2m"})
    user, total = cluster.user(), 600
    filler = "x" * 20_000
    cluster.produce(user, *[task(user, n, task_snapshot={"id": n, "filler": filler}) for n in range(total)])
    cluster.wait_log(user, total)
    client = RawSocket(cluster.gateways[0].port, f"/ws?token={cluster.token(user)}&last_id=0", receive_buffer=4096)
    assert client.recv_json()["replay"] == total
    wait_until(lambda: cluster.gateways[0].metric("tidegate_gateway_replay_bytes") > 0, 20, "it is behind")
    cluster.redis_client()("FLUSHALL")
    cluster.produce(user, task(user, total))
    got, seen = [], set()
    while not got or got[-1] != total:
        message = client.recv_json(60)
        assert message is not None, f"closed behind {got[-1:]}"
        if message["type"] == "task_update" and message["key"] not in seen:
            seen.add(message["key"])
            got.append(message["task_id"])
    assert got == list(range(total + 1)), got


class ToEverybody:
    """Events to everybody on the node that has their log, beside those of routers."""

    def __init__(self, cluster):
        self.sender, self.sent = Sender(epoch=0), 0
        for node in cluster.redis.nodes:
            self.client = RedisClient(node.port)
            if self.client.ask("EXISTS", marker("g")) == 1:
                return
        raise AssertionError("no node has the log of everybody")

    def send(self):
        body = event(self.sent, 30, "g", key=f"everybody-{self.sent}")[4:]
        assert isinstance(self.client(*self.sender.append("g", body=body)), int)
        self.sent += 1


def over_several_nodes(cluster):
    """Users on all nodes, everybody on one: a killed gateway's clients go on at the other one, behind one position."""
    users = [cluster.user() for _ in range(8)]
    names = {user: "&device_id=tv" if i % 2 else "&last_id=0" for i, user in enumerate(users)}
    devices = {user: cluster.connect(user, 0, welcome=False, query=names[user]) for user in users}
    for device in devices.values():
        assert device.recv()["type"] == "connected"
    everybody, got = ToEverybody(cluster), {user: [] for user in users}
    for n in stream(cluster, users, 300, 6):
        everybody.send()
        if n == 150:
            time.sleep(0.5)
            cluster.gateways[0].kill()
            for user, device in devices.items():
                got[user] = rest(device)
                query = names[user] if "device" in names[user] else f"&last_id={got[user][-1]['id']}"
                devices[user] = cluster.connect(user, 1, welcome=False, query=query)
                assert devices[user].welcome()["recovered"]
    for user, device in devices.items():
        while not {("task", 299), ("all", 299)} <= {which(m) for m in got[user]}:
            got[user] += device.tasks(1, 60)
        seen = set()
        once = [which(m) for m in got[user] if m["key"] not in seen and not seen.add(m["key"])]
        for kind in ("task", "all"):
            assert [n for k, n in once if k == kind] == list(range(300)), (user, kind, once)


def which(message):
    return ("task", message["task_id"]) if "task_id" in message else ("all", message["n"])


def test_over_several_nodes(new_cluster):
    over_several_nodes(new_cluster(redis=Several))


def test_over_a_redis_cluster(new_cluster):
    over_several_nodes(new_cluster(redis=RedisCluster))


test_over_several_nodes.seconds = test_over_a_redis_cluster.seconds = 240

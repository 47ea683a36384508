"""The tools of the fault suite do what they say, each by itself, on a Redis of its own."""

import functools
import random
import socket
import threading
import time

from chaos import clockstep, footprint, redisfaults
from chaos.faultproxy import FaultProxy, second_listener
from lib import topologies
from lib.cluster import SECRET
from lib.kafka import Broker, Kcat
from lib.proc import wait_until
from lib.redis import Redis, RedisClient
from lib.wire import RawSocket


class Stage:
    """A Redis, the proxy before it, and one route."""

    def __init__(self, folder, build, seed=5):
        self.redis = Redis(folder)
        self.proxy = FaultProxy(build, folder, seed)

    def __enter__(self):
        self.redis.start()
        self.proxy.start()
        self.route = self.proxy.to_redis("r", self.redis.port)
        return self

    def __exit__(self, *_):
        status = self.proxy.stop()
        self.redis.stop()
        assert status == 0 and not self.proxy.proc.reports(), self.proxy.proc.tail()

    def client(self, timeout=10):
        return RedisClient(self.route.port, timeout=timeout)


def received(subscriber, stop):
    """Numbers of the messages until `stop` comes."""
    got = []
    while True:
        kind, _, payload = subscriber.reply()
        assert kind == b"smessage", kind
        if payload == stop:
            return got
        got.append(int(payload.split(b" ")[0]))


def publish(redis, channel, count, size=200):
    client = RedisClient(redis.port)
    for start in range(0, count, 500):
        client.pipeline([("SPUBLISH", channel, f"{n} " + "x" * (n * 37 % size))
                         for n in range(start, min(count, start + 500))])
    client.close()


def test_messages_are_left_out_by_share_and_seed(build, folder):
    lost = []
    for turn in range(2):
        with Stage(folder, build, seed=11) as stage:
            subscriber = stage.client()
            subscriber("SSUBSCRIBE", "c")
            stage.route.drop(0.05)
            publish(stage.redis, "c", 20000)
            wait_until(lambda s=stage: s.route.stats()["messages"] == 20000, 20, "all messages passed")
            stage.route.heal()
            RedisClient(stage.redis.port)("SPUBLISH", "c", "stop")
            got = received(subscriber, b"stop")
            lost.append(sorted(set(range(20000)) - set(got)))
            assert got == sorted(set(got)), "order or repeats"
            assert len(lost[-1]) == stage.route.stats()["dropped"] and 800 < len(lost[-1]) < 1200, len(lost[-1])
            assert subscriber("PING") == [b"pong", b""]
    assert lost[0] == lost[1], "the same seed, another loss"


def test_only_some_channels_are_left_out(build, folder):
    with Stage(folder, build) as stage:
        subscriber = stage.client()
        subscriber("SSUBSCRIBE", "tg:{1}:c")
        subscriber("SSUBSCRIBE", "tg:{1}:beat")
        stage.route.drop(1, only=":beat")
        publish(stage.redis, "tg:{1}:beat", 10)
        publish(stage.redis, "tg:{1}:c", 10)
        RedisClient(stage.redis.port)("SPUBLISH", "tg:{1}:c", "stop")
        assert received(subscriber, b"stop") == list(range(10))
        assert stage.route.stats()["dropped"] == 10


def test_replies_pass_unchanged_also_in_pieces(build, folder):
    with Stage(folder, build) as stage:
        direct, through = RedisClient(stage.redis.port), stage.client()
        commands = [("SET", "a", "x" * 300000), ("GET", "a"), ("GET", "none"), ("ECHO", "*3\r\n$8\r\nsmessage\r\n"),
                    ("LPUSH", "l", *range(1000)), ("LRANGE", "l", 0, -1), ("NOT", "A", "COMMAND"), ("COMMAND",),
                    ("EVAL", "return {1,{2,{}},false,{'x'}}", 0), ("XADD", "s", "1-1", "f", "v"), ("XRANGE", "s", "-", "+")]
        expected = [str(reply) for reply in direct.pipeline(commands)]
        direct("FLUSHALL")
        assert [str(reply) for reply in through.pipeline(commands)] == expected
        stage.route.drop(0.5)
        stage.route.delay(1, 3)
        direct("FLUSHALL")
        assert [str(reply) for reply in through.pipeline(commands)] == expected


def test_delay_is_each_way_and_keeps_order(build, folder):
    with Stage(folder, build) as stage:
        client = stage.client()
        stage.route.delay(100, 50)
        started = time.monotonic()
        assert client.pipeline([("INCR", "n")] * 50) == list(range(1, 51))
        assert time.monotonic() - started >= 0.2


def test_a_reply_is_cut_with_a_reset(build, folder):
    with Stage(folder, build) as stage:
        client = stage.client()
        client("SET", "k", "0123456789" * 100)
        stage.route.cut_replies(at=50, count=1)
        assert client("PING") == "PONG", "a short reply is not cut"
        client.sock.sendall(b"GET k\r\n")
        got = b""
        try:
            while piece := client.sock.recv(4096):
                got += piece
            raise AssertionError("an end, not a reset")
        except ConnectionResetError:
            pass
        assert got in (b"$1000\r\n" + (b"0123456789" * 5)[:43], b""), got
        again = stage.client()
        assert len(again("GET", "k")) == 1000 and stage.route.stats()["cut"] == 1


def test_a_hole_swallows_both_ways_without_an_end(build, folder):
    with Stage(folder, build) as stage:
        client = stage.client(timeout=0.3)
        assert client("PING") == "PONG"
        stage.route.hole()
        late = stage.client(timeout=0.3)
        for one in (client, late):
            try:
                raise AssertionError(one("PING"))
            except TimeoutError:
                pass
        clients = RedisClient(stage.redis.port)("CLIENT", "LIST")
        client.close()
        time.sleep(0.2)
        assert len(RedisClient(stage.redis.port)("CLIENT", "LIST").splitlines()) == len(clients.splitlines()) == 2, \
            "Redis heard of the end"
        stage.route.heal()
        wait_until(lambda: len(RedisClient(stage.redis.port)("CLIENT", "LIST").splitlines()) == 1, 5, "the end is told")
        assert stage.client()("PING") == "PONG"


def test_a_hole_may_spare_those_who_are_there(build, folder):
    with Stage(folder, build) as stage:
        client = stage.client()
        assert client("PING") == "PONG"
        stage.route.hole(existing=False)
        try:
            raise AssertionError(stage.client(timeout=0.3)("PING"))
        except TimeoutError:
            pass
        assert client("PING") == "PONG"


def test_what_is_frozen_goes_on(build, folder):
    with Stage(folder, build) as stage:
        client = stage.client()
        assert client("INCR", "n") == 1
        stage.route.freeze()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(client("INCR", "n")))
        asking.start()
        asking.join(0.3)
        assert asking.is_alive() and RedisClient(stage.redis.port)("GET", "n") == b"1"
        stage.route.heal()
        asking.join(5)
        assert answers == [2]


def test_refused_and_reset(build, folder):
    with Stage(folder, build) as stage:
        client = stage.client()
        assert client("PING") == "PONG"
        stage.route.refuse()
        try:
            stage.client()
            raise AssertionError("not refused")
        except ConnectionRefusedError:
            pass
        assert client("PING") == "PONG"
        assert stage.route.reset() == 1
        try:
            raise AssertionError(client("PING"))
        except ConnectionResetError:
            pass
        stage.route.heal()
        assert stage.client()("PING") == "PONG"


def test_a_server_that_is_not_there(build, folder):
    with Stage(folder, build) as stage:
        stage.redis.stop()
        try:
            raise AssertionError(stage.client()("PING"))
        except ConnectionError:
            pass
        assert stage.route.stats()["unreachable"] == 1
        stage.redis.start()
        assert stage.client()("PING") == "PONG"


def test_nonsense_to_the_proxy_is_refused(build, folder):
    with Stage(folder, build) as stage:
        for words in (("set", "r", "drop", "2"), ("set", "r", "what", "1"), ("set", "nobody", "drop", "1"), ("fly", "r"),
                      ("set", "r", "drop"), ("add", "r", "1", "2", "resp"), ("add", "x", "0", "2", "resp")):
            try:
                stage.proxy.command(*words)
            except ValueError:
                continue
            raise AssertionError(words)
        with socket.create_connection(("127.0.0.1", stage.proxy.control)) as sock:
            sock.sendall(b"x" * 100000)
        assert stage.client()("PING") == "PONG"


def test_the_clock_of_redis_is_stepped(build, folder):
    redis = clockstep.Redis(folder, build)
    redis.start()
    try:
        for seconds in (0, 20, -20, 0.5, -0.75, 0):
            redis.step(seconds)
            before = time.time()
            now, micros = map(int, redis.answers("TIME"))
            assert before - 0.25 < now + micros / 1e6 - seconds < time.time() + 0.25, seconds
            assert 0 <= micros < 1000000
        redis.step(-20)
        redis.restart()
        assert abs(int(redis.answers("TIME")[0]) - time.time() + 20) < 3
    finally:
        redis.stop()


def refused(redis):
    """The first word of the reply to a write."""
    with redisfaults.control(redis) as command:
        return str(command.ask("SET", "k", "x" * 100)).split(" ")[0]


def test_writes_are_refused_and_accepted_again(folder):
    redis = redisfaults.DiskRedis(folder)
    redis.start()
    try:
        words = {"oom": "OOM", "noreplicas": "NOREPLICAS", "misconf": "MISCONF", "disk_full": "MISCONF"}
        assert words.keys() == redisfaults.TROUBLES.keys()
        for name, word in words.items():
            with redisfaults.trouble(redis, name):
                wait_until(lambda word=word: refused(redis) == word, 10, f"{name}: {word}")
            wait_until(lambda: refused(redis) == "OK", 10, f"{name}: writes again")
        with redisfaults.Background(lambda over: redisfaults.flap(redis, list(words), random.Random(3), over, 0.1)) as flaps:
            seen = set()
            wait_until(lambda: seen.add(refused(redis)) or len(seen) == 4, 30, "all kinds of refusals", every=0.01)
        assert flaps.result >= 3
        wait_until(lambda: refused(redis) == "OK", 10, "writes after the flapping")
    finally:
        redis.stop()


def test_clients_are_hung_up_on(build, folder):
    with Stage(folder, build) as stage:
        clients = [stage.client(timeout=0.2) for _ in range(20)]
        clients[3]("SSUBSCRIBE", "c")
        assert redisfaults.kill_clients(stage.redis, random.Random(1), 5, kinds=("normal",)) == 5
        assert len(redisfaults.client_ids(stage.redis, "normal")) == 14
        assert redisfaults.kill_clients(stage.redis, random.Random(1), 5, kinds=("pubsub",)) == 1
        assert redisfaults.kill_clients(stage.redis, random.Random(1), 99) == 14


def test_an_output_buffer_runs_over(build, folder):
    with Stage(folder, build) as stage:
        client, near = stage.client(), RedisClient(stage.redis.port)
        for one in (client, near):
            one("SSUBSCRIBE", "flood")
        reading = threading.Thread(target=received, args=(near, b"0 0 stop"))
        reading.start()
        assert redisfaults.overflow_subscribers(stage.redis, stage.route, "flood") == 1
        try:
            while client.reply():
                pass
        except ConnectionError:
            pass
        RedisClient(stage.redis.port)("SPUBLISH", "flood", "0 0 stop")
        reading.join(10)
        assert not reading.is_alive(), "somebody who reads was hung up on"


def test_a_master_isolated_from_its_sentinels(build, folder):
    with FaultProxy(build, folder) as proxy:
        group = topologies.Sentinels(folder, node=functools.partial(redisfaults.RoutedRedis, proxy))
        try:
            group.start()
            old = group.node(group.master())
            subscriber, writer = RedisClient(old.port), RedisClient(old.port)
            subscriber("SSUBSCRIBE", "c")
            writer("SET", "k", 1)
            redisfaults.isolate(old)
            wait_until(lambda: group.master() != old.port, 30, "a successor", 0.1)
            assert writer("SET", "k", 2) == "OK" and writer("SPUBLISH", "c", "x") == 1
            assert subscriber.reply() == [b"smessage", b"c", b"x"]
            assert RedisClient(group.master())("GET", "k") == b"1"
        finally:
            group.stop()


def test_a_cluster_behind_routes(build, folder):
    with FaultProxy(build, folder) as proxy:
        cluster = topologies.RedisCluster(folder, node=functools.partial(redisfaults.RoutedRedis, proxy))
        try:
            cluster.start()
            assert sorted(cluster.masters()) == sorted(node.port for node in cluster.nodes), "addresses past the proxy"
        finally:
            cluster.stop()


def test_what_connects_leave_behind(new_cluster, build):
    cluster = new_cluster(gateways=2, routers=1, gateway={"LOG_LEVEL": "info", "CHANNEL_LINGER": "100ms"})
    ports = [gateway.port for gateway in cluster.gateways]
    before = footprint.footprint(cluster)
    during = []
    done = footprint.waves(build, ports, SECRET, connects=1200, size=500,
                           after=lambda n: during.append(footprint.footprint(cluster)))
    assert done == 1200 and len(during) == 3
    footprint.wait_empty(cluster)
    grown = footprint.footprint(cluster).minus(before)
    assert set(grown.descriptors) == {"gateway-1", "gateway-2", "router-1"}, grown
    assert all(abs(n) < 20 for n in grown.descriptors.values()), grown
    rest = footprint.footprint(cluster)
    client = RawSocket(ports[0], "/ws?token=" + cluster.token("u1"))
    try:
        assert footprint.footprint(cluster).minus(rest).descriptors["gateway-1"] > 0
    finally:
        client.close()


def test_kafka_behind_the_proxy(build, folder):
    broker = second_listener(Broker(folder / "kafka", partitions=1))
    with FaultProxy(build, folder) as proxy:
        route = proxy.to_kafka("kafka", broker)
        broker.start()
        try:
            broker.create_topic("t")
            broker.produce("t", ["a", "b"])
            assert route.stats()["accepted"] == 0, "the clean way leads through the proxy"
            behind = Kcat()
            behind.brokers = f"127.0.0.1:{route.port}"
            route.delay(20, 20)
            behind.produce("t", ["c"])
            assert [record["payload"] for record in behind.consume("t")] == ["a", "b", "c"]
            assert f"at {behind.brokers}" in behind.kcat("-L").decode(), "advertised past the proxy"
            route.cut_replies(at=5, count=1)
            try:
                behind.kcat("-L", "-m", 3)
            except RuntimeError:
                pass
            assert route.stats()["cut"] == 1
        finally:
            broker.stop()

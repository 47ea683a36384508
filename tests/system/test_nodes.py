"""Several servers of Redis and one gateway: positions over all of them, channels that come and go."""

import contextlib
import signal
import threading
import time

from lib import jwt
from lib.alone import SECRET
from lib.byhand import Beats, Router, judge, name_of, numbers, rising
from lib.clients import Client
from lib.functions import channel
from lib.proc import wait_until
from lib.programs import Gateway
from lib.topologies import RedisCluster, Several


class Nodes:
    """One gateway on several servers of Redis."""

    def __init__(self, folder, build, redis, **gateway):
        self.redis = redis
        self.gateway = Gateway(build, folder, "gateway", {"JWT_SECRET_KEY": SECRET, "REDIS_URL": redis.url, "WORKERS": "1",
                                                          "DRAIN_SECONDS": "0", "HEADS_INTERVAL": "1h", **gateway})

    def __enter__(self):
        self.redis.start()
        self.gateway.start()
        return self

    def __exit__(self, kind, fault, trace):
        for proc in self.redis.procs:
            proc.signal(signal.SIGCONT)
        if fault is not None:
            print(self.gateway.proc.tail())
        self.gateway.stop()
        self.redis.stop()
        assert fault is not None or not self.gateway.faults(), self.gateway.faults()

    def client(self, user, query=""):
        one = Client(f"ws://127.0.0.1:{self.gateway.port}/ws?token={jwt.user(SECRET, user)}{query}")
        one.hello = one.welcome()
        return one

    def channels(self, port):
        """What is subscribed on a node."""
        client = self.redis.client(port)
        names = client("PUBSUB", "SHARDCHANNELS")
        client.close()
        return [name.decode() for name in names]

    def holder(self, user):
        """The port of the node that has a user whose channel is subscribed."""
        [port] = [port for port in self.redis.masters() if channel(name_of(user)) in self.channels(port)]
        return port

    def beat_of(self, port):
        [name] = [name for name in self.channels(port) if name.endswith(":beat")]
        return name


def position(message):
    return tuple(map(int, message["id"].split("-")))


def test_one_position_is_enough_over_three_nodes_one_of_which_stops(folder, build):
    with Nodes(folder, build, Several(folder)) as stage, contextlib.ExitStack() as beats:
        user, client = apart_from_everybody(stage)
        wait_until(lambda: all(stage.channels(port) for port in stage.redis.masters()), 10, "beats are subscribed")
        for port in stage.redis.masters():
            beats.enter_context(Beats(port, stage.beat_of(port)))
        own, everybody = Router(stage.holder(user)).mark(user), Router(stage.holder("g")).mark("g")
        own.append(user, 5)
        judge(client, 5)
        everybody.append("g", 1)
        [first] = client.tasks(1)
        wait_until(lambda: everybody.append("g", 1) or "id" in client.tasks(1)[0], 5, "every node was heard")
        stopped = stage.redis.node(stage.holder(user)).proc
        stopped.signal(signal.SIGSTOP)
        missed = threading.Thread(target=lambda: own.append(user, 50))
        missed.start()
        until, during = time.monotonic() + 10, []
        while time.monotonic() < until:
            everybody.append("g", 1)
            during += client.tasks(1, 5)  # comes at once, whatever another node does
            time.sleep(0.1)
        assert position(during[-1]) == position(during[-20]), "a position went on while a node was silent"
        stopped.signal(signal.SIGCONT)
        missed.join()
        assert numbers(client.tasks(50, 30)) == list(range(5, 55))
        second = stage.client(user, f"&last_id={during[-1]['id']}")
        assert second.hello["recovered"], second.hello
        got = second.tasks(second.hello["replay"], 30)
        rising(client.seen)
        assert set(range(5, 55)) <= set(numbers(got)), "what the stopped node had is missing behind that position"

        def caught_up():
            everybody.append("g", 1)
            return position(client.tasks(1)[0]) > position(during[-1])
        wait_until(caught_up, 10, "positions go on")
        assert first["n"] == 0 and client.open()


test_one_position_is_enough_over_three_nodes_one_of_which_stops.seconds = 180


def apart_from_everybody(stage):
    """A user on another node than everybody, and a client of his."""
    for n in range(100):
        user = f"user-{n}"
        client = stage.client(user)
        if stage.holder(user) != stage.holder("g"):
            return user, client
        client.close()
    raise AssertionError("a hundred users on one node")


def test_channels_of_a_cluster_are_let_go(folder, build):
    """A cluster takes a command for one slot only; a link that was dropped for another would be seen."""
    with Nodes(folder, build, RedisCluster(folder), CHANNEL_LINGER="100ms") as stage:
        clients = [stage.client(f"user-{n}") for n in range(40)]
        for client in clients:
            client.ws.socket.close()
        wait_until(lambda: stage.gateway.metric("tidegate_gateway_targets") == 0, 20, "all are forgotten")
        wait_until(lambda: not any(":c:" in name for port in stage.redis.masters() for name in stage.channels(port)), 10,
                   "nothing is subscribed")
        assert "redis_down" not in stage.gateway.proc.log()

"""Events that the channel did not bring: found, read from the log and delivered in order, on sockets that stay open."""

import signal
import threading
import time

from chaos.faultproxy import FaultProxy, lead_through
from lib.alone import Alone
from lib.byhand import Beats, Router, judge, numbers, rising
from lib.clients import Client
from lib.functions import log, meta, text_of
from lib.proc import wait_until


class Stage(Alone):
    """One gateway that finds Redis through a proxy that breaks things, unless `direct`; routers are the test's."""

    def __init__(self, folder, build, direct=False, **gateway):
        self.direct = direct
        super().__init__(folder, build, **{"HEADS_INTERVAL": "1h", **gateway})
        self.proxy = FaultProxy(build, folder)

    def start(self):
        self.redis.start()
        self.proxy.start()
        self.route = self.proxy.to_redis("redis", self.redis.port)
        if not self.direct:
            lead_through(self.route, self.gateway)
        self.gateway.start()
        return self

    def stop(self):
        self.proxy.heal()
        faults = super().stop()
        self.proxy.stop()
        return faults

    def router(self, *users, **more):
        return Router(self.redis.port, **more).mark(*users)

    def client(self, user):
        """One that was told hello, and its socket."""
        one = Client(f"ws://127.0.0.1:{self.port}{self.path(user)}")
        one.welcome()
        return one

    def metric(self, name, **labels):
        return self.gateway.metric(f"tidegate_gateway_{name}", **labels)

    def kill_links(self):
        """The connections of gateways end; returns how many there were."""
        control = self.redis_client()
        ids = [line.split()[0][3:] for line in control("CLIENT", "LIST").decode().splitlines() if " name=tidegate " in line]
        for one in ids:
            control.ask("CLIENT", "KILL", "ID", one)
        control.close()
        return len(ids)

    def wait_settled(self, seconds=30):
        wait_until(lambda: self.gateway.get("/ready").status == 200 and self.metric("channels_filling") == 0, seconds,
                   "ready, and nothing is being filled")


def test_links_are_killed_while_events_are_appended(folder, build):
    with Stage(folder, build) as stage:
        users = [f"user-{i}" for i in range(20)]
        routers = [stage.router(user) for user in users]
        clients = [stage.client(user) for user in users]
        killed = 0
        for turn in range(60):
            for user, router in zip(users, routers):
                router.append(user, 5)
            if turn % 12 == 5:
                killed += stage.kill_links()
            time.sleep(0.02)
        assert killed > 2
        for client in clients:
            judge(client, 300)
            rising(client.seen)
        stage.wait_settled()
        assert stage.metric("repaired_total") > 0
        assert stage.metric("gaps_total", found="reconnect") > 0
        assert stage.metric("gaps_lost_total") == 0
        for client in clients:
            client.quiet(0.02)


test_links_are_killed_while_events_are_appended.seconds = 180


def test_only_those_that_missed_something_are_read(folder, build):
    with Stage(folder, build) as stage:
        router = stage.router("a", "b")
        one, other = stage.client("a"), stage.client("b")
        router.append("a", 3)
        one.tasks(3)
        stage.route.refuse()
        stage.kill_links()
        wait_until(lambda: stage.gateway.get("/ready").status == 503, 10, "the gateway sees it")
        router.append("a", 4)
        stage.route.heal()
        assert numbers(one.tasks(4)) == [3, 4, 5, 6]
        stage.wait_settled()
        assert stage.metric("gaps_total") == 1 and stage.metric("repaired_total") == 4
        other.quiet(0.05)
        assert one.open() and other.open()


def test_redis_stopped_for_longer_than_the_watchdog(folder, build):
    with Stage(folder, build) as stage:
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 10)
        stage.redis.proc.signal(signal.SIGSTOP)
        appending = threading.Thread(target=lambda: router.append("a", 200))
        appending.start()
        wait_until(lambda: stage.gateway.get("/ready").status == 503, 20, "the gateway notices")
        stage.redis.proc.signal(signal.SIGCONT)
        appending.join()
        router.append("a", 10)
        judge(client, 220)
        assert client.open()
        client.quiet(0.1)


def test_redis_restarted(folder, build):
    with Stage(folder, build) as stage:
        router = stage.router("a", "b")
        client, quiet = stage.client("a"), stage.client("b")
        router.append("a", 10)
        stage.redis.restart()
        router = Router(stage.redis.port)
        router.next = 10
        router.append("a", 40)
        judge(client, 50)
        stage.wait_settled()
        assert stage.metric("gaps_lost_total") == 0
        quiet.quiet(0.05)


def test_a_restart_that_lost_the_tail(folder, build):
    """Redis comes back without its last events, which were delivered; the router appends them again."""
    with Stage(folder, build) as stage:
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 10)
        saved = router.client("DUMP", log("u:a")), router.client("GET", meta("u:a"))
        router.append("a", 10)
        assert numbers(client.tasks(20)) == list(range(20))
        stage.route.refuse()
        stage.kill_links()
        router.client("RESTORE", log("u:a"), 0, saved[0], "REPLACE")
        router.client("SET", meta("u:a"), saved[1])
        router.again("a", range(10, 20))
        router.append("a", 5)
        stage.route.heal()
        assert numbers(client.tasks(5)) == list(range(20, 25))
        stage.wait_settled()
        assert stage.metric("gaps_lost_total") == 0
        client.quiet(0.1)


def updates(client, count):
    """The next events of a plain socket."""
    got = []
    while len(got) < count:
        message = client.recv_json()
        got += [message] if message["type"] == "task_update" else []
    return got


def test_clients_that_came_back_before_the_tail_did(folder, build):
    """They were away when the lost events were delivered, and are live when the router appends them again: repeats for
    those who stayed, and for one who has them from a replay, but not for these; nor for one who has the first of them as
    they came again."""
    with Stage(folder, build) as stage:
        router = stage.router("a")
        router.client(*router.sender.mark("g", create=2))
        stayed = stage.client("a")
        router.append("a", 10)
        position = stayed.tasks(10)[-2]["id"]
        saved = router.client("DUMP", log("u:a")), router.client("GET", meta("u:a"))
        router.append("a", 10)
        stayed.tasks(10)
        replayed, hello = stage.resume("a", last_id=position)
        assert hello["replay"] == 11 and numbers(updates(replayed, 11)) == list(range(9, 20))
        router.client("RESTORE", log("u:a"), 0, saved[0], "REPLACE")
        router.client("SET", meta("u:a"), saved[1])
        early, hello = stage.resume("a", last_id=position)
        assert hello["recovered"] and hello["replay"] == 1, hello
        elsewhere, hello = stage.resume("a", last_id=text_of(int(time.time() * 1e6)))  # of another target's event
        assert hello["replay"] == 0, hello
        router.again("a", range(10, 15))
        assert numbers(updates(early, 6)) == list(range(9, 15))  # the gateway has heard of them: positions go on
        late, hello = stage.resume("a", last_id=position)
        some = updates(late, 6)
        midway, hello = stage.resume("a", last_id=some[-1]["id"])
        assert numbers(some) == list(range(9, 15)) and hello["replay"] == 0, hello
        router.again("a", range(15, 20))
        router.append("a", 2)
        for one in (early, late, midway):
            assert numbers(updates(one, 7)) == list(range(15, 22))
        assert numbers(updates(elsewhere, 12)) == list(range(10, 22))
        assert numbers(stayed.tasks(2)) == numbers(updates(replayed, 2)) == [20, 21]


def test_flushall_in_mid_stream(folder, build):
    with Stage(folder, build) as stage:
        router = stage.router("a", "b")
        client, other = stage.client("a"), stage.client("b")
        router.append("a", 100)
        router.client("FLUSHALL")
        router.mark("a", "b", epoch=8)
        router.again("a", range(60, 100))  # what the router publishes again
        router.append("a", 50)
        judge(client, 150)
        client.quiet(0.1)
        stage.wait_settled()
        assert stage.metric("gaps_lost_total") == 0
        other.quiet(0.05)


def test_the_last_event_of_a_quiet_channel(folder, build):
    with Stage(folder, build, HEADS_INTERVAL="1s") as stage:
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 2)
        assert numbers(client.tasks(2)) == [0, 1]
        router.append_unheard("a")
        assert numbers(client.tasks(1)) == [2]
        assert stage.metric("gaps_total", found="sweep") == 1 and stage.metric("sweeps_total") > 0
        router.append("a", 1)
        assert numbers(client.tasks(1)) == [3]
        client.quiet(1.5)
        assert stage.metric("gaps_total") == 1


def test_an_event_that_names_another_predecessor(folder, build):
    with Stage(folder, build) as stage:
        router = stage.router("a")
        client, second = stage.client("a"), stage.client("a")
        router.append("a", 2)
        assert numbers(client.tasks(2)) == [0, 1]
        for _ in range(3):
            router.append_unheard("a")
        client.quiet(0.2)
        router.append("a", 2)
        assert numbers(client.tasks(5)) == [2, 3, 4, 5, 6]
        judge(second, 7)
        assert len(rising(client.seen)) == 7
        assert stage.metric("gaps_total", found="event") == 1 and stage.metric("repaired_total") >= 4


def test_messages_are_left_out_by_share(folder, build):
    """One message in ten does not come, of many users at once: all are delivered, once, in order."""
    with Stage(folder, build, HEADS_INTERVAL="1s") as stage:
        users = [f"user-{i}" for i in range(10)]
        routers = [stage.router(user) for user in users]
        clients = [stage.client(user) for user in users]
        stage.route.drop(0.1, only=":c:")
        for _ in range(100):
            for user, router in zip(users, routers):
                router.append(user, 3)
        for client in clients:
            judge(client, 300)
            client.quiet(0.02)
        assert stage.route.stats()["dropped"] > 100
        stage.route.heal()
        stage.wait_settled()


def test_more_was_missed_than_the_log_keeps(folder, build):
    with Stage(folder, build) as stage:
        router = stage.router("a", maxlen=100)
        client = stage.client("a")
        router.append("a", 5)
        client.tasks(5)
        stage.route.refuse()
        stage.kill_links()
        router.append("a", 1000)
        [[oldest, _]] = router.client("XRANGE", log("u:a"), "-", "+", "COUNT", 1)
        kept = router.client("XLEN", log("u:a"))
        stage.route.heal()
        gap = client.recv(30)
        assert gap["type"] == "gap" and gap["to"] == oldest.decode() and gap["from"] == client.seen[-2]["id"], gap
        assert numbers(client.tasks(kept)) == list(range(1005 - kept, 1005))
        assert stage.metric("gaps_lost_total") == 1
        router.append("a", 1)
        assert numbers(client.tasks(1)) == [1005]


def test_a_long_outage_does_not_drown_a_client(folder, build):
    """Ten times what a connection may leave unread is filled, for clients that read as fast as they can."""
    with Stage(folder, build, OUTBOX_BYTES="1MiB") as stage:
        router = stage.router("a")
        client = stage.client("a")
        stage.route.refuse()
        stage.kill_links()
        for _ in range(20):
            router.append("a", 50, size=10_000)
        stage.route.heal()
        judge(client, 1000)
        assert client.open() and stage.metric("gaps_lost_total") == 0


def test_redis_hangs_up_because_the_gateway_reads_too_slowly(folder, build):
    with Stage(folder, build, direct=True, OUTBOX_BYTES="64MiB") as stage:
        stage.redis_client()("CONFIG", "SET", "client-output-buffer-limit", "pubsub 128k 64k 1")
        router = stage.router("a")
        client = stage.client("a")
        for turn in range(3):
            stage.gateway.proc.signal(signal.SIGSTOP)
            router.append("a", 300, size=60_000)
            stage.gateway.proc.signal(signal.SIGCONT)
            got = client.tasks(300, 60)
            assert numbers(got) == list(range(turn * 300, turn * 300 + 300))
        assert stage.metric("gaps_total", found="reconnect") > 0, "Redis never hung up: the test proves nothing"
        assert client.open()


def test_no_router_at_all(folder, build):
    with Stage(folder, build) as stage:
        assert stage.metric("routers_silent") == 0
        wait_until(lambda: stage.metric("routers_silent") == 1, 15, "silence is seen")
        assert stage.gateway.ready() and stage.metric("deaf_total") == 0
        with Beats(stage.redis.port):
            wait_until(lambda: stage.metric("routers_silent") == 0, 5, "a beat is heard")
        wait_until(lambda: stage.metric("routers_silent") == 1, 15, "silence is seen again")
        assert stage.gateway.ready() and stage.metric("deaf_total") == 0
        assert stage.gateway.proc.log().count("routers_silent") == 2


def test_a_deaf_link(folder, build):
    """All messages are swallowed, beats too, and PINGs answered: it is noticed and said, and mended once it can be."""
    with Stage(folder, build, BEAT_TIMEOUT="2s") as stage, Beats(stage.redis.port):
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 3)
        assert numbers(client.tasks(3)) == [0, 1, 2]
        stage.route.drop(1)
        router.append("a", 3)
        wait_until(lambda: stage.gateway.get("/ready").status == 503, 15, "not ready")
        assert b"redis_deaf" in stage.gateway.get("/ready").body
        wait_until(lambda: stage.metric("redis_deaf") == 1 and stage.metric("deaf_total") >= 1, 5, "it says why")
        assert numbers(client.tasks(3)) == [3, 4, 5], "filled after the link was rebuilt, deaf or not"
        stage.route.heal()
        stage.gateway.wait_ready()
        wait_until(lambda: stage.metric("redis_deaf") == 0, 5, "it says so")
        router.append("a", 3)
        assert numbers(client.tasks(3)) == [6, 7, 8]
        client.quiet(0.1)


def test_a_link_without_an_end(folder, build):
    """Half open: nothing comes any more, no FIN either."""
    with Stage(folder, build) as stage, Beats(stage.redis.port):
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 3)
        client.tasks(3)
        stage.route.hole()
        router.append("a", 3)
        wait_until(lambda: stage.gateway.get("/ready").status == 503, 15, "not ready")
        stage.route.heal()
        assert numbers(client.tasks(3, 30)) == [3, 4, 5]
        stage.gateway.wait_ready()
        assert client.open()


def test_a_link_that_pauses(folder, build):
    """Bytes stand still for less than the watchdog waits, then all come at once."""
    with Stage(folder, build) as stage, Beats(stage.redis.port):
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 3)
        stage.route.freeze()
        router.append("a", 200)
        time.sleep(1.5)
        stage.route.heal()
        judge(client, 203)
        assert stage.metric("deaf_total") == 0 and stage.metric("gaps_total") == 0


test_a_link_that_pauses.alone = True  # a longer pause is another test


def test_the_library_is_flushed(folder, build):
    """Gateways load it themselves when there is no router to do so."""
    with Stage(folder, build, HEADS_INTERVAL="1s") as stage:
        router = stage.router("a")
        client = stage.client("a")
        router.append("a", 2)
        router.append_unheard("a")
        router.client("FUNCTION", "FLUSH")
        judge(client, 3)
        router.append("a", 1)
        assert numbers(client.tasks(1)) == [3]


def test_who_comes_later_gets_nothing_old(folder, build):
    """A channel that lost something while it lingered owes nothing to who comes next."""
    with Stage(folder, build, CHANNEL_LINGER="60s") as stage:
        router = stage.router("a")
        first = stage.client("a")
        router.append("a", 2)
        judge(first, 2)
        first.close()
        wait_until(lambda: stage.gateway.metric("websocket_connections_total") == 0, 10, "it is gone")
        router.append_unheard("a")
        stage.kill_links()
        stage.wait_settled()
        second = stage.client("a")
        router.append("a", 1)
        assert numbers(second.tasks(1)) == [3]
        second.quiet(0.1)
        assert stage.metric("repaired_total") == 0

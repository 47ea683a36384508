"""What a client missed is brought to it: by last_id and by the resume message."""

import contextlib
import threading
import time

from lib.alone import Alone, History, event
from lib.functions import log, marker, text_of
from lib.proc import wait_until
from lib.wire import TEXT, RawSocket, Response, exchange, frame, upgrade_head

HELLO = '{"type":"connected","user_id":"u","message":"WebSocket connection established"}'


@contextlib.contextmanager
def running(build, folder, **options):
    with Alone(folder, build, **options) as alone:
        history = History(alone.redis)
        history.mark("g")
        yield alone, history
        history.close()


def take(client, count, seconds=20):
    """The numbers of the next `count` events."""
    got = []
    while len(got) < count:
        message = client.recv_json(seconds)
        assert message is not None, f"closed after {len(got)} of {count}"
        if message["type"] == "task_update":
            got.append(message)
    return got


def numbers(messages):
    return [message["n"] for message in messages]


def silent(client, seconds=0.3):
    """Nothing but heartbeats for so long."""
    with contextlib.suppress(TimeoutError):
        while (message := client.recv_json(seconds)) == {"type": "ping", "timestamp": None}:
            pass
        raise AssertionError(message)


def standing(hello):
    return hello["recovered"], hello["replay"], hello["oldest"], hello["position"]


def test_the_hello_of_others_is_as_it_was(build, folder):
    with running(build, folder) as (alone, history):
        history.add("u:u", range(3))
        client = RawSocket(alone.port, alone.path())
        assert client.recv() == (TEXT, HELLO.encode())
        history.add("u:u", [3])
        assert numbers(take(client, 1)) == [3]


def test_what_came_after_last_id(build, folder):
    with running(build, folder) as (alone, history):
        listener = alone.connect()
        ids = history.add("u:u", range(10))
        take(listener, 10)  # so they are safe
        for start in range(10):
            client, hello = alone.resume(last_id=text_of(ids[start]))
            assert standing(hello) == (True, 9 - start, text_of(ids[0]), text_of(ids[start])), hello
            assert numbers(take(client, 9 - start)) == list(range(start + 1, 10))
            silent(client, 0.05)
        client, hello = alone.resume(last_id="0")
        assert standing(hello) == (True, 10, text_of(ids[0]), "0"), hello
        assert [m["id"] for m in take(client, 10)][-1] == text_of(ids[-1])
        history.add("u:u", [10])
        assert numbers(take(client, 1)) == [10]


def test_a_little_more_is_read_if_so_configured(build, folder):
    with running(build, folder, RESUME_OVERLAP="60s") as (alone, history):
        ids = history.add("u:u", range(10))
        client, hello = alone.resume(last_id=text_of(ids[7]))
        assert standing(hello) == (True, 10, text_of(ids[0]), text_of(ids[7])), hello
        got = take(client, 10)
        assert numbers(got) == list(range(10))
        assert [m["id"] for m in got[:8]] == [text_of(ids[7])] * 8, "positions do not fall"
    with running(build, folder / "short", RESUME_OVERLAP="1ms") as (alone, history):
        [before] = history.add("u:u", [0])
        time.sleep(0.01)
        [start] = history.add("u:u", [1])
        history.add("u:u", [2])
        assert start - before > 1000
        client, hello = alone.resume(last_id=text_of(start))
        assert numbers(take(client, hello["replay"])) == [1, 2]


def test_a_user_without_events(build, folder):
    with running(build, folder) as (alone, history):
        for user, last_id in (("a", "0"), ("b", "1700000000000-5")):
            history.mark(f"u:{user}")
            client, hello = alone.resume(user, last_id=last_id)
            assert standing(hello) == (True, 0, "0", last_id), hello
            history.add(f"u:{user}", [1])
            assert numbers(take(client, 1)) == [1]


def test_events_of_several_targets_are_merged(build, folder):
    with running(build, folder) as (alone, history):
        start = history.beat()
        for n in range(0, 40, 2):
            history.add("u:u", [n])
            history.add("g", [n + 1])
        history.beat()
        client, hello = alone.resume(last_id=text_of(start))
        assert (hello["recovered"], hello["replay"]) == (True, 40), hello
        got = take(client, 40)
        assert numbers(got) == list(range(40))
        positions = [tuple(map(int, m["id"].split("-"))) for m in got]
        assert positions == sorted(positions)


def test_positions_are_never_above_what_is_safe(build, folder):
    """A gateway that has heard nothing yet may be behind elsewhere: a client must not be told that it is further."""
    with running(build, folder) as (alone, history):
        ids = [text_of(i) for i in history.add("u:u", range(5))]
        client, _ = alone.resume(last_id=ids[0])
        assert {m["id"] for m in take(client, 4)} == {ids[0]}
        history.beat()

        def told():
            return take(alone.resume(last_id=ids[0])[0], 4)[-1]["id"]
        wait_until(lambda: told() == ids[-1], 10, "the beat was heard")


def test_beyond_what_is_kept(build, folder):
    with running(build, folder) as (alone, history):
        history.sender.maxlen = 20
        ids = history.add("u:u", range(1000), size=10)
        kept = history.client("XLEN", log("u:u"))
        assert kept < 500
        oldest = text_of(ids[-kept])
        client, hello = alone.resume(last_id=text_of(ids[5]))
        assert standing(hello) == (False, kept, oldest, text_of(ids[5])), hello
        assert numbers(take(client, kept)) == list(range(1000 - kept, 1000))
        _, hello = alone.resume(last_id=text_of(ids[-kept - 1]))
        assert hello["recovered"] and hello["replay"] == kept, hello
        _, hello = alone.resume(last_id="0")
        assert not hello["recovered"] and hello["replay"] == kept, hello


def test_what_is_older_than_the_retention_is_cut(build, folder):
    with running(build, folder, USER_HISTORY_RETENTION="8s", GLOBAL_HISTORY_RETENTION="8s") as (alone, history):
        old = history.add("u:u", range(5))
        time.sleep(8.1)
        new = history.add("u:u", range(5, 8))
        _, hello = alone.resume(last_id=text_of(old[2]))
        assert standing(hello) == (False, 3, text_of(new[0]), text_of(old[2])), hello
        client, hello = alone.resume(last_id=text_of(old[-1]))
        assert standing(hello) == (True, 3, text_of(new[0]), text_of(old[-1])), hello
        assert numbers(take(client, 3)) == [5, 6, 7]


def test_counts_are_exact(build, folder):
    """Known from the log's length, from the first piece, and by counting."""
    with running(build, folder) as (alone, history):
        history.sender.maxlen = 1_000_000
        ids = history.add("u:u", range(3000), size=200)
        everybody = history.add("g", range(3000, 3500), size=200)
        history.beat()
        for start, expected in ((ids[0] - 1, 3500), (ids[0], 3499), (ids[700], 2799), (ids[-1], 500), (everybody[3], 496),
                                (everybody[-2], 1), (everybody[-1], 0)):
            client, hello = alone.resume(last_id=text_of(start))
            assert hello["replay"] == expected, (hello, expected)
            got = take(client, expected)
            assert numbers(got) == list(range(3500 - expected, 3500))
            silent(client, 0.05)
            client.close()


def test_entries_that_are_none_of_ours(build, folder):
    """Somebody else writes into a log, or flushes the library: nobody waits for ever."""
    with running(build, folder) as (alone, history):
        ids = history.add("u:u", range(3))
        for _ in range(3):
            history.client("XADD", log("g"), "*", "what", "ever")
        history.add("u:u", [3])
        history.client("XADD", log("u:u"), "*", "what", "ever")
        history.client("FUNCTION", "FLUSH")
        client, _ = alone.resume(last_id=text_of(ids[0]))
        assert numbers(take(client, 3)) == [1, 2, 3]


def test_malformed_positions_and_devices(build, folder):
    with running(build, folder) as (alone, _):
        for query in ("last_id=", "last_id=x", "last_id=1", "last_id=-1", "last_id=1-1000", "last_id=01-1", "last_id=1-1-1",
                      "last_id=1%00-1", "last_id=%zz", "last_id=99999999999999999-0", "device_id=", "device_id=a%0ab",
                      "device_id=%7f", "device_id=" + "x" * 129, "device_id=%ff", "last_id=0-1&device_id="):
            answer = Response(exchange(alone.port, upgrade_head(alone.port, f"{alone.path()}&{query}"), 0.3)[0])
            assert answer.status == 400, (query, answer)
            name = "bad_last_id" if query.startswith("last_id") and "device" not in query else "bad_device_id"
            assert answer.json()["error"]["code"] == name, (query, answer)
        assert alone.gateway.metric("websocket_connections_total") == 0


def test_a_position_that_nobody_gave(build, folder):
    """In the future: nothing is kept back that comes from now on."""
    with running(build, folder) as (alone, history):
        history.add("u:u", [1])
        client, hello = alone.resume(last_id="9007199254740-1")
        assert hello["recovered"] is False and hello["replay"] == 0, hello
        history.add("u:u", [2])
        assert numbers(take(client, 1)) == [2]


def test_the_resume_message(build, folder):
    with running(build, folder) as (alone, history):
        ids = history.add("u:u", range(5))
        history.beat()
        client = alone.connect()
        for start in (2, 0, 4):
            client.send_json({"type": "resume", "last_id": text_of(ids[start])})
            answer = client.recv_json()
            assert answer == {"type": "resumed", "recovered": True, "replay": 4 - start, "oldest": text_of(ids[0]),
                              "position": text_of(ids[start])}, answer
            assert numbers(take(client, 4 - start)) == list(range(start + 1, 5))
        for bad in ('{"type":"resume"}', '{"type":"resume","last_id":5}', '{"type":"resume","last_id":"x"}',
                    '{"type":"resume","last_id":null}'):
            client.send(frame(TEXT, bad))
            answer = client.recv_json()
            assert answer["type"] == "error" and answer["code"] == "malformed_message", answer
        history.add("u:u", [5])
        assert numbers(take(client, 1)) == [5]


def test_a_second_resume_while_one_is_under_way(build, folder):
    with running(build, folder) as (alone, history):
        history.add("u:u", range(500), size=5000)
        client = alone.connect()
        client.send(frame(TEXT, '{"type":"resume","last_id":"0"}') * 2)
        codes, got = [], []
        while len(got) < 500:
            message = client.recv_json()
            if message["type"] == "error":
                codes.append(message["code"])
            elif message["type"] == "task_update":
                got.append(message["n"])
        assert codes == ["already_resuming"] and got == list(range(500)), codes


class Stream(threading.Thread):
    """Events to one target, so many a second, until stopped."""

    def __init__(self, redis, target, rate, first=0):
        super().__init__(daemon=True)
        self.history, self.target, self.rate, self.next = History(redis), target, rate, first
        self.history.marked.add(target)
        self.stopping = threading.Event()

    def run(self):
        started, sent = time.monotonic(), 0
        while not self.stopping.is_set():
            due = int((time.monotonic() - started) * self.rate) - sent
            if due > 0:
                self.history.add(self.target, range(self.next, self.next + due), size=50)
                self.next += due
                sent += due
                self.history.beat()
            time.sleep(0.002)

    def stop(self):
        self.stopping.set()
        self.join()
        self.history.close()
        return self.next


def test_order_and_completeness_under_live_events(build, folder):
    """Clients that come and go in a stream of 1,000 events a second: each gets every event once, in order."""
    with running(build, folder, OUTBOX_BYTES="16MiB") as (alone, history):
        history.sender.maxlen = 1_000_000
        history.add("u:u", range(1000), size=50)
        stream = Stream(alone.redis, "u:u", 1000, first=1000)
        stream.history.sender.maxlen = 1_000_000
        stream.start()
        clients = [alone.resume(last_id="0") for _ in range(20)]
        time.sleep(2)
        for _ in range(10):
            clients.append(alone.resume(last_id="0"))
            time.sleep(0.1)
        assert all(hello["recovered"] for _, hello in clients)
        total = stream.stop()
        assert total > 2000
        for client, hello in clients:
            assert numbers(take(client, total, 40)) == list(range(total))
        for client, _ in clients:
            silent(client, 0.05)


test_order_and_completeness_under_live_events.seconds = 240


def test_a_gateway_killed_and_another_one(build, folder):
    """Nothing is missing and nothing comes twice over a kill -9, on the other gateway and on the one started again."""
    with running(build, folder, count=2) as (alone, history):
        history.sender.maxlen = 1_000_000
        history.mark("u:u")
        stream = Stream(alone.redis, "u:u", 500)
        stream.history.sender.maxlen = 1_000_000
        client = alone.connect()
        stream.start()
        got = take(client, 300)
        alone.gateway.kill()
        with contextlib.suppress(TimeoutError):
            while (message := client.recv_json(1)) is not None:
                got.append(message)
        for gateway in (1, 0):
            time.sleep(0.3)
            alone.gateways[0].start() if gateway == 0 else None
            client, hello = alone.resume(gateway=gateway, last_id=got[-1]["id"])
            assert hello["recovered"], hello
            got += take(client, 300)
        total = stream.stop()
        got += take(client, total - len(got))
        assert numbers(got) == list(range(total))
        silent(client)


def test_a_redis_that_was_wiped(build, folder):
    """What was lost is read from the second log first, once routers have refilled it."""
    with running(build, folder) as (alone, history):
        ids = history.add("u:u", range(5))
        history.client("FLUSHALL")
        since = history.beat()
        history.mark("g")
        history.mark("u:u", epoch=8, since=since, refilling=1, **{"r:t#0/0": 5})
        history.sender.epoch = 8
        history.add("u:u", range(5, 8))
        client = RawSocket(alone.port, alone.path() + f"&last_id={text_of(ids[1])}")
        silent(client, 0.6)
        history.add_refilled("u:u", range(5))
        history.add("u:u", [8])
        silent(client, 0.6)
        history.client("HSET", marker("u:u"), "refilling", 0)
        hello = client.recv_json()
        assert hello["recovered"] is True and hello["replay"] == 9 and hello["position"] == text_of(ids[1]), hello
        got = take(client, 9)
        assert numbers(got) == list(range(9))
        assert {m["id"] for m in got[:5]} == {text_of(ids[1])}, got  # who stops in the second log begins it anew
        history.add("u:u", [9])
        assert numbers(take(client, 1)) == [9]
        client, hello = alone.resume(last_id=got[-1]["id"])
        assert hello["recovered"] and numbers(take(client, 1)) == [9]


def test_routers_that_take_long_to_see_a_wipe(build, folder):
    """The client is told that something is missing, and gets what is refilled all the same; another target's events do
    not wait, but whoever has only those must not be taken to have the rest."""
    with running(build, folder) as (alone, history):
        other = alone.connect("u")  # its channel has heard what is gone
        ids = history.add("u:u", range(5))
        take(other, 5)
        history.client("FLUSHALL")
        history.mark("g")
        client, hello = alone.resume(last_id=text_of(ids[1]))
        assert hello["recovered"] is False and hello["replay"] == 0, hello
        history.add("g", [100, 101])
        early = take(client, 2)
        assert numbers(early) == [100, 101] and {m["id"] for m in early} == {text_of(ids[1])}, early
        history.mark("u:u", epoch=8, since=history.beat(), refilling=1, **{"r:t#0/0": 5})
        history.sender.epoch = 8
        history.add("u:u", range(5, 8))
        silent(client, 0.6)
        history.add_refilled("u:u", range(5))
        history.client("HSET", marker("u:u"), "refilling", 0)
        assert numbers(take(client, 8)) == list(range(8))
        history.add("u:u", [8])
        assert numbers(take(client, 1)) == [8]
        assert alone.gateway.metric("tidegate_gateway_replaying") == 0


def test_routers_that_never_see_a_wipe(build, folder):
    with running(build, folder, REFILL_WAIT="500ms") as (alone, history):
        ids = history.add("u:u", range(5))
        history.client("FLUSHALL")
        history.mark("g")
        _, hello = alone.resume(last_id=text_of(ids[1]))
        assert hello["recovered"] is False and hello["replay"] == 0, hello
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_replaying") == 0, 20, "it is live")


def test_a_refill_that_takes_too_long(build, folder):
    with running(build, folder, REFILL_WAIT="500ms") as (alone, history):
        ids = history.add("u:u", range(5))
        history.client("FLUSHALL")
        history.mark("g")
        history.mark("u:u", epoch=8, since=history.beat(), refilling=2)
        history.sender.epoch = 8
        history.add_refilled("u:u", range(3))
        history.add("u:u", [5])
        client, hello = alone.resume(last_id=text_of(ids[1]))
        assert hello["recovered"] is False and hello["replay"] == 4, hello
        assert numbers(take(client, 4)) == [0, 1, 2, 5]


def test_a_refill_that_is_lost_again_and_again(build, folder):
    """Each loss begins another refill, which may take as long."""
    with running(build, folder, REFILL_WAIT="2s") as (alone, history):
        ids = history.add("u:u", range(5))
        client = None
        for epoch in range(8, 12):
            history.client("FLUSHALL")
            history.mark("g")
            history.mark("u:u", epoch=epoch, since=history.beat(), refilling=1)
            if client is None:
                client = RawSocket(alone.port, alone.path() + f"&last_id={text_of(ids[1])}")
            silent(client, 1)
        history.sender.epoch = epoch
        history.add_refilled("u:u", range(5))
        history.client("HSET", marker("u:u"), "refilling", 0)
        hello = client.recv_json()
        assert hello["recovered"] is True and hello["replay"] == 5, hello
        assert numbers(take(client, 5)) == list(range(5))


def test_a_refill_from_later_than_the_position(build, folder):
    with running(build, folder) as (alone, history):
        ids = history.add("u:u", range(5))
        for fields, recovered in (({"from": ids[4] // 1000 + 5000}, False), ({"from": ids[0] // 1000 - 5000}, True)):
            history.client("FLUSHALL")
            history.mark("g")
            history.mark("u:u", epoch=8, since=history.beat(), refilling=0, **fields)
            history.add_refilled("u:u", range(5))
            _, hello = alone.resume(last_id=text_of(ids[1]))
            assert hello["recovered"] is recovered, (fields, hello)


def test_a_slow_replay_is_closed(build, folder):
    with running(build, folder, REPLAY_STALL="1s") as (alone, history):
        history.add("u:u", range(500), size=50_000)
        client, _ = alone.resume(last_id="0", receive_buffer=4096)
        live = alone.connect()
        history.add("u:u", [500])
        assert numbers(take(live, 1)) == [500]
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_closed_total", reason="slow_reader") == 1, 10, "it is closed")
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_replay_bytes") == 0, 5, "its memory is given back")
        assert alone.gateway.metric("tidegate_gateway_replaying") == 0
        client.close()


def test_redis_away_in_the_midst_of_a_replay(build, folder):
    with running(build, folder) as (alone, history):
        history.sender.maxlen = 1_000_000
        ids = history.add("u:u", range(2000), size=5000)
        client, hello = alone.resume(last_id=text_of(ids[0]), receive_buffer=65536)
        got = take(client, 200)
        alone.redis.stop()
        wait_until(lambda: not alone.gateway.ready(), 10, "it knows that Redis is away")
        alone.redis.start()
        alone.gateway.wait_ready()
        got += take(client, 1799)
        assert numbers(got) == list(range(1, 2000))


def test_one_delivery_of_an_event_for_several_targets(build, folder):
    with running(build, folder) as (alone, history):
        both = ["u:u", "g"]
        live = alone.connect()
        start = history.beat()
        for n in range(5):
            for target in both:
                history.add(target, [n], targets=both)
        history.add("u:u", [5])
        history.add("g", [5], key="other")
        assert numbers(take(live, 7)) == [0, 1, 2, 3, 4, 5, 5]
        other = alone.connect("v")
        client, _ = alone.resume(last_id=text_of(start))
        assert numbers(take(client, 7)) == [0, 1, 2, 3, 4, 5, 5]
        for target in both:
            history.add(target, [6], targets=both)
        for one in (live, client, other):
            assert numbers(take(one, 1)) == [6]
            silent(one, 0.1)


def test_ephemeral_events_do_not_wait(build, folder):
    with running(build, folder, REFILL_WAIT="10s") as (alone, history):
        history.add("u:u", [1])
        client = alone.connect()
        history.mark("u:u", epoch=8, since=history.beat(), refilling=1)
        client.send_json({"type": "resume", "last_id": "0"})
        client.send_json({"type": "ping"})
        assert client.recv_json()["type"] == "pong"
        history.sender.epoch = 8
        history.add("u:u", [2])
        alone.publish("u", event(3, target="u:u"))
        assert numbers(take(client, 1)) == [3]
        silent(client, 0.3)
        history.client("HSET", marker("u:u"), "refilling", 0)
        assert client.recv_json()["type"] == "resumed"
        assert numbers(take(client, 2)) == [1, 2]

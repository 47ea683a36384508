"""Devices: what each has taken is remembered, by its acks or by its pongs, and it gets the rest."""

import contextlib
import time

from lib.alone import Alone, History
from lib.functions import cursors, text_of
from lib.proc import wait_until
from lib.wire import PING, PONG, TEXT, RawSocket, frame


@contextlib.contextmanager
def running(build, folder, **options):
    options.setdefault("CURSOR_INTERVAL", "100ms")
    with Alone(folder, build, **options) as alone:
        history = History(alone.redis)
        history.mark("g", "u:u")
        yield alone, history
        history.close()


def places(history, user="u"):
    """Device → (position, has acked by itself)."""
    row = history.client("HGETALL", cursors(f"u:{user}"))
    return {row[i].decode(): (row[i + 1].split()[0].decode(), row[i + 1].split()[2] == b"1") for i in range(0, len(row), 2)}


def wait_place(history, device, position, user="u"):
    wait_until(lambda: places(history, user).get(device, ("", 0))[0] == position, 10, f"{device} is at {position}", every=0.02)


class Deaf(RawSocket):
    """Reads, and answers no pings."""

    def take(self, count, seconds=10):
        got = []
        while len(got) < count:
            opcode, payload = self.recv(seconds)
            if opcode == TEXT and b'"task_update"' in payload:
                got.append(payload)
        return got


def take(client, count, seconds=20):
    got = []
    while len(got) < count:
        message = client.recv_json(seconds)
        assert message is not None, f"closed after {len(got)} of {count}"
        if message["type"] == "task_update":
            got.append(message)
    return got


def numbers(messages):
    return [message["n"] for message in messages]


def answer(client, message):
    """What is answered to it at once."""
    client.send_json(message)
    client.send_json({"type": "ping"})
    answers = []
    while not answers or answers[-1]["type"] != "pong":
        answers.append(client.recv_json())
    return [a["code"] for a in answers if a["type"] == "error"]


def test_an_unknown_device_starts_at_the_end(build, folder):
    with running(build, folder) as (alone, history):
        listener = alone.connect()
        ids = history.add("u:u", range(5))
        take(listener, 5)  # so they are safe
        client, hello = alone.resume(device_id="tv")
        assert hello["recovered"] and hello["replay"] == 0, hello
        assert places(history)["tv"] == (hello["position"], False)  # at once
        assert hello["position"] == text_of(ids[-1]), hello
        client.close()
        history.add("u:u", [5, 6])
        client, hello = alone.resume(device_id="tv")
        assert hello["recovered"] and hello["replay"] == 2 and numbers(take(client, 2)) == [5, 6], hello


def test_an_unknown_device_of_a_bucket_that_was_lost(build, folder):
    """Its cursor may have been lost too: from the beginning."""
    with running(build, folder, USER_HISTORY_RETENTION="10s") as (alone, history):
        since = history.beat()
        history.mark("u:u", since=since)
        history.add("u:u", range(3))
        client, hello = alone.resume(device_id="tv")
        assert not hello["recovered"] and hello["replay"] == 3, hello
        assert numbers(take(client, 3)) == [0, 1, 2]
        history.mark("u:u", since=since - 11_000_000)  # longer ago than events are kept
        client, hello = alone.resume(device_id="phone")
        assert hello["recovered"] and hello["replay"] == 0, hello


def test_acks(build, folder):
    with running(build, folder) as (alone, history):
        history.beat()
        client, hello = alone.resume(device_id="tv")
        first = hello["position"]
        history.add("u:u", range(10))
        ids = [m["id"] for m in take(client, 10)]
        for n in (3, 1, 3, 2):  # cumulative, idempotent, never back
            assert answer(client, {"type": "ack", "id": ids[n]}) == []
        assert answer(client, {"type": "ack", "id": first}) == []
        wait_place(history, "tv", ids[3])
        ahead = "%s-%d" % (ids[9].split("-")[0], int(ids[9].split("-")[1]) + 1)
        assert answer(client, {"type": "ack", "id": ahead}) == ["ack_ahead"]
        assert answer(client, {"type": "ack", "id": "x"}) == ["malformed_message"]
        assert answer(alone.connect(), {"type": "ack", "id": ids[3]}) == ["no_device"]
        time.sleep(0.5)
        assert places(history)["tv"] == (ids[3], True)
        client.close()
        client, hello = alone.resume(device_id="tv")
        assert hello["recovered"] and hello["position"] == ids[3] and numbers(take(client, 6)) == list(range(4, 10)), hello
        assert answer(client, {"type": "ack", "id": ids[9]}) == []
        wait_place(history, "tv", ids[9])


def test_one_that_never_acks(build, folder):
    """Its pongs count; and one whose client answers none is where it was."""
    with running(build, folder) as (alone, history):
        history.beat()
        lively, _ = alone.resume(device_id="lively")
        _, start = alone.resume(device_id="deaf")
        deaf = Deaf(alone.port, alone.path() + "&device_id=deaf")
        history.add("u:u", range(10))
        ids = [m["id"] for m in take(lively, 10)]
        deaf.take(10)
        pongs = 0
        while pongs == 0:
            opcode, payload = lively.recv()
            if opcode == PING:
                lively.send(frame(PONG, payload))
                pongs += 1
        wait_place(history, "lively", ids[-1])
        time.sleep(0.3)
        assert places(history) == {"lively": (ids[-1], False), "deaf": (start["position"], False)}
        deaf.send(frame(PONG, b"") + frame(PONG, b"0-1"))  # of another ping
        time.sleep(0.3)
        assert places(history)["deaf"] == (start["position"], False)


def test_one_that_acked_once_is_believed_only_by_its_acks(build, folder):
    with running(build, folder) as (alone, history):
        history.beat()
        client, _ = alone.resume(device_id="tv")
        history.add("u:u", range(3))
        ids = [m["id"] for m in take(client, 3)]
        assert answer(client, {"type": "ack", "id": ids[0]}) == []
        wait_place(history, "tv", ids[0])
        for _ in range(2):  # nor on later connections
            for _ in range(3):
                client.send(frame(PONG, ids[2]))
                assert answer(client, {"type": "ping"}) == []
            time.sleep(0.5)
            assert places(history)["tv"] == (ids[0], True)
            client, hello = alone.resume(device_id="tv")
            assert numbers(take(client, 2)) == [1, 2]


def test_last_id_wins(build, folder):
    with running(build, folder) as (alone, history):
        ids = [text_of(i) for i in history.add("u:u", range(5))]
        client, _ = alone.resume(device_id="tv")
        client, hello = alone.resume(device_id="tv", last_id=ids[1])
        assert hello["position"] == ids[1] and numbers(take(client, 3)) == [2, 3, 4]
        assert answer(client, {"type": "ack", "id": ids[1]}) == []
        time.sleep(0.3)
        assert places(history)["tv"][0] == ids[4]  # which never falls


def calls(history, command):
    info = history.client("INFO", "commandstats").decode()
    row = next((line for line in info.splitlines() if line.startswith(f"cmdstat_{command}:")), "calls=0,")
    return int(row.split("calls=")[1].split(",")[0])


def test_cursors_are_written_in_batches(build, folder):
    """20 devices of one user, 300 events, every message acked: a call or two an interval."""
    with running(build, folder, CURSOR_INTERVAL="500ms", RATE_LIMIT_MAX_MESSAGES="0") as (alone, history):
        history.beat()
        devices = {f"d{n}": alone.resume(device_id=f"d{n}")[0] for n in range(20)}
        before, started = alone.gateway.metric("tidegate_gateway_cursor_writes_total"), time.monotonic()
        hsets = calls(history, "hset")
        last = None
        for start in range(0, 300, 30):
            history.add("u:u", range(start, start + 30))
            for client in devices.values():
                for message in take(client, 30):
                    client.send_json({"type": "ack", "id": message["id"]})
                    last = message["id"]
        for device in devices:
            wait_place(history, device, last)
        written = alone.gateway.metric("tidegate_gateway_cursor_writes_total") - before
        intervals = (time.monotonic() - started) / 0.5
        assert written <= intervals + 2, (written, intervals)
        assert calls(history, "hset") - hsets <= 20 * (intervals + 2)


def test_a_refused_place_is_tried_again_soon(build, folder):
    """Not an interval later: what refuses for moments, as often as we try, would meet every try."""
    with running(build, folder, CURSOR_INTERVAL="10s") as (alone, history):
        history.client("CONFIG", "SET", "min-replicas-to-write", 1)
        client, _ = alone.resume(device_id="d")

        def failed(count):
            return alone.gateway.metric("tidegate_gateway_cursor_failures_total") >= count

        wait_until(lambda: failed(1), 20, "a place is refused")
        wait_until(lambda: failed(4), 8, "three more tries")
        history.client("CONFIG", "SET", "min-replicas-to-write", 0)
        wait_until(lambda: "d" in places(history), 30, "the place")
        said = [record["event"] for record in alone.gateway.log_records() if record["event"].startswith("cursors_")]
        assert said == ["cursors_refused", "cursors_accepted"], said
        client.close()


def test_the_place_outlives_a_gateway(build, folder):
    """Killed: what was written is not told again, what was not is. Stopped: nothing is told again."""
    with running(build, folder, count=2) as (alone, history):
        history.beat()
        client, _ = alone.resume(device_id="tv")
        listener = alone.connect(gateway=1)
        history.add("u:u", range(10))
        ids = [m["id"] for m in take(client, 10)]
        take(listener, 10)  # so they are safe there too
        client.send_json({"type": "ack", "id": ids[6]})
        wait_place(history, "tv", ids[6])
        alone.gateway.kill()
        client, hello = alone.resume(device_id="tv", gateway=1)
        assert hello["recovered"] and numbers(take(client, 3)) == [7, 8, 9], hello
        client.send_json({"type": "ack", "id": ids[9]})
        client.send_json({"type": "ping"})
        while client.recv_json()["type"] != "pong":
            pass
        alone.gateways[1].stop()
        assert places(history)["tv"][0] == ids[9]
        alone.gateway.start()
        _, hello = alone.resume(device_id="tv")
        assert hello["recovered"] and hello["replay"] == 0, hello


def test_the_last_ack_before_a_close_counts(build, folder):
    with running(build, folder, CURSOR_INTERVAL="1s") as (alone, history):
        history.beat()
        client, _ = alone.resume(device_id="tv")
        history.add("u:u", range(3))
        last = take(client, 3)[-1]["id"]
        client.send_json({"type": "ack", "id": last})
        client.close()
        wait_place(history, "tv", last)


def test_devices_are_forgotten(build, folder):
    with running(build, folder, DEVICE_TTL="60s", DEVICES_MAX="3") as (alone, history):
        ids = history.add("u:u", range(3))
        for n in range(5):
            alone.resume(device_id=f"d{n}")[0].close()
            time.sleep(0.01)
        wait_until(lambda: set(places(history)) == {"d2", "d3", "d4"}, 5, "the three seen last are kept")
        history.client("HSET", cursors("u:u"), "d3", f"{text_of(ids[0])} {int(time.time() * 1000) - 61_000} 0")
        client, hello = alone.resume(device_id="d3")  # idle for longer: as if never seen
        assert hello["replay"] == 0, hello
        history.client("HSET", cursors("u:u"), "d4", f"{text_of(ids[0])} {int(time.time() * 1000) - 61_000} 0")
        alone.resume(device_id="d2")
        wait_until(lambda: set(places(history)) == {"d2", "d3"}, 5, "an idle one is gone")
        assert 0 < history.client("PTTL", cursors("u:u")) <= 60_000


def test_one_that_is_connected_for_long_is_not_forgotten(build, folder):
    with running(build, folder, DEVICE_TTL="2s") as (alone, history):
        history.beat()
        client, hello = alone.resume(device_id="tv")
        time.sleep(4)
        assert places(history) == {"tv": (hello["position"], False)}
        client.close()
        wait_until(lambda: not places(history), 10, "it is forgotten after that")


def test_a_device_that_nobody_could_remember(build, folder):
    """Redis away at the wrong moment: the place is written when it is back."""
    with running(build, folder) as (alone, history):
        history.beat()
        client, _ = alone.resume(device_id="tv")
        history.add("u:u", range(3))
        ids = [m["id"] for m in take(client, 3)]
        alone.redis.stop()
        client.send_json({"type": "ack", "id": ids[2]})
        client.close()
        wait_until(lambda: not alone.gateway.ready(), 10, "it knows that Redis is away")
        alone.redis.start()
        history.client = alone.redis_client()
        wait_place(history, "tv", ids[2])


def test_memory_in_redis_is_a_place_a_device(build, folder):
    with running(build, folder) as (alone, history):
        history.add("u:u", range(100))
        for n in range(50):
            alone.resume(device_id=f"device-{n:020}")[0].close()
        wait_until(lambda: len(places(history)) == 50, 5, "all are remembered")
        used = history.client("MEMORY", "USAGE", cursors("u:u"), "SAMPLES", "0")
        assert used < 50 * 150, used
        assert len(history.client("KEYS", "*:?:u:u")) <= 5

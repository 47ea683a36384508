"""The function library in a real redis-server: what redis_fn.h promises."""

import itertools
import time

from lib.functions import (NOW, SOURCE, ZERO, Sender, assert_chain, bodies, channel, count, cursor, cursors, entries,
                           keys, log, marker, meta, new_pipe, pack, parts_of, pipe_with_marker, prefix, read, refused,
                           running, tags, text_of, unpack)
from lib.proc import wait_until
from lib.redis import RedisClient, RedisError, encode

HOUR = 3_600_000


def test_append_gives_ids_logs_and_publishes_the_same_bytes(folder):
    with running(folder) as (server, client):
        s = pipe_with_marker(client, "u:1")
        listener = RedisClient(server.port)
        listener("SSUBSCRIBE", channel("u:1"))
        ids = client.pipeline([s.append("u:1", "t#0/0", i, body=b"\x00 b%d \xff" % i) for i in range(100)])
        assert ids == sorted(set(ids)) and ids[0] > 1_600_000_000_000_000, ids[:3]
        prevs = [0, *ids]
        expected = [(text_of(i), f"{text_of(i)} {text_of(p)} ".encode() + b"\x00 b%d \xff" % at)
                    for at, (i, p) in enumerate(zip(ids, prevs))]
        assert entries(client, "u:1") == expected
        heard = [listener.reply() for _ in ids]
        assert heard == [[b"smessage", channel("u:1").encode(), envelope] for _, envelope in expected]
        assert client("FCALL", "tg1_heads", 2, meta("u:1"), meta("u:1") + "x") == [ids[-1], 0]


def test_ids_increase_over_all_targets_of_a_node(folder):
    with running(folder) as (_, client):
        targets = [f"u:{i}" for i in range(20)]
        client.pipeline([new_pipe().mark(t, create=NOW) for t in targets])
        s = new_pipe()
        ids = client.pipeline([s.append(t, "t#0/0", i) for i in range(20) for t in targets])
        assert all(isinstance(i, int) for i in ids) and ids == sorted(set(ids)) and min(ids) > 0


def test_the_clock_is_read_once_a_turn(folder):
    with running(folder) as (_, client):
        s, other = pipe_with_marker(client, "u:1"), new_pipe()

        def send(sender, turn):
            return client(*sender.append("u:1", "t#0/0", next(offsets), turn=turn))

        offsets = itertools.count()
        first = send(s, 5)
        assert [send(s, 5), send(s, 5)] == [first + 1, first + 2]
        for sender, turn in ((s, 6), (other, 6), (s, 6), (s, 0), (s, 0)):
            now = sum(int(x) * y for x, y in zip(client("TIME"), (1_000_000, 1)))
            assert send(sender, turn) >= now
        assert_chain(client, "u:1")


def test_repeats_and_rewinds_are_dropped(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        events = [(part, offset, n) for offset in range(10) for part in ("t#0/0", "t#0/1", "other#2/0")
                  for n in range(2)]
        first = client.pipeline([s.append("u:1", *e) for e in events])
        assert min(first) > 0
        assert set(client.pipeline([s.append("u:1", *e) for e in events])) == {0}
        assert parts_of(client, "u:1") == {p: (9, 1) for p in ("t#0/0", "t#0/1", "other#2/0")}
        again = client.pipeline([s.append("u:1", "t#0/0", offset, 1) for offset in (8, 9, 10)])
        assert again[:2] == [0, 0] and again[2] > first[-1]
        assert client("XLEN", log("u:1")) == len(events) + 1
        new_generation = client(*s.append("u:1", "t#1/0", 0))
        assert new_generation > again[2]
        assert_chain(client, "u:1")


def test_a_pipe_takes_only_its_next_number(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        commands = [s.append("u:1", "t#0/0", i) for i in range(4)]
        replies = client.pipeline([commands[0], commands[2], commands[3], commands[0], commands[1]])
        assert replies[0] > 0 and replies[4] > replies[0]
        assert [str(r) for r in replies[1:4]] == ["TGPIPE 3"] * 3
        unknown = new_pipe()
        unknown.seq = 1
        for command in (unknown.append("u:1"), unknown.publish("u:1"), unknown.mark("u:1"), unknown.beat("u:1")):
            assert refused(client.ask(*command), "TGPIPE 1")
        everything = new_pipe()
        replies = client.pipeline([everything.beat("u:1"), everything.append("u:1", "t#0/0", 9), everything.publish("u:1"),
                                   everything.append("u:1", "t#0/0", 9), everything.mark("u:1", {"t#0/0": 10})])
        assert replies[0][0] < replies[1] and replies[2:] == [1, 0, 7], replies


def test_a_refusal_of_any_kind_breaks_the_pipe(folder):
    with running(folder) as (_, client):
        pipe_with_marker(client, "u:1")
        pipe_with_marker(client, "u:wrong")
        client("SET", log("u:wrong"), "not a stream")
        for bad, text in [(lambda s: s.append("u:1", "t#0/1", 1, epoch=8), "TGEPOCH 7"),
                          (lambda s: s.append("u:2", "t#0/1", 1), "TGMARKER"),
                          (lambda s: s.mark("u:2"), "TGMARKER"),
                          (lambda s: s.append("u:wrong", "t#0/1", 1), "WRONGTYPE")]:
            s = new_pipe()
            replies = client.pipeline([s.publish("u:1"), bad(s), s.append("u:1", "t#0/2", 1), s.publish("u:1")])
            assert replies[0] == 1 and refused(replies[1], text), replies
            assert refused(replies[2], "TGPIPE 2") and refused(replies[3], "TGPIPE 2"), replies
        assert client("EXISTS", meta("u:wrong"), log("u:1")) == 0


def flap(folder, fault, mend, mended="OK"):
    """Sends numbered events as a router does: many calls in one pipeline, and after a failure a new pipe from the first
    call that failed. In the middle of every other pipeline the fault comes, and goes again before its end."""
    count, batch, at, failures = 5000, 200, 0, 0
    with running(folder) as (_, client):
        pipe_with_marker(client, "u:1")
        for turn in itertools.count():
            s = new_pipe(maxlen=count)
            calls = [s.append("u:1", "t#0/0", o, body=b"%d" % o) for o in range(at, min(count, at + batch))]
            struck = turn % 2 == 0 and len(calls) == batch
            if struck:
                calls[60:60], calls[140:140] = [fault], [mend]
            replies = client.pipeline(calls)
            if struck:
                assert replies.pop(140) == mended and replies.pop(60) == "OK"
            failed = [i for i, r in enumerate(replies) if isinstance(r, RedisError)]
            if failed:
                assert failed == list(range(failed[0], len(replies))), "a success behind a failure"
                failures += 1
            at += failed[0] if failed else len(replies)
            if at == count:
                break
        assert failures >= 10, failures
        assert bodies(client, "u:1") == [b"%d" % i for i in range(count)]
        assert_chain(client, "u:1")


def config(name, value):
    return "CONFIG", "SET", name, value


def test_out_of_memory_in_mid_pipeline_loses_nothing(folder):
    flap(folder, config("maxmemory", 1), config("maxmemory", 0))


def test_no_replicas_in_mid_pipeline_loses_nothing(folder):
    flap(folder, config("min-replicas-to-write", 1), config("min-replicas-to-write", 0))


def test_a_missing_library_in_mid_pipeline_loses_nothing(folder):
    flap(folder, ("FUNCTION", "FLUSH"), ("FUNCTION", "LOAD", SOURCE), b"tidegate")


def test_order_and_duplicates_survive_a_restart(folder):
    with running(folder, "--appendfsync", "always") as (server, client):
        s = pipe_with_marker(client, "u:1")
        ids = client.pipeline([s.append("u:1", "t#0/0", i) for i in range(10)])
        server.proc.kill()
        server.start()
        client = RedisClient(server.port)
        assert client("FCALL", "tg1_version", 0) >= 1, "the library is not in the append-only file"
        assert refused(client.ask(*s.append("u:1", "t#0/0", 10)), "TGPIPE 1")
        s = new_pipe()
        replies = client.pipeline([s.append("u:1", "t#0/0", i) for i in range(12)])
        assert replies[:10] == [0] * 10 and ids[-1] < replies[10] < replies[11]
        assert_chain(client, "u:1")


def test_ids_go_on_above_all_that_is_known(folder):
    ahead = 5_000_000_000_000_000  # the year 2128: as if the clock had been set back since
    with running(folder, "--appendfsync", "always") as (server, client):
        s = pipe_with_marker(client, "u:1")
        beat = client(*s.beat("u:1", floor=ahead))
        assert beat == [ahead + 1, client("FCALL", "tg1_version", 0)]
        assert client(*s.append("u:1", "t#0/0", 1)) == ahead + 2
        assert client(*s.beat("u:1", floor=5)) == [ahead + 3, beat[1]]
        assert client(*s.append("u:1", "t#0/0", 2)) == ahead + 4

        client("FLUSHALL")  # the node's clock is not in its data
        s = pipe_with_marker(client, "u:1")
        assert client(*s.append("u:1", "t#0/0", 1)) == ahead + 6
        assert client(*s.beat("u:1")) == [ahead + 7, beat[1]]

        server.restart()
        client = RedisClient(server.port)
        s = new_pipe()
        assert client(*s.append("u:1", "t#0/0", 2)) == ahead + 7, "the meta knows the last id"
        assert client(*s.beat("u:1")) == [ahead + 8, beat[1]], "and so does the beat's key"

        client("FUNCTION", "LOAD", "REPLACE", SOURCE)
        s = new_pipe()
        assert client(*s.beat("u:1")) == [ahead + 9, beat[1]]


def test_a_beat_is_heard_behind_all_that_it_vouches_for(folder):
    with running(folder) as (server, client):
        s = pipe_with_marker(client, "u:1")
        listener = RedisClient(server.port)
        beat = prefix("u:1") + "beat"
        listener.pipeline([("SSUBSCRIBE", beat), ("SSUBSCRIBE", channel("u:1"))])
        first, (vouched, _), second = client.pipeline([s.append("u:1"), s.beat("u:1"), s.append("u:1")])
        assert first < vouched < second
        heard = [listener.reply() for _ in range(3)]
        assert [h[1] for h in heard] == [channel("u:1").encode(), beat.encode(), channel("u:1").encode()]
        assert heard[1][2] == text_of(vouched).encode()


def test_published_only(folder):
    with running(folder) as (server, client):
        listener = RedisClient(server.port)
        listener("SSUBSCRIBE", channel("r:x"))
        assert client(*new_pipe().publish("r:x", b"typing")) == 1
        assert client(*Sender().publish("r:x", b"no pipe")) == 1
        assert [listener.reply()[2] for _ in range(2)] == [b"0 0 typing", b"0 0 no pipe"]
        assert client("KEYS", "*") == []


def test_without_a_marker_nothing_is_appended(folder):
    with running(folder) as (_, client):
        assert refused(client.ask(*new_pipe().append("u:1", "t#0/0", 1)), "TGMARKER")
        assert refused(client.ask(*Sender().append("u:1", epoch=0)), "TGMARKER")
        assert refused(client.ask(*new_pipe().mark("u:1", {"t#0/0": 1})), "TGMARKER")
        assert client("KEYS", "*") == []


def test_the_first_to_make_a_marker_sets_its_epoch(folder):
    with running(folder) as (_, client):
        s = new_pipe()
        before = client(*s.beat("u:1"))[0]
        assert client(*s.mark("u:1", {"t#0/0": 5}, create=NOW, epoch=11)) == 11
        fields = client("HMGET", marker("u:1"), "epoch", "since", "t#0/0")
        since = sum(int(x) * y for x, y in zip(fields[1].split(b"-"), (1000, 1)))
        assert fields[0] == b"11" and fields[2] == b"5" and before < since < client(*s.beat("u:1"))[0]
        assert client(*s.mark("u:1", {"t#0/0": 9, "x#0/0": 1}, create=NOW, epoch=12)) == 11, "the epoch in force"
        assert client("HGETALL", marker("u:1")) == [b"epoch", b"11", b"since", fields[1], b"t#0/0", b"5"]
        assert client(*s.mark("u:2", create=ZERO, epoch=11)) == 11
        assert client("HGET", marker("u:2"), "since") == b"0"
        assert refused(client.ask(*s.mark("u:1", {"t#0/0": 9}, epoch=12)), "TGEPOCH 11")
        assert client("PTTL", marker("u:1")) == -1


def test_watermarks_only_rise(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        big = 9_007_199_254_740_991
        for given, expected in [({"a#0/0": 0, "b#0/0": 10}, (0, 10)), ({"a#0/0": 7, "b#0/0": 9}, (7, 10)),
                                ({"a#0/0": 7, "b#0/0": big}, (7, big)), ({}, (7, big))]:
            assert client(*s.mark("u:1", given)) == 7
            assert tuple(map(int, client("HMGET", marker("u:1"), "a#0/0", "b#0/0"))) == expected
        many = {f"topic-{i}#0/{i}": i for i in range(1000)}
        assert client(*s.mark("u:1", many)) == 7
        assert client("HLEN", marker("u:1")) == 2 + 2 + len(many)


def test_below_the_watermark_all_was_applied(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        client(*s.append("u:1", "t#0/0", 41))
        client(*s.mark("u:1", {"t#0/0": 42}))
        client("DEL", meta("u:1"), log("u:1"))  # as if both had expired
        replies = client.pipeline([s.append("u:1", "t#0/0", 41), s.append("u:1", "t#0/0", 42), s.append("u:1", "t#1/0", 3)])
        assert replies[0] == 0 and 0 < replies[1] < replies[2]


def test_epochs(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        first = client(*s.append("u:1", "t#0/0", 5))
        assert refused(client.ask(*new_pipe().append("u:1", "t#0/0", 6, epoch=8)), "TGEPOCH 7")
        assert refused(client.ask(*new_pipe().append("u:1", "new#0/0", 6, epoch=8)), "TGEPOCH 7")

        client("DEL", marker("u:1"))
        assert refused(client.ask(*new_pipe().append("u:1", "new#0/0", 6)), "TGMARKER")
        assert client(*new_pipe().mark("u:1", create=NOW, epoch=8)) == 8
        s = new_pipe(epoch=8)
        replies = client.pipeline([s.append("u:1", "t#0/0", 5), s.append("u:1", "t#0/0", 6)])
        assert replies[0] == 0 and replies[1] > first, "what the meta knew still holds"
        assert unpack(client("GET", meta("u:1")))[1] == 8
        assert refused(client.ask(*new_pipe(epoch=7).append("u:1", "t#0/0", 7)), "TGEPOCH 8")
        assert client(*Sender(epoch=0).append("u:1")) > replies[1]
        assert client(*s.append("u:1", "t#0/0", 7)) > replies[1]
        assert_chain(client, "u:1")


def test_flushall_stops_appends_until_a_new_epoch(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        last = client.pipeline([s.append("u:1", "t#0/0", i) for i in range(3)])[-1]
        client("FLUSHALL")
        replies = client.pipeline([s.append("u:1", "t#0/0", 3), s.append("u:1", "t#0/0", 4)])
        assert refused(replies[0], "TGMARKER") and refused(replies[1], "TGPIPE 5")
        s = new_pipe(epoch=8)
        assert client(*s.mark("u:1", {"t#0/0": 3}, create=NOW)) == 8
        replies = client.pipeline([s.append("u:1", "t#0/0", i) for i in (2, 3, 4)])
        assert replies[0] == 0 and last < replies[1] < replies[2]
        assert entries(client, "u:1")[0][1].split(b" ")[1] == b"0"


def test_expiry_is_refreshed_seldom_and_never_shrinks(folder):
    with running(folder) as (_, client):
        def left():
            return client("PTTL", log("u:1")), client("PTTL", meta("u:1"))

        s = pipe_with_marker(client, "u:1", ttl=HOUR)
        client(*s.append("u:1", "t#0/0", 1))
        log_left, meta_left = left()
        assert HOUR - 60_000 < log_left <= HOUR and 1.25 * HOUR - 60_000 < meta_left <= 1.25 * HOUR
        client("PEXPIRE", log("u:1"), HOUR // 2)
        client(*s.append("u:1", "t#0/0", 2))
        assert left()[0] <= HOUR // 2, "refreshed although it was new"
        client(*s.append("u:1", "t#0/0", 3, ttl=2 * HOUR))
        log_left, meta_left = left()
        assert 2 * HOUR - 60_000 < log_left <= 2 * HOUR and 2.5 * HOUR - 60_000 < meta_left <= 2.5 * HOUR
        client(*s.append("u:1", "t#0/0", 4, ttl=1000))
        assert left()[0] > 2 * HOUR - 60_000, "shrunk"
        # an old one: its meta says that the log expires in 80 minutes
        values = unpack(client("GET", meta("u:1")))
        values[2] -= 40 * 60_000
        client("SET", meta("u:1"), pack(*values), "KEEPTTL")
        client("PEXPIRE", log("u:1"), 80 * 60_000)
        client(*s.append("u:1", "t#0/0", 5, ttl=2 * HOUR))
        assert left()[0] > 2 * HOUR - 60_000, "not refreshed"
        assert left()[1] > 2.5 * HOUR - 60_000
        client(*s.append("u:1", "t#0/0", 6, ttl=2 * HOUR))
        assert left()[1] > 0, "the meta stays for ever"
        client(*s.append("u:1", "t#0/0", 7, ttl=3 * HOUR + 1))  # a quarter of it is no whole millisecond
        assert left()[1] > 3.75 * HOUR - 60_000


def test_publishers_keys_hold_for_their_window(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        t0 = 1_700_000_000_000

        def send(key, at, part="", offset=0):
            return client(*s.append("u:1", part, offset, key=key, window=1000, kafka_ms=at))

        first = send("a", t0)
        assert first > 0 and send("a", t0) == 0 and send("a", t0 + 900) == 0
        assert send("b", t0 + 500) > first
        assert send("x", t0 + 1000) > first and send("a", t0 + 1000) == 0
        assert send("c", t0 + 1001) > first and send("a", t0 + 1001) > first, "its window is over"
        assert send("b", t0 + 1001) == 0
        assert client("XLEN", log("u:1")) == 5
        # the same record again is a repeat by its coordinate, another one with the same key by its key
        assert send("k", t0 + 1001, "t#0/0", 1) > 0 and send("k2", t0 + 1001, "t#0/0", 1) == 0
        assert send("k2", t0 + 1001, "t#0/0", 2) > 0, "a dropped repeat must not take its key"
        assert send("k", t0 + 1001, "t#0/0", 3) == 0
        assert parts_of(client, "u:1") == {"t#0/0": (3, 0)}
        assert send("k", t0 + 10_000, "t#0/0", 3) == 0, "rewound, its window over: the coordinate remembers"
        assert_chain(client, "u:1")


def test_a_window_ends_for_the_only_key_too(folder):
    """Keys leave their set now and then; a window ends at its end, looking forward and back."""
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        t0 = 1_700_000_000_000

        def send(at):
            return client(*s.append("u:1", key="a", window=1000, kafka_ms=at))

        assert send(t0) > 0 and send(t0 + 1000) == 0
        assert send(t0 + 1001) > 0 and send(t0 + 2001) == 0, "taken again from then on"
        assert send(t0 + 1) == 0 and send(t0) > 0, "a record from before it"
        assert send(t0 + 1500) == 0, "an older record must not lower its time"
        for n in range(40):
            client(*s.append("u:1", key=f"k{n}", window=1000, kafka_ms=t0 + 10_000 * n))
        assert client("ZCARD", keys("u:1")) < 20


def test_a_time_ahead_of_the_clock_does_not_wipe_the_keys(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        now = int(client("TIME")[0]) * 1000

        def send(key, at):
            return client(*s.append("u:1", key=key, window=60_000, kafka_ms=at))

        assert send("a", now) > 0 and send("wild", now * 2) > 0
        assert send("a", now) == 0 and send("wild", now) == 0
        assert send("wild", now * 2) == 0, "ahead is now, there as here"
        client("ZADD", keys("u:1"), int(time.time() * 1000) - 60_001, "old")
        assert send("old", int(time.time() * 1000)) > 0, "now has milliseconds"
        assert HOUR < client("PTTL", keys("u:1")) <= HOUR + 60_000


def test_keys_of_a_target_are_bounded(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1", maxlen=10)
        client("ZADD", keys("u:1"), *itertools.chain(*((1000 + i, f"old{i}") for i in range(10_000))))
        assert client(*s.append("u:1", key="new", window=60_000, kafka_ms=20_000)) > 0
        assert client("ZCARD", keys("u:1")) == 10_000
        assert client("ZSCORE", keys("u:1"), "old0") is None and client("ZSCORE", keys("u:1"), "old1") is not None


def test_an_append_that_fails_leaves_no_key(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        client("SET", log("u:1"), "not a stream")
        assert isinstance(client.ask(*s.append("u:1", "t#0/0", 1, key="a", kafka_ms=5)), RedisError)
        assert client("EXISTS", keys("u:1"), meta("u:1")) == 0
        client("DEL", log("u:1"))
        assert client(*new_pipe().append("u:1", "t#0/0", 1, key="a", kafka_ms=5)) > 0


def test_pipes_that_are_long_idle_are_forgotten(folder):
    with running(folder) as (_, client):
        pipe_with_marker(client, "u:1")
        busy, idle = new_pipe(), new_pipe()
        assert client.pipeline([busy.publish("u:1"), idle.publish("u:1")]) == [1, 1]
        for _ in range(50):
            replies = client.pipeline([new_pipe().publish("u:1") for _ in range(100)] + [busy.publish("u:1")])
            assert set(replies) == {1}
        assert refused(client.ask(*idle.publish("u:1")), "TGPIPE 1")
        few = [new_pipe() for _ in range(1900)]
        for _ in range(3):
            assert set(client.pipeline([p.publish("u:1") for p in few])) == {1}


def test_a_meta_keeps_few_coordinates_and_detects_repeats_of_all(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        parts = [f"events#0/{i}" for i in range(100)]
        assert min(client.pipeline([s.append("u:1", p, 50) for p in parts])) > 0
        assert len(parts_of(client, "u:1")) == 100, "nothing vouches for them yet"
        assert set(client.pipeline([s.append("u:1", p, 50) for p in parts])) == {0}
        client(*s.mark("u:1", {p: 51 for p in parts[:90]}))
        client(*s.append("u:1", "one#0/0", 1))
        kept = parts_of(client, "u:1")
        assert len(kept) == 64 and list(kept)[0] == "one#0/0", len(kept)
        assert set(client.pipeline([s.append("u:1", p, o) for p in parts for o in (3, 50)])) == {0}
        assert min(client.pipeline([s.append("u:1", p, 51) for p in parts])) > 0
        assert set(client.pipeline([s.append("u:1", p, 51) for p in parts])) == {0}
        assert_chain(client, "u:1")


def test_coordinates_have_a_hard_bound(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        parts = [f"{'t' * 200}#0/{i}" for i in range(600)]
        assert min(client.pipeline([s.append("u:1", p, 2**40 + i, 200) for i, p in enumerate(parts)])) > 0
        kept = parts_of(client, "u:1")
        assert list(kept) == parts[:-513:-1]
        assert kept[parts[-1]] == (2**40 + 599, 200)


def test_names_that_are_parts_of_others_are_kept_apart(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        parts = ["a#0/1", "a#0/11", "aa#0/1", "a#1/1", "a#0/0"] + ["x" * n + "#0/1" for n in range(1, 249, 7)]
        for offset in range(3):
            assert min(client.pipeline([s.append("u:1", p, offset) for p in parts])) > 0
        assert set(client.pipeline([s.append("u:1", p, o) for p in parts for o in range(3)])) == {0}
        assert parts_of(client, "u:1") == dict.fromkeys(parts, (2, 0))


def test_logs_are_trimmed(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1", maxlen=50)
        client.pipeline([s.append("u:1", "t#0/0", i, body=b"x" * 500) for i in range(1000)])
        assert 50 <= client("XLEN", log("u:1")) < 160
        assert_chain(client, "u:1")


def test_every_bucket_has_its_slot(folder):
    with running(folder, "--cluster-enabled", "yes") as (_, client):
        client("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: b"cluster_state:ok" in client("CLUSTER", "INFO"), 10, "cluster")
        slots = client.pipeline([("CLUSTER", "KEYSLOT", "tg:{%d}:b" % tags()[b]) for b in range(1024)])
        assert slots == [16 * b + 8 for b in range(1024)]
        for target in ("u:1", "r:survey:}{", "g"):
            s = pipe_with_marker(client, target)
            replies = client.pipeline([s.append(target, "t#0/0", 1, key="k"), s.publish(target), s.beat(target),
                                       s.mark(target, {"t#0/0": 2})])
            assert not any(isinstance(r, RedisError) for r in replies), replies
            assert client("FCALL", "tg1_heads", 1, meta(target)) == [replies[0]]
        client("CLUSTER", "DELSLOTSRANGE", 0, 16383)
        assert refused(client.ask(*s.append("g", "t#0/0", 2)), "CLUSTERDOWN")


def test_a_replica_refuses_to_write_and_answers_heads(folder):
    quick = "--repl-diskless-sync-delay", "0", "--shutdown-timeout", "0"
    with running(folder, *quick) as (server, client), running(folder / "replica", loaded=False) as (_, replica):
        s = pipe_with_marker(client, "u:1")
        last = client(*s.append("u:1", "t#0/0", 1))
        replica("REPLICAOF", "127.0.0.1", server.port)
        wait_until(lambda: b"master_link_status:up" in replica("INFO", "replication"), 20, "replication")
        for command in (new_pipe().append("u:1"), new_pipe().publish("u:1"), new_pipe().beat("u:1"), new_pipe().mark("u:1")):
            assert refused(replica.ask(*command), "READONLY")
        assert replica("FCALL", "tg1_heads", 1, meta("u:1")) == [last]
        assert replica("FCALL", "tg1_version", 0) >= 1


def test_rights_that_suffice(folder):
    with running(folder) as (server, client):
        client("ACL", "SETUSER", "router", "on", "nopass", "resetkeys", "~tg:*", "resetchannels", "&tg:*", "-@all",
               "+fcall", "+function|load", "+time", "+get", "+set", "+xadd", "+spublish", "+pexpire", "+hget", "+hset",
               "+hmget", "+hexists", "+hincrby", "+hdel", "+zadd", "+zscore", "+zcard", "+zremrangebyscore", "+zremrangebyrank")
        router = RedisClient(server.port)
        router("AUTH", "router", "any")
        s = pipe_with_marker(router, "u:1")
        replies = router.pipeline([s.append("u:1", "t#0/0", 1, key="a"), s.append("u:1", "t#0/0", 1),
                                   s.append("u:1", "x#0/0", 1), s.publish("u:1"), s.beat("u:1"), s.mark("u:1", {"t#0/0": 2}),
                                   s.mark("u:1", {"r:y#0/0": 9}), s.refill("u:1", "y#0/0", 3, key="b"),
                                   s.mark("u:1", {"~y#0/0": 9})])
        assert not any(isinstance(r, RedisError) for r in replies), replies
        assert refused(router.ask("FUNCTION", "LOAD", SOURCE), "ERR Library 'tidegate' already exists")
        assert refused(router.ask("FCALL", "tg1_beat", 1, "elsewhere", pack("", 0, 0)), "NOPERM")


def test_errors_read_as_the_callers_expect(folder):
    """The texts by which redis_fn.c knows them."""
    with running(folder, loaded=False) as (_, client):
        assert str(client.ask("FCALL", "tg1_version", 0)) == "ERR Function not found"
        client("FUNCTION", "LOAD", SOURCE)
        assert str(client.ask("FUNCTION", "LOAD", SOURCE)) == "ERR Library 'tidegate' already exists"
        client("CONFIG", "SET", "maxmemory", 1)
        assert refused(client.ask(*new_pipe().append("u:1")), "OOM ")
        assert refused(client.ask(*new_pipe().beat("u:1")), "OOM ")
        client("CONFIG", "SET", "maxmemory", 0, "min-replicas-to-write", 1)
        assert refused(client.ask(*new_pipe().append("u:1")), "NOREPLICAS ")


def test_reading_a_log_in_pieces(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1")
        sizes = [10, 3000, 100, 100, 100, 100_000] + [50] * 300
        ids = client.pipeline([s.append("u:1", "t#0/0", i, body=b"x" * size) for i, size in enumerate(sizes)])
        envelopes = [envelope for _, envelope in entries(client, "u:1")]
        assert client(*read(log("u:1"))) == [1, *envelopes]
        assert client(*read(log("u:1"), ids[-2])) == [1, envelopes[-1]]
        assert client(*read(log("u:1"), ids[-1])) == [1] and client(*read(log("u:none"))) == [1]
        for most, size in ((1, 1 << 20), (7, 1 << 20), (1000, 1), (1000, 2500), (1000, 20_000)):
            got, after = [], 0
            for _ in range(1000):
                ended, *piece = client(*read(log("u:1"), after, most, size))
                assert len(piece) <= most and sum(map(len, piece[:-1])) < size, (most, size, piece)
                got += piece
                after = ids[len(got) - 1]
                if ended:
                    break
            assert got == envelopes, (most, size, len(got))


def test_counting_a_log(folder):
    with running(folder) as (_, client):
        s = pipe_with_marker(client, "u:1", maxlen=1_000_000)
        ids = client.pipeline([s.append("u:1", "t#0/0", i) for i in range(300)])
        assert client(*count(log("u:none"))) == [0, 0, 0]
        assert client(*count(log("u:1"), most=0)) == [ids[0], 300, 0]  # known without looking
        assert client(*count(log("u:1"), ids[99])) == [ids[0], 200, 0]
        assert client(*count(log("u:1"), 0, ids[99])) == [ids[100], 200, 0]
        assert client(*count(log("u:1"), ids[-1])) == [ids[0], 0, 0]
        assert client(*count(log("u:1"), 0, ids[-1])) == [0, 0, 0]
        assert client(*count(log("u:1"), ids[0], most=0)) == [ids[0], 0, ids[0]]
        counted, at = 0, ids[0]
        while at:
            _, more, at = client(*count(log("u:1"), at, most=70))
            counted += more
        assert counted == 299


def seen(client, target):
    """Device → (position, acks)."""
    row = client("HGETALL", cursors(target))
    return {row[i].decode(): (row[i + 1].split()[0].decode(), row[i + 1].split()[2] == b"1") for i in range(0, len(row), 2)}


def test_cursors_only_rise(folder):
    with running(folder) as (_, client):
        assert client(*cursor("u:1", ("a", 5000, 0), ("b", 0, 1))) == 2
        assert seen(client, "u:1") == {"a": ("5-0", False), "b": ("0", True)}
        client(*cursor("u:1", ("a", 4999, 1), ("b", 7001, 0)))
        assert seen(client, "u:1") == {"a": ("5-0", True), "b": ("7-1", True)}
        assert 3_590_000 < client("PTTL", cursors("u:1")) <= 3_600_000
        client("HSET", cursors("u:1"), "a", "nonsense")
        client(*cursor("u:1", ("a", 6000, 0)))
        assert seen(client, "u:1")["a"] == ("6-0", False)


def test_devices_are_forgotten(folder):
    with running(folder) as (_, client):
        now = int(client("TIME")[0]) * 1000
        for n in range(10):
            client("HSET", cursors("u:1"), f"d{n}", f"1-0 {now - n * 60_000} 0")
        assert client(*cursor("u:1", ("new", 9000, 0), ttl=5 * 60_000 + 30_000)) == 11
        assert set(seen(client, "u:1")) == {"new", *(f"d{n}" for n in range(6))}
        client(*cursor("u:1", ("d5", 9000, 0), most=3))
        assert set(seen(client, "u:1")) == {"new", "d5", "d0"}

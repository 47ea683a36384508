"""History that is refilled, in a real redis-server: the second logs, and the fields of a marker that say what is missing."""

from lib.functions import (NOW, ZERO, assert_chain, bodies, entries, log, marker, marker_of, meta, new_pipe, parts_of,
                           pipe_with_marker, refused, running, second_keys, second_log, second_meta)
from lib.redis import RedisClient, RedisError

HOUR = 3_600_000
P, Q = "t#1/0", "t#1/1"


def lost_marker(client, target, epoch=7, **fields):
    """A marker as a router makes it after a loss: P's live events start at 100, nobody has said where Q's do."""
    s = new_pipe(epoch=epoch, **fields)
    assert client(*s.mark(target, {f"r:{P}": 100, P: 100, f"r:{Q}": "?"}, create=NOW)) == epoch
    return s


def test_a_marker_says_what_is_to_be_refilled(folder):
    with running(folder) as (_, client):
        lost_marker(client, "u:1")
        fields = marker_of(client, "u:1")
        assert int(fields.pop("since").split("-")[0]) > 10 ** 12
        assert fields == {"epoch": "7", f"r:{P}": "100", P: "100", f"r:{Q}": "?", "refilling": "2"}
        assert client(*new_pipe().mark("u:2", {f"r:{P}": 100, P: 100, f"r:{Q}": "?"}, create=ZERO)) == 7
        assert marker_of(client, "u:2") == {"epoch": "7", "since": "0", P: "100"}, "nothing came before"
        assert client(*new_pipe(epoch=8).mark("u:1", {f"r:{P}": 500, P: 500}, create=NOW)) == 7
        assert marker_of(client, "u:1")[P] == "100", "somebody else was first"


def test_bounds_only_rise(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1")
        for part, bound, expected in [(Q, 50, "50"), (Q, 40, "50"), (Q, 60, "60"), (P, 99, "100"), (P, "?", "100")]:
            client(*s.mark("u:1", {f"r:{part}": bound}))
            assert marker_of(client, "u:1")[f"r:{part}"] == expected
        assert marker_of(client, "u:1")["refilling"] == "2"


def test_a_part_that_the_makers_did_not_know_is_declared_once(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1")
        client(*s.mark("u:1", {"new#1/0": 3}))
        client(*s.mark("u:1", {"r:new#1/0": 3}))
        assert "r:new#1/0" not in marker_of(client, "u:1"), "it is known: nothing of it is missing"
        client(*s.mark("u:1", {"r:other#1/0": 3, "other#1/0": 3}))
        client(*s.mark("u:1", {"r:other#1/0": 3, "other#1/0": 3}))
        fields = marker_of(client, "u:1")
        assert (fields["r:other#1/0"], fields["other#1/0"], fields["refilling"]) == ("3", "3", "3")


def test_a_refilled_part_is_done_at_its_bound(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1")
        for offset, expected in [(10, "10"), (5, "10"), (99, "99")]:
            client(*s.mark("u:1", {f"~{P}": offset}))
            assert marker_of(client, "u:1")[f"~{P}"] == expected
        client(*s.mark("u:1", {f"~{Q}": 10 ** 9}))
        assert marker_of(client, "u:1")[f"r:{Q}"] == "?", "its bound is not known yet"
        client(*s.mark("u:1", {f"~{P}": 100}))
        client(*s.mark("u:1", {f"~{P}": 100}))
        fields = marker_of(client, "u:1")
        assert fields["refilling"] == "1" and f"r:{P}" not in fields and f"~{P}" not in fields
        client(*s.mark("u:1", {f"r:{P}": 200}))
        assert f"r:{P}" not in marker_of(client, "u:1"), "done is done"
        client(*s.mark("u:1", {f"r:{Q}": 0, f"~{Q}": 0}))
        assert marker_of(client, "u:1")["refilling"] == "0"
        client(*s.mark("u:1", {"from": 50}))
        client(*s.mark("u:1", {"from": 40}))
        assert marker_of(client, "u:1")["from"] == "50"


def test_a_refill_is_kept_apart_and_heard_by_nobody(folder):
    with running(folder) as (server, client):
        s = lost_marker(client, "u:1")
        listener = RedisClient(server.port)
        listener("SSUBSCRIBE", f"{log('u:1').replace(':l:', ':c:')}")
        live = client.pipeline([s.append("u:1", P, i, body=b"live %d" % i) for i in range(100, 103)])
        old = client.pipeline([s.refill("u:1", P, i, body=b"old %d" % i) for i in range(5)])
        assert min(live) > 0 and old == sorted(set(old)) and old[0] > live[-1]
        assert bodies(client, "u:1") == [b"live %d" % i for i in range(100, 103)]
        assert bodies(client, "u:1", second_log) == [b"old %d" % i for i in range(5)]
        assert_chain(client, "u:1", second_log)
        assert parts_of(client, "u:1") == {P: (102, 0)} and parts_of(client, "u:1", second_meta) == {"~" + P: (4, 0)}
        assert [listener.reply()[2].rsplit(b" ", 1)[1] for _ in live] == [b"100", b"101", b"102"]
        assert listener("PING") == [b"pong", b""], "something else was published"


def test_repeats_zombies_and_what_nobody_awaits(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1")

        def send(part, offset, n=0, **more):
            return client(*s.refill("u:1", part, offset, n, **more))

        assert send(P, 5) > 0 and send(P, 5) == 0 and send(P, 4) == 0 and send(P, 5, 1) > 0 and send(P, 5) == 0
        assert send(P, 100) == 0, "live events are not refilled"
        assert send("unknown#1/0", 5) == 0
        client(*s.mark("u:1", {f"~{P}": 50}))
        client("DEL", second_log("u:1"), second_meta("u:1"))
        assert send(P, 49) == 0 and send(P, 50) > 0, "below the watermark all was refilled"
        client(*s.mark("u:1", {f"~{P}": 100}))
        assert send(P, 51) == 0 and send(P, 99) == 0, "done"
        assert send(Q, 1) > 0
        assert client(*s.append("u:1", P, 100)) > 0, "the pipe goes on"


def test_a_refill_needs_marker_epoch_and_pipe(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1")
        replies = client.pipeline([s.refill("u:1", P, 1), s.refill("u:1", P, 2, epoch=8), s.refill("u:1", P, 3)])
        assert replies[0] > 0 and refused(replies[1], "TGEPOCH 7") and refused(replies[2], "TGPIPE 3")
        client("DEL", marker("u:1"))
        assert refused(client.ask(*new_pipe().refill("u:1", P, 4)), "TGMARKER")
        lost_marker(client, "u:1", epoch=8)
        replies = client.pipeline([p.refill("u:1", P, 0) for p in [new_pipe(epoch=7)]] +
                                  [s.refill("u:1", P, i) for s in [new_pipe(epoch=8)] for i in range(4)])
        assert refused(replies[0], "TGEPOCH 8")
        assert replies[1:3] == [0, 0] and min(replies[3:]) > 0, "the second log knows what it has"
        assert len(entries(client, "u:1", second_log)) == 3
        assert_chain(client, "u:1", second_log)


def test_length_expiry_and_keys_of_second_logs(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1", maxlen=50, ttl=HOUR)
        client.pipeline([s.mark("u:1", {f"r:{P}": 2000})] + [s.refill("u:1", P, i, body=b"x" * 500) for i in range(1000)])
        assert 50 <= client("XLEN", second_log("u:1")) < 160
        assert HOUR - 60_000 < client("PTTL", second_log("u:1")) <= HOUR
        assert 1.25 * HOUR - 60_000 < client("PTTL", second_meta("u:1")) <= 1.25 * HOUR
        how = {"key": "a", "window": 1000}
        assert client(*s.refill("u:1", P, 1001, kafka_ms=5000, **how)) > 0
        assert client(*s.refill("u:1", P, 1002, kafka_ms=5900, **how)) == 0
        assert client(*s.refill("u:1", Q, 1003, kafka_ms=6001, **{**how, "key": "b"})) > 0
        assert client(*s.refill("u:1", P, 1003, kafka_ms=6001, **how)) > 0, "its window is over"
        assert client(*s.append("u:1", P, 2000, kafka_ms=6002, **how)) > 0, "live events have keys of their own"
        assert client("ZCARD", second_keys("u:1")) == 2


def test_many_parts_in_one_second_log(folder):
    with running(folder) as (_, client):
        parts = [f"events#1/{i}" for i in range(200)]
        s = new_pipe()
        client(*s.mark("u:1", {field: 10 for p in parts for field in (f"r:{p}", p)}, create=NOW))
        assert min(client.pipeline([s.refill("u:1", p, o) for o in (3, 4) for p in parts])) > 0
        assert set(client.pipeline([s.refill("u:1", p, o) for o in (3, 4) for p in parts])) == {0}
        client(*s.mark("u:1", {f"~{p}": 5 for p in parts}))
        assert client(*s.refill("u:1", parts[7], 6)) > 0
        assert len(parts_of(client, "u:1", second_meta)) <= 200
        assert set(client.pipeline([s.refill("u:1", p, 4) for p in parts])) == {0}
        replies = client.pipeline([s.mark("u:1", {f"~{p}": 10 for p in parts}), s.refill("u:1", parts[0], 9)])
        assert replies == [7, 0] and not any(isinstance(r, RedisError) for r in replies)
        assert marker_of(client, "u:1")["refilling"] == "0"
        assert client("EXISTS", meta("u:1")) == 0


def test_live_appends_of_a_marker_under_refill(folder):
    with running(folder) as (_, client):
        s = lost_marker(client, "u:1")
        assert client(*s.append("u:1", P, 99)) == 0, "below its watermark"
        assert client(*s.append("u:1", P, 100)) > 0 and client(*s.append("u:1", P, 100)) == 0
        assert client(*pipe_with_marker(client, "u:9").append("u:9", P, 5)) > 0

"""What gateways do by themselves, and with each other through Redis: the first word, counts of users, who may ask."""

import contextlib
import signal
import socket
import time

from lib import jwt
from lib.alone import SECRET, Alone
from lib.functions import meta, presence
from lib.proc import wait_until
from lib.wire import TEXT, RawSocket, frame, request, upgrade_head

PERIOD = 2.5  # gateways tell each other their counts once a second


def test_hello_is_the_first_word(build, folder):
    """Also to a client that does not wait for it, while its channel is still being subscribed."""
    with Alone(folder, build) as alone:
        for number in range(30):
            with contextlib.closing(socket.create_connection(("127.0.0.1", alone.port), 5)) as sock:
                sock.sendall(upgrade_head(alone.port, alone.path(f"new-{number}")) + frame(TEXT, '{"type":"ping"}'))
                got = b""
                while b"pong" not in got:
                    more = sock.recv(4096)
                    assert more, got
                    got += more
                assert b"connected" in got and got.index(b"connected") < got.index(b"pong"), got


def test_places_are_given_back_although_redis_was_away(build, folder):
    with Alone(folder, build, count=2, MAX_CONNECTIONS_PER_USER="3", CHANNEL_LINGER="100ms") as alone:
        clients = [alone.connect() for _ in range(3)]
        time.sleep(PERIOD)
        alone.redis.stop()
        wait_until(lambda: not alone.gateway.ready(), 10, "it knows that Redis is away")
        for client in clients:
            client.close()
        wait_until(lambda: alone.gateway.metric("websocket_connections_total") == 0, 10, "they are gone")
        time.sleep(1)  # long enough for the channel to be let go
        alone.redis.start()
        for gateway in alone.gateways:
            gateway.wait_ready()
        time.sleep(PERIOD)
        assert [alone.close_code(gateway=1) for _ in range(3)] == [None] * 3


def test_a_place_given_back_elsewhere_is_free_here(build, folder):
    with Alone(folder, build, count=2, MAX_CONNECTIONS_PER_USER="2") as alone:
        there = alone.connect(gateway=1)
        time.sleep(PERIOD)
        here = alone.connect()
        assert alone.close_code() == 4029
        there.close()
        time.sleep(PERIOD)
        second = alone.connect()
        time.sleep(PERIOD)
        assert alone.close_code() == 4029 and alone.close_code(gateway=1) == 4029
        here.close()
        second.close()


def test_a_place_that_is_just_being_given_back_elsewhere(build, folder):
    """A client may be here before the word that it left another gateway: a count of that moment refuses nobody."""
    with Alone(folder, build, count=2, MAX_CONNECTIONS_PER_USER="2") as alone:
        client, other = alone.redis_client(), alone.connect("other", gateway=1)
        wait_until(lambda: client("HKEYS", presence("u:other")), 10, "the other gateway's count")
        [worker] = client("HKEYS", presence("u:other"))
        soon = False
        while not soon:  # it has a tenth of a second
            client("HSET", presence("u:u"), worker, 2)
            begin = time.monotonic()
            newcomer = RawSocket(alone.port, alone.path())
            time.sleep(0.03)
            client("HSET", presence("u:u"), worker, 1)
            soon = time.monotonic() - begin < 0.1
            opcode, payload = newcomer.recv()
            newcomer.close()
        assert opcode == TEXT, payload
        client("HSET", presence("u:w"), worker, 2)
        assert alone.close_code("w") == 4029
        client.close()
        other.close()


def test_a_meta_that_is_none(build, folder):
    """Something else under a user's key is that user's misfortune, not everybody's."""
    with Alone(folder, build) as alone:
        client = alone.redis_client()
        client("RPUSH", meta("u:poisoned"), "x")
        client("SET", meta("u:garbled"), "x")
        client.close()
        healthy = alone.connect("healthy")
        alone.connect("poisoned").close()
        alone.connect("garbled").close()
        time.sleep(0.5)
        assert alone.gateway.ready()
        assert sum("redis_down" in line for line in alone.gateway.proc.log().splitlines()) == 0
        healthy.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_a_user_may_ask_where_users_may(build, folder):
    """API_AUTH=user: figures of all, but of connections by user only one's own."""
    server = "a-server-credential-0123456789abcdef"
    with Alone(folder, build, API_AUTH="user", API_TOKEN=server) as alone:
        clients = [alone.connect("alice"), alone.connect("alice"), alone.connect('b"ob'), alone.connect(7)]
        time.sleep(PERIOD)

        def ask(path, token=None):
            return request(alone.port, path, headers=bearer(token) if token else {})

        for path in ("/status", "/stats"):
            for bad in (None, "x", jwt.user("another-secret-0123456789abcdef", "alice"), jwt.user(SECRET, "alice", seconds=-5),
                        jwt.unsigned({"sub": "alice"})):
                answer = ask(path, bad)
                assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", (path, bad, answer)
            assert ask(path, jwt.user(SECRET, "alice")).status == 200 and ask(path, server).status == 200, path
        of = {user: ask("/status", jwt.user(SECRET, user)).json() for user in ("alice", 'b"ob', 7, "nobody")}
        assert [body["connections"] for body in of.values()] == [4] * 4, of
        assert [body["active_users"] for body in of.values()] == [3] * 4, of
        assert of["alice"]["connections_per_user"] == {"alice": 2}, of
        assert of['b"ob']["connections_per_user"] == {'b"ob': 1} and of[7]["connections_per_user"] == {"7": 1}, of
        assert of["nobody"]["connections_per_user"] == {}, of
        assert ask("/status", server).json()["connections_per_user"] == {"alice": 2, 'b"ob': 1, "7": 1}
        log = alone.gateway.proc.log()
        assert server not in log and jwt.user(SECRET, "alice").split(".")[1] not in log
        for client in clients:
            client.close()


def test_a_user_may_not_ask_where_servers_must(build, folder):
    with Alone(folder, build, API_TOKEN="a-server-credential-0123456789abcdef") as alone:
        assert request(alone.port, "/stats", headers=bearer(jwt.user(SECRET, "alice"))).status == 401


def test_the_end_of_a_redis_that_never_answers(build, folder):
    """Statistics asked while Redis is stalled are answered, or cut, when the gateway goes: not waited for."""
    with Alone(folder, build, API_AUTH="open") as alone:
        alone.redis.proc.signal(signal.SIGSTOP)
        with contextlib.closing(socket.create_connection(("127.0.0.1", alone.port), 5)) as sock:
            sock.sendall(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.3)
            started = time.monotonic()
            alone.gateway.proc.signal(signal.SIGTERM)
            assert alone.gateway.proc.wait_exit(10) == 0
            assert time.monotonic() - started < 4

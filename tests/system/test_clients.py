"""Clients that nobody here wrote: websocat, npm's ws and Python's websockets (which the other tests use too)."""

import json
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lib import clients
from lib.clients import Client
from lib.cluster import task

# Every client by every way to bring a token: the value is a function of (address, token).
WAYS = {
    "websocat, query": lambda base, token: clients.websocat(f"{base}?token={token}"),
    "websocat, header": lambda base, token: clients.websocat(base, f"--header=Authorization: Bearer {token}"),
    "websocat, protocol": lambda base, token: clients.websocat(base, f"--protocol=tidegate.v1.json, bearer.{token}"),
    "ws, query": lambda base, token: clients.npm_ws(f"{base}?token={token}"),
    "ws, header": lambda base, token: clients.npm_ws(base, headers={"Authorization": f"Bearer {token}"}),
    "ws, protocol": lambda base, token: clients.npm_ws(base, protocols=["tidegate.v1.json", f"bearer.{token}"]),
    "websockets, query": lambda base, token: Client(f"{base}?token={token}"),
    "websockets, header": lambda base, token: Client(base, headers={"Authorization": f"Bearer {token}"}),
    "websockets, protocol": lambda base, token: Client(base, protocols=["tidegate.v1.json", f"bearer.{token}"]),
}


def url(cluster, gateway=None):
    """At the balancer, or at a gateway by number."""
    port = cluster.balancer.port if gateway is None else cluster.gateways[gateway].port
    return f"ws://127.0.0.1:{port}/ws"


def test_every_client_by_every_way(cluster):
    user = cluster.user()
    token = cluster.token(user)
    opened = {name: way(url(cluster), token) for name, way in WAYS.items()}
    for name, client in opened.items():
        assert client.recv()["user_id"] == user, name
        client.send({"type": "ping"})
        assert client.recv()["type"] == "pong", name
    wide = {"id": 1, "title": "x" * 300_000}
    cluster.produce(user, task(user, 1, task_snapshot=wide), task(user, 2))
    for name, client in opened.items():
        got = [client.recv() for _ in range(2)]
        assert [message["task_id"] for message in got] == [1, 2] and got[0]["task"] == wide, name
        client.close()


def test_frames_of_control(cluster):
    where = f"{url(cluster)}?token={cluster.token(cluster.user())}"
    client = clients.npm_ws(where)
    client.recv()
    for text in ("", "ping", "x" * 125):
        client.send({"ping_frame": text})
        assert client.recv() == {"pong": text}
    client.send({"close_frame": [3999, "good night"]})
    message = client.recv()
    assert message["closed"] == 3999, message
    client.close()
    with connect(where, proxy=None) as socket:
        assert socket.ping(b"x" * 125).wait(10)
        socket.close(3999, "good night")
        assert socket.protocol.close_rcvd.code == 3999, socket.protocol.close_rcvd
    client = clients.websocat(where, "--ping-interval=1", "--ping-timeout=2", "--close-status-code=3999")
    client.recv()
    time.sleep(3)  # longer than it waits for a pong
    client.send({"type": "ping"})
    assert client.recv() == {"type": "pong"}
    client.child.communicate(timeout=10)  # ends its input, so it says goodbye
    assert client.child.returncode == 0


def test_clients_answer_the_server_s_pings(new_cluster):
    cluster = new_cluster(routers=1, gateway={"IDLE_PING": "500ms", "CONNECTION_TIMEOUT": "2s"})
    user = cluster.user()
    opened = {name: way(url(cluster), cluster.token(user)) for name, way in WAYS.items() if "query" in name}
    for client in opened.values():
        client.recv()
    time.sleep(3)  # silent clients are closed after two
    cluster.produce(user, task(user, 1))
    for name, client in opened.items():
        assert client.recv()["task_id"] == 1, name
        client.close()


def test_close_codes_that_clients_see(cluster):
    for name, way in WAYS.items():
        client = way(url(cluster), "nonsense")
        if "websockets" in name:
            assert client.close_code() == (4001, "bad_token"), name
        elif "ws," in name:
            assert client.recv() == {"closed": 4001, "reason": "bad_token"}, name
        else:  # it does not tell the code, only that all is over
            assert client.child.stdout.readline() == "" and client.child.wait(10) == 0, name
    user = cluster.user()
    client = clients.npm_ws(f"{url(cluster)}?token={cluster.token(user)}")
    client.recv()
    client.send({"type": "x" * 70_000})
    assert client.recv() == {"closed": 1009, "reason": "message_too_big"}
    client = cluster.connect(user, None)
    client.send({"type": "x" * 70_000})
    assert client.close_code() == (1009, "message_too_big")


def test_messages_of_16_mib_come_back(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, gateway={"CONFORMANCE": "1"})
    base = f"ws://127.0.0.1:{cluster.gateways[0].port}/echo"
    bytes_ = bytes(range(256)) * 65536
    with connect(base, proxy=None, max_size=None, compression=None) as socket:
        for message in (bytes_, "ä" * (1 << 23), b"", "", "x" * 125, "x" * 126, b"x" * 65535, b"x" * 65536):
            socket.send(message)
            assert socket.recv(timeout=30) == message
        socket.send([bytes_[at:at + 1000] for at in range(0, 100_000, 1000)])  # a message in a hundred fragments
        assert socket.recv(timeout=30) == bytes_[:100_000]
        socket.send(bytes_ + b"x")
        try:
            socket.recv(timeout=30)
            raise AssertionError("a message above the limit came back")
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1009, closed
    wide = {"type": "x" * ((1 << 24) - 12)}  # with what json.dumps writes around it, exactly the limit
    client = clients.npm_ws(base)
    client.send(wide)
    assert client.recv() == wide
    client.close()

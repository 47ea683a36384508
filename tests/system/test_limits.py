"""Too many, too much, too slow."""

import json
import time

from lib.cluster import task
from lib.proc import wait_until
from lib.wire import RawSocket, Refused


def path(cluster, user):
    return f"/ws?token={cluster.token(user)}"


def test_connections_per_user(new_cluster):
    cluster = new_cluster(routers=1, gateway={"MAX_CONNECTIONS_PER_USER": "3"})
    user = cluster.user()
    for gateway in (0, 1, 0):
        cluster.connect(user, gateway)
    time.sleep(2.5)  # gateways tell each other their counts once a second
    for gateway in cluster.gateways:
        assert RawSocket(gateway.port, path(cluster, user)).close_code()[0] == 4029
    cluster.connect(cluster.user(), 0)


def test_connections_per_address(new_cluster):
    cluster = new_cluster(routers=1, gateway={"MAX_CONNECTIONS_PER_IP": "3", "TRUSTED_PROXIES": "127.0.0.1/32",
                                              "WORKERS": "1"})
    port = cluster.gateways[0].port
    held = [RawSocket(port, path(cluster, "u"), headers={"X-Forwarded-For": "10.1.1.1"}) for _ in range(3)]
    try:
        RawSocket(port, path(cluster, "u"), headers={"X-Forwarded-For": "10.1.1.1"})
        raise AssertionError("the fourth connection was let in")
    except Refused as refused:
        assert refused.response.status == 429, refused.response
    held.append(RawSocket(port, path(cluster, "u"), headers={"X-Forwarded-For": "10.1.1.2"}))
    held.pop(0).close()
    wait_until(lambda: can_connect(port, path(cluster, "u"), {"X-Forwarded-For": "10.1.1.1"}), 5, "a place is free again")


def can_connect(port, where, headers=None):
    try:
        RawSocket(port, where, headers).close()
        return True
    except Refused:
        return False


def test_connections_of_a_process(new_cluster):
    cluster = new_cluster(routers=1, gateway={"MAX_CONNECTIONS": "8", "WORKERS": "1"})
    port = cluster.gateways[0].port
    held, status = [], None
    for _ in range(12):
        try:
            held.append(RawSocket(port, path(cluster, cluster.user())))
        except Refused as refused:
            status = refused.response.status
            break
    assert status == 503 and 4 <= len(held) <= 8, (status, len(held))
    held[0].send_json({"type": "ping"})


def test_messages_per_user(new_cluster):
    cluster = new_cluster(routers=1, gateway={"RATE_LIMIT_MAX_MESSAGES": "5", "RATE_LIMIT_WINDOW": "60000"})
    client = cluster.connect(cluster.user())
    for _ in range(6):
        client.send({"type": "ping"})
    assert client.close_code()[0] == 4029
    kinds = [message["type"] for message in client.seen[1:]]
    assert kinds == ["pong"] * 5 + ["error"], kinds


def test_a_slow_reader_is_closed_and_nobody_else(new_cluster):
    cluster = new_cluster(routers=1, gateway={"OUTBOX_BYTES": "2MiB"})
    user = cluster.user()
    healthy = [cluster.connect(user, gateway) for gateway in (0, 1)]
    slow = RawSocket(cluster.gateways[0].port, path(cluster, user), receive_buffer=4096)
    wide = "x" * 20000
    count = 800  # 16 MB: more than the kernel and OUTBOX_BYTES hold for the slow one
    for start in range(0, count, 40):  # the healthy ones are given time to read, for they are slow Python
        numbers = list(range(start, start + 40))
        cluster.produce(user, *[json.dumps({"event_type": "task.created", "user_id": user, "task": {"id": n, "wide": wide}})
                                for n in numbers])
        for client in healthy:
            assert [message["task_id"] for message in client.tasks(40, 60)] == numbers
    wait_until(lambda: (cluster.gateways[0].metric("websocket_connections_total") or 0) == 1, 20, "the slow one is gone")
    code, _ = slow.close_code()
    assert code in (4008, None), code
    page = cluster.gateways[0].get("/metrics").body.decode()
    assert any("slow_reader" in line and not line.endswith(" 0") for line in page.splitlines()), page

"""What the programs say of themselves over HTTP."""

import time

from lib import metrics
from lib.cluster import task
from lib.proc import wait_until
from lib.wire import request


def test_health_and_ready(cluster):
    for program in cluster.programs:
        answer = program.get("/health")
        assert answer.status == 200 and answer.headers["content-type"].startswith("application/json"), answer
        assert answer.json()["status"]
        assert program.get("/ready").status == 200


def test_metrics_pages_are_well_formed(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    cluster.produce(user, task(user, 1))
    client.tasks(1)
    for program in cluster.programs:
        answer = program.get("/metrics")
        assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain"), answer
        samples = metrics.parse(answer.body.decode())
        seen = {(name, tuple(sorted(labels.items()))) for name, labels, _ in samples}
        assert len(seen) == len(samples), "a series stands twice"
    for name in ("websocket_connections_total", "websocket_messages_sent_total", "websocket_disconnections_total",
                 "websocket_connections_by_user_count"):
        assert cluster.gateways[0].metric(name) is not None, name
    page = cluster.gateways[0].get("/metrics").body.decode()
    for bound in ("0.05", "0.1", "0.2", "1"):
        assert f'le="{bound}"' in page, bound


def test_latency_from_kafka_to_socket(cluster):
    user = cluster.user()
    client = cluster.connect(user, 0)
    cluster.produce(user, *[task(user, n) for n in range(20)])
    client.tasks(20)
    page = cluster.gateways[0].get("/metrics").body.decode()
    counts = [line for line in page.splitlines() if line.startswith("tidegate_gateway_") and "_seconds_count" in line]
    assert any(float(line.split()[-1]) >= 20 for line in counts), counts


def test_lag_belongs_to_who_has_the_partition(cluster):
    def partitions():
        samples = [metrics.parse(r.get("/metrics").body.decode()) for r in cluster.routers]
        return [sorted(int(labels["partition"]) for name, labels, _ in page if "lag" in name and labels.get("topic") == cluster.topic)
                for page in samples]
    wait_until(lambda: sorted(sum(partitions(), [])), 15, "lag metrics", every=0.5)
    first, second = partitions()
    assert not set(first) & set(second), (first, second)


def test_counts_hold_over_all_gateways(new_cluster):
    cluster = new_cluster(routers=1, gateway={"API_AUTH": "open"})
    one, two = cluster.user(), cluster.user()
    for user, gateway in ((one, 0), (one, 1), (two, 1)):
        cluster.connect(user, gateway)

    def agreed(gateway):
        body = gateway.get("/status").json()
        return body["connections"] == 3 and body
    for gateway in cluster.gateways:
        body = wait_until(lambda g=gateway: agreed(g), 10, "three connections in /status")
        assert set(body) == {"service", "version", "status", "connections", "active_users", "connections_per_user"}, body
        assert (body["service"], body["version"], body["status"]) == ("WebSocket Service", "1.0.0", "running"), body
        assert body["active_users"] == 2 and body["connections_per_user"] == {one: 2, two: 1}, body
        assert gateway.get("/stats").status == 200


def test_counts_of_a_killed_gateway_go(new_cluster):
    cluster = new_cluster(routers=1, gateway={"API_AUTH": "open"})
    user = cluster.user()
    for gateway in (0, 1):
        cluster.connect(user, gateway)
    wait_until(lambda: cluster.gateways[0].get("/status").json()["connections"] == 2, 10, "two connections")
    cluster.gateways[1].kill()
    wait_until(lambda: cluster.gateways[0].get("/status").json()["connections"] == 1, 20, "one connection")


def test_a_gateway_that_nobody_hears_of_counts_itself(new_cluster):
    """A Redis that refuses to write knows of no gateway after a while."""
    cluster = new_cluster(gateways=1, routers=0, gateway={"WORKERS": 1})
    device = cluster.connect(cluster.user())
    redis = cluster.redis_client()

    def counted():
        return cluster.gateways[0].get("/health").json()["connections"]

    def leases():
        return redis("KEYS", "tg:*:w:*")
    wait_until(lambda: counted() == 1, 10, "it is counted")
    redis("CONFIG", "SET", "maxmemory", "1")
    redis("DEL", *leases())  # as if its time were over
    end = time.monotonic() + 2.5  # in which it counts twice
    while time.monotonic() < end:
        assert counted() == 1
    assert device.open()
    redis("CONFIG", "SET", "maxmemory", "0")
    wait_until(leases, 10, "it is known again")
    assert counted() == 1


def test_statistics_need_a_credential(new_cluster):
    cluster = new_cluster(routers=1, gateways=1, gateway={"API_TOKEN": "a-server-credential-0123456789"})
    port = cluster.gateways[0].port
    for path in ("/status", "/stats"):
        assert request(port, path).status == 401, path
        assert request(port, path, headers={"Authorization": "Bearer wrong"}).status in (401, 403), path
        assert request(port, path, headers={"Authorization": f"Bearer {cluster.token('u')}"}).status in (401, 403), path
        good = request(port, path, headers={"Authorization": "Bearer a-server-credential-0123456789"})
        assert good.status == 200, good


def test_profiles_of_health(new_cluster):
    cluster = new_cluster(routers=1, gateways=1, gateway={"PROFILE": "skill"})
    cluster.connect(cluster.user())
    wait_until(lambda: cluster.gateways[0].get("/health").json() == {"status": "healthy", "connections": 1}, 10,
               "the connection in /health")

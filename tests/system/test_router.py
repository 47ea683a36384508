"""What the router owes the logs: each event once and in order, whatever happens to routers, groups and Redis meanwhile."""

import signal
import subprocess

from lib.cluster import task
from lib.kafka import Broker
from lib.logs import assert_logs, numbers_in_log, stream
from lib.ports import free_port
from lib.proc import wait_until


def events_named(router, name):
    return [record for record in router.log_records() if record["event"] == name]


def test_rebalances_while_events_flow(new_cluster):
    cluster = new_cluster(gateways=1)
    users = [cluster.user() for _ in range(8)]
    for n in stream(cluster, users, 400, 12):
        if n == 80:
            assert cluster.routers[1].stop() == 0
        if n == 140:
            cluster.routers[1].start(wait=False)
        if n == 220:
            cluster.routers[0].kill()
        if n == 240:
            cluster.routers[0].start(wait=False)
        if n == 320:
            assert cluster.routers[0].stop() == 0
    assert_logs(cluster, users, list(range(400)))


def test_a_router_that_lost_its_partitions_while_it_slept(new_cluster):
    cluster = new_cluster(gateways=1)
    users = [cluster.user() for _ in range(8)]
    for n in stream(cluster, users, 400, 14):
        if n == 60:
            cluster.routers[0].proc.signal(signal.SIGSTOP)
        if n == 320:  # the session timeout is 6 s: by now the other router has them all
            cluster.routers[0].proc.signal(signal.SIGCONT)
    assert_logs(cluster, users, list(range(400)))


def test_partitions_are_moved_under_load(new_cluster):
    """Records lie in the pipe when they are revoked."""
    cluster = new_cluster(gateways=1, start=False, router={"USER_HISTORY_LENGTH": 100000, "MAX_INFLIGHT": 4096})
    users = [cluster.user() for _ in range(20)]
    cluster.kafka.create_topic(cluster.topic)
    cluster.kafka.produce(cluster.topic, [(user, task(user, n, note="x" * 300)) for n in range(2000) for user in users])
    cluster.redis.start()
    first, second = cluster.routers
    first.start(wait=False)
    wait_until(lambda: numbers_in_log(cluster, users[0]), 30, "the first events")
    for _ in range(2):
        second.start()
        assert second.stop() == 0
    second.start(wait=False)
    assert first.stop() == 0
    assert_logs(cluster, users, list(range(2000)), 90)


test_partitions_are_moved_under_load.seconds = 180


def test_flushall_is_noticed_and_live_events_go_on(new_cluster):
    cluster = new_cluster(gateways=1)
    users = [cluster.user() for _ in range(4)]
    for n in stream(cluster, users, 200, 5):
        if n == 100:
            client = cluster.redis_client()
            client("FLUSHALL")
            client.close()
    for user in users:
        wait_until(lambda user=user: numbers_in_log(cluster, user)[-1:] == [199], 30, "the last event")
        found = numbers_in_log(cluster, user)
        assert found == list(range(found[0], 200)) and found[0] <= 101, found
    assert any(events_named(router, "redis_lost_buckets") for router in cluster.routers)
    client = cluster.redis_client()
    markers = client("KEYS", "tg:{*}:b")
    assert len(markers) == 1024
    assert client("HGET", markers[0], "since") != b"0"
    client.close()


def test_flushall_without_traffic(new_cluster):
    cluster = new_cluster(gateways=1, routers=1)
    client = cluster.redis_client()
    client("FLUSHALL")
    wait_until(lambda: len(client("KEYS", "tg:{*}:b")) == 1024, 10, "the markers are made anew")
    client.close()


def test_redis_asleep(new_cluster):
    """Partitions are paused and resumed; the group notices nothing."""
    cluster = new_cluster(gateways=1)
    users = [cluster.user() for _ in range(4)]
    wait_until(lambda: all(router.metric("tidegate_router_partitions") for router in cluster.routers), 30, "both have some")
    before = sum(router.metric("tidegate_router_rebalances_total") for router in cluster.routers)
    for n in stream(cluster, users, 200, 12):
        if n == 50:
            cluster.redis.proc.signal(signal.SIGSTOP)
        if n == 150:
            cluster.redis.proc.signal(signal.SIGCONT)
    assert_logs(cluster, users, list(range(200)))
    assert all(events_named(router, "partitions_paused") for router in cluster.routers)
    assert sum(router.metric("tidegate_router_rebalances_total") for router in cluster.routers) == before


def test_a_dead_letter_topic_that_is_not_to_be_had(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, router={"DLQ_SUFFIX": "/no topic", "DLQ_RETRY": "2s"})
    user = cluster.user()
    cluster.kafka.produce_bytes(cluster.topic, b"bad", partition=0)
    cluster.produce(user, task(user, 0), partition=0)
    cluster.wait_log(user, 1, 5)
    [router] = cluster.routers
    wait_until(lambda: events_named(router, "record_passed"), 20, "the record is passed")
    [passed] = events_named(router, "record_passed")
    assert (passed["topic"], passed["partition"], passed["offset"]) == (cluster.topic, 0, 0), passed
    assert router.metric("tidegate_router_records_total", outcome="passed") == 1
    assert router.stop() == 0
    router.start()
    cluster.produce(user, task(user, 1), partition=0)
    assert_logs(cluster, [user], [0, 1])
    assert len(events_named(router, "record_passed")) == 1, "it was done with, and came again"


def test_where_a_first_installation_starts(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, start=False, router={"START": "latest"})
    user = cluster.user()
    cluster.kafka.create_topic(cluster.topic)
    cluster.produce(user, task(user, 0))
    cluster.start()
    cluster.produce(user, task(user, 1))
    cluster.wait_log(user, 1)
    assert cluster.routers[0].stop() == 0
    cluster.produce(user, task(user, 2))
    cluster.routers[0].start()
    assert_logs(cluster, [user], [1, 2])
    client = cluster.redis_client()
    assert client("HGET", client("KEYS", "tg:{*}:b")[0], "since") == b"0"
    client.close()


def certificate(folder):
    """A certificate for 127.0.0.1 that is its own authority: (certificate, key and certificate) as PEM files."""
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True,
                   stderr=subprocess.DEVNULL)
    both.write_text(key.read_text() + cert.read_text())
    return cert, both


def test_sasl_plain_over_tls(new_cluster, folder):
    cert, keystore = certificate(folder)
    port = free_port()
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_tidegate="not-a-secret";'
    broker = Broker(folder)
    plain, control = broker.ports[0], free_port()
    broker = Broker(folder, options={
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},SAFE://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}",
        "controller.quorum.voters": f"1@127.0.0.1:{control}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SAFE:SASL_SSL,CONTROLLER:PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.safe.plain.sasl.jaas.config": login,
        "listener.name.safe.ssl.keystore.type": "PEM",
        "listener.name.safe.ssl.keystore.location": keystore})
    broker.ports, broker.brokers = [plain], f"127.0.0.1:{plain}"
    broker.start()
    try:
        safe = {"KAFKA_CONFIG_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_CONFIG_SASL_MECHANISM": "PLAIN",
                "KAFKA_CONFIG_SASL_USERNAME": "tidegate", "KAFKA_CONFIG_SASL_PASSWORD": "not-a-secret",
                "KAFKA_CONFIG_SSL_CA_LOCATION": cert}
        cluster = new_cluster(gateways=1, routers=1, kafka=broker, kafka_brokers=f"127.0.0.1:{port}", router=safe)
        user = cluster.user()
        cluster.produce(user, *[task(user, n) for n in range(5)])
        assert_logs(cluster, [user], list(range(5)))
        [router] = cluster.routers
        assert "not-a-secret" not in router.proc.log()
        router.stop()
        router.env["KAFKA_CONFIG_SASL_PASSWORD"] = "wrong"
        router.start(wait=False)
        wait_until(lambda: "uthentication" in router.proc.log(), 20, "the refusal in the log")
        assert router.proc.alive() and not router.ready()
        router.stop()
    finally:
        broker.stop()


def test_kafka_back_without_traffic(new_cluster, folder):
    broker = Broker(folder).start()
    try:
        cluster = new_cluster(gateways=1, routers=1, kafka=broker)
        [router] = cluster.routers
        broker.nodes[0].kill()
        wait_until(lambda: not router.ready(), 20, "the router misses Kafka")
        assert "kafka_unreachable" in router.get("/ready").body.decode()
        broker.nodes[0].start()
        broker.wait_ready()
        router.wait_ready(40)
    finally:
        broker.stop()

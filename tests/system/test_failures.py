"""Servers that die, answer errors or are not there: nothing that Kafka acknowledged is missing from the logs."""

import json
import pathlib
import time

from chaos.faultproxy import FaultProxy, second_listener
from lib import kafka as kafka_servers
from lib.cluster import task
from lib.logs import numbers_in_log, stream
from lib.proc import wait_until
from lib.redis import RedisClient


def numbers(messages):
    return [message["task_id"] for message in messages]


def test_a_router_killed_and_started_again_in_mid_stream(new_cluster):
    cluster = new_cluster()
    users = [cluster.user() for _ in range(8)]
    devices = {user: [cluster.connect(user, gateway) for gateway in (0, 1)] for user in users}
    for n in stream(cluster, users, 500, 6):
        if n == 150:
            cluster.routers[0].kill()
        if n == 250:
            cluster.routers[0].start(wait=False)
        if n == 350:
            cluster.routers[1].kill()
            cluster.routers[1].start(wait=False)
    for user in users:
        for device in devices[user]:
            assert numbers(device.tasks(500, 60)) == list(range(500))
        assert cluster.log_length(user) == 500
    for user in users:
        for device in devices[user]:
            device.quiet(0.05)


def test_redis_restarted_in_mid_stream(new_cluster):
    cluster = new_cluster()
    users = [cluster.user() for _ in range(4)]
    devices = [cluster.connect(user, gateway) for user in users for gateway in (0, 1)]
    for n in stream(cluster, users, 300, 4):
        if n == 100:
            cluster.redis.stop()
            assert all(not g.ready() for g in cluster.gateways) or wait_until(
                lambda: all(g.get("/ready").status == 503 for g in cluster.gateways), 10, "gateways not ready")
        if n == 150:
            cluster.redis.start()
    for user in users:
        cluster.wait_log(user, 300)
        assert cluster.log_length(user) == 300
    for device in devices:
        assert device.open(), "a socket was closed because Redis was away"
    for program in cluster.programs:
        program.wait_ready()
    for user in users:
        cluster.produce(user, task(user, 1000))
    for device in devices:
        wait_for_number(device, 1000)


def wait_for_number(device, number, seconds=20):
    deadline = time.monotonic() + seconds
    while device.recv(max(0.01, deadline - time.monotonic())).get("task_id") != number:
        pass


def test_redis_killed_loses_nothing_from_the_logs(new_cluster):
    cluster = new_cluster()
    users = [cluster.user() for _ in range(4)]
    for n in stream(cluster, users, 300, 4):
        if n == 150:
            cluster.redis.kill()
            cluster.redis.start()
    for user in users:
        cluster.wait_log(user, 300)
        assert numbers_in_log(cluster, user) == list(range(300))


def test_a_gateway_killed(new_cluster):
    cluster = new_cluster()
    user = cluster.user()
    healthy = cluster.connect(user, 1)
    cluster.connect(user, 0)
    for n in stream(cluster, [user], 200, 2):
        if n == 100:
            cluster.gateways[0].kill()
    assert numbers(healthy.tasks(200)) == list(range(200))
    assert cluster.log_length(user) == 200
    again = cluster.connect(user, None)
    cluster.gateways[0].start()
    cluster.produce(user, task(user, 999))
    assert numbers(again.tasks(1)) == [999]


def refuse_by_failed_snapshot(control):
    """MISCONF: a snapshot that cannot be put in its place, and so no writes."""
    [_, folder] = control("CONFIG", "GET", "dir")
    pathlib.Path(folder.decode(), "not-a-file").mkdir(exist_ok=True)
    control("CONFIG", "SET", "dbfilename", "not-a-file", "save", "3600 1")
    control("BGSAVE")
    wait_until(lambda: b"rdb_last_bgsave_status:err" in control("INFO", "persistence"), 10, "a snapshot failed", every=0.02)


def test_redis_errors_flapping_under_a_full_pipeline(new_cluster):
    cluster = new_cluster(router={"USER_HISTORY_LENGTH": 10000}, redis_options=("--enable-protected-configs", "yes"))
    users = [cluster.user() for _ in range(6)]
    devices = {user: cluster.connect(user, i % 2) for i, user in enumerate(users)}
    total = 1500
    cluster.kafka.produce(cluster.topic, [(user, task(user, n)) for n in range(total // 2) for user in users])
    control = RedisClient(cluster.redis.port)
    second = False
    for turn in range(12):
        if turn % 4 == 0:
            refuse_by_failed_snapshot(control)
        elif turn % 4 == 1:
            control("CONFIG", "SET", "maxmemory", "1")
        elif turn % 4 == 2:
            control("CONFIG", "SET", "min-replicas-to-write", "1")
        else:
            control("FUNCTION", "FLUSH")
        if not second:
            cluster.kafka.produce(cluster.topic,
                                  [(user, task(user, n)) for n in range(total // 2, total) for user in users])
            second = True
        time.sleep(0.15)
        control("CONFIG", "SET", "maxmemory", "0", "min-replicas-to-write", "0", "save", "")
        time.sleep(0.15)
    for user in users:
        cluster.wait_log(user, total)
        assert numbers_in_log(cluster, user)[-total:] == list(range(total))
        assert numbers(devices[user].tasks(total, 30)) == list(range(total))


def test_redis_that_may_evict_is_refused(new_cluster):
    cluster = new_cluster(start=False, routers=1, gateways=1)
    cluster.redis.proc.argv += ["--maxmemory-policy", "allkeys-lru"]
    cluster.redis.start()
    cluster.kafka.create_topic(cluster.topic)
    router = cluster.routers[0].start(wait=False)
    wait_until(lambda: answers(router), 10, "the router answers")
    time.sleep(1)
    answer = router.get("/ready")
    assert answer.status == 503 and b"noeviction" in answer.body, answer
    RedisClient(cluster.redis.port)("CONFIG", "SET", "maxmemory-policy", "noeviction")
    router.wait_ready()


def answers(program):
    try:
        return program.get("/health").status == 200
    except OSError:
        return False


def test_redis_not_there_at_start(new_cluster):
    cluster = new_cluster(start=False)
    cluster.kafka.create_topic(cluster.topic)
    for program in cluster.programs:
        program.start(wait=False)
    for program in cluster.programs:
        wait_until(lambda p=program: answers(p), 10, f"{program.proc.name} answers")
    time.sleep(2)
    for program in cluster.programs:
        assert program.proc.alive() and program.get("/ready").status == 503, program.proc.name
        assert str(cluster.redis.port) in program.proc.log(), f"{program.proc.name} does not say what it misses"
    unready = "tidegate_gateway_workers_unready"
    assert all(gateway.metric(unready) > 0 for gateway in cluster.gateways)
    cluster.redis.start()
    for program in cluster.programs:
        program.wait_ready()
    for gateway in cluster.gateways:
        wait_until(lambda g=gateway: g.metric(unready) == 0, 5, f"{gateway.proc.name} counts its workers as ready")
    user = cluster.user()
    client = cluster.connect(user)
    cluster.produce(user, task(user, 1))
    client.tasks(1)


def test_kafka_not_there_at_start(new_cluster, folder):
    broker = kafka_servers.Broker(folder / "late")
    cluster = new_cluster(start=False, kafka=broker, routers=1, gateways=1)
    try:
        cluster.redis.start()
        router, gateway = cluster.routers[0].start(wait=False), cluster.gateways[0].start()
        wait_until(lambda: answers(router), 10, "the router answers")
        time.sleep(2)
        assert router.proc.alive() and router.get("/ready").status == 503
        assert str(broker.ports[0]) in router.proc.log(), "the router does not say what it misses"
        broker.start()
        broker.create_topic(cluster.topic)
        router.wait_ready(60)
        user = cluster.user()
        client = cluster.connect(user)
        cluster.produce(user, task(user, 1))
        client.tasks(1, 60)
        assert gateway.ready()
    finally:
        cluster.stop()
        broker.stop()


def test_a_broker_killed_of_three(new_cluster, folder):
    brokers = kafka_servers.Broker(folder / "three", nodes=3)
    try:
        brokers.start()
        cluster = new_cluster(kafka=brokers)
        users = [cluster.user() for _ in range(6)]
        devices = {user: [cluster.connect(user, gateway) for gateway in (0, 1)] for user in users}
        for n in stream(cluster, users, 400, 8):
            if n == 150:
                brokers.nodes[1].kill()
        for user in users:
            for device in devices[user]:
                assert numbers(device.tasks(400, 60)) == list(range(400))
            assert cluster.log_length(user) == 400
        assert cluster.stop() == []
    finally:
        brokers.stop()


test_a_broker_killed_of_three.seconds = 240


def test_the_broker_killed_and_started_again(new_cluster, folder):
    broker = kafka_servers.Broker(folder / "one")
    try:
        broker.start()
        cluster = new_cluster(kafka=broker)
        user = cluster.user()
        client = cluster.connect(user)
        cluster.produce(user, *[task(user, n) for n in range(100)])
        client.tasks(100)
        broker.nodes[0].kill()
        time.sleep(1)
        broker.nodes[0].start()
        broker.wait_ready()
        cluster.produce(user, *[task(user, n) for n in range(100, 200)])
        assert numbers(client.tasks(100, 60)) == list(range(100, 200))
        client.quiet(0.5)
        assert cluster.stop() == []
    finally:
        broker.stop()


test_the_broker_killed_and_started_again.seconds = 240


def test_json_log_lines(cluster):
    for program in cluster.programs:
        lines = program.proc.log().splitlines()
        assert lines, f"{program.proc.name} logged nothing"
        for line in lines:
            json.loads(line)


def test_a_join_that_is_never_answered(new_cluster, build, folder):
    """A router that starts waits for its dead predecessor's session to end; meanwhile its connection to Kafka falls silent
    without an end. Nothing but a deadline of its own ends that waiting."""
    broker = second_listener(kafka_servers.Broker(folder / "kafka"))
    with FaultProxy(build, folder) as proxy:
        route = proxy.to_kafka("kafka", broker)
        broker.start()
        try:
            cluster = new_cluster(kafka=broker, routers=1, gateways=1, kafka_brokers=f"127.0.0.1:{route.port}",
                                  router={"KAFKA_CONFIG_socket.timeout.ms": "3000"})
            router = cluster.routers[0]
            router.kill()
            router.start(wait=False)
            wait_until(lambda: answers(router), 10, "the router answers")
            time.sleep(1.5)  # it has asked to join by then, and is not answered within 6 s
            assert not router.ready()
            route.hole()
            route.heal()
            wait_until(router.ready, 120, "the router is ready", every=0.2)
            user = cluster.user()
            client = cluster.connect(user)
            cluster.produce(user, task(user, 1))
            client.tasks(1)
            assert cluster.stop() == []
        finally:
            broker.stop()


test_a_join_that_is_never_answered.seconds = 240

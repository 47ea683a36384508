"""What an operator sees of the way of an event: how long each hop took, and what a process is."""

import os

from lib import metrics
from lib.cluster import task

HOPS = {
    "router": ("tidegate_router_kafka_seconds", "tidegate_router_append_seconds", "tidegate_router_record_seconds"),
    "gateway": ("tidegate_gateway_redis_seconds", "tidegate_gateway_write_seconds", "tidegate_gateway_delivery_seconds"),
}


def total(programs, name):
    return sum(program.metric(name) for program in programs)


def test_every_hop_is_observed(new_cluster):
    cluster = new_cluster()
    user = cluster.user()
    clients = [cluster.connect(user, gateway) for gateway in (0, 1)]
    cluster.produce(user, *[task(user, n) for n in range(20)])
    for client in clients:
        client.tasks(20)
    for name in HOPS["router"]:
        cluster.wait_metric(f"{name}_count", 20, programs=cluster.routers)
        assert total(cluster.routers, f"{name}_count") == 20, name
    for name in HOPS["gateway"]:
        cluster.wait_metric(f"{name}_count", 40, programs=cluster.gateways)
        assert total(cluster.gateways, f"{name}_count") == 40, name
    kafka, append, record = (total(cluster.routers, f"{name}_sum") for name in HOPS["router"])
    assert abs(kafka + append - record) < 0.001, (kafka, append, record)
    redis, write, delivery = (total(cluster.gateways, f"{name}_sum") for name in HOPS["gateway"])
    assert 0 < write and redis + write <= delivery + 40 * 0.001, (redis, write, delivery)


def test_what_a_client_is_told_later_is_no_delivery(new_cluster):
    cluster = new_cluster(routers=1, gateways=1)
    user = cluster.user()
    cluster.produce(user, *[task(user, n) for n in range(5)])
    cluster.wait_log(user, 5)
    client = cluster.connect(user, query="&last_id=0")
    client.tasks(5)
    cluster.wait_metric("tidegate_gateway_replayed_total", 5)
    for name in HOPS["gateway"]:
        assert cluster.gateways[0].metric(f"{name}_count") == 0, name


def test_what_redis_had_is_measured_once(new_cluster):
    cluster = new_cluster(routers=1, gateways=0)
    [router] = cluster.routers
    user = cluster.user()
    cluster.produce(user, *[task(user, n) for n in range(10)])
    cluster.wait_log(user, 10)
    router.kill()
    router.start()
    cluster.produce(user, task(user, 10))
    cluster.wait_log(user, 11)
    repeats = router.metric("tidegate_router_repeats_total")
    assert repeats > 0, "the router went on where it was killed, and nothing is shown"
    cluster.wait_metric("tidegate_router_record_seconds_count", 1, programs=[router])
    for name in HOPS["router"]:
        assert router.metric(f"{name}_count") == 1, name


def test_processes_tell_what_they_are(cluster):
    for program in cluster.programs:
        samples = metrics.parse(program.get("/metrics").body.decode())
        [labels] = [labels for name, labels, _ in samples if name == "tidegate_build_info"]
        assert labels["program"] == program.program and labels["version"], labels
        folder = f"/proc/{program.proc.pid}"
        said = {name: value for name, _, value in samples if name.startswith("process_")}
        assert abs(said["process_open_fds"] - len(os.listdir(f"{folder}/fd"))) <= 3, said
        with open(f"{folder}/limits") as file:
            [limit] = [line.split()[3] for line in file if line.startswith("Max open files")]
        assert said["process_max_fds"] == int(limit)
        with open(f"{folder}/statm") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        assert 0.5 < said["process_resident_memory_bytes"] / resident < 2, said
        assert abs(said["process_start_time_seconds"] - os.stat(folder).st_ctime) < 60, said
        assert 0 < said["process_cpu_seconds_total"] < 600, said

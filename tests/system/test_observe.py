"""What an operator sees of the way of an event: how long each hop took, and what a process is."""

import json
import os
import subprocess

from lib import metrics, tools
from lib.cluster import task
from lib.proc import wait_until
from lib.wire import request

HOPS = {
    "router": ("tidegate_router_kafka_seconds", "tidegate_router_append_seconds", "tidegate_router_record_seconds"),
    "gateway": ("tidegate_gateway_redis_seconds", "tidegate_gateway_write_seconds", "tidegate_gateway_delivery_seconds"),
}


TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
ZEROS = "00-00000000000000000000000000000000-0000000000000000-00"


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


# ---- traces ----

def lines_of_trace(programs, event, user, trace_id=TRACE_ID):
    return [record for program in programs for record in program.log_records()
            if record["event"] == event and record.get("trace_id") == trace_id and record["target"] == f"u:{user}"]


def cloudevent(user, number, **more):
    """As Dapr writes it."""
    return json.dumps({"data": json.loads(task(user, number)), "datacontenttype": "application/json", "id": f"ce-{number}",
                       "source": "task-service", "specversion": "1.0", "type": "com.dapr.event.sent", **more})


def test_a_trace_goes_from_the_record_to_the_client(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    for number, headers in enumerate(([f"traceparent={TRACEPARENT}"], [f"traceparent={ZEROS}"], ["traceparent=nonsense"],
                                      [])):
        cluster.kafka.produce(cluster.topic, [(user, task(user, number))], headers=headers)
    cluster.kafka.produce(cluster.topic, [(user, task(user, 4))], headers=[
        "ce_specversion=1.0", "ce_type=t", "ce_source=/tasks", "ce_id=4", f"ce_traceparent={TRACEPARENT}"])
    cluster.produce(user, cloudevent(user, 5, traceparent=TRACEPARENT), cloudevent(user, 6, traceparent=ZEROS))
    told = {message["task_id"]: message.get("traceparent") for message in client.tasks(7)}
    assert told == {0: TRACEPARENT, 1: None, 2: None, 3: None, 4: TRACEPARENT, 5: TRACEPARENT, 6: None}, told
    cluster.wait_metric("tidegate_router_traceparents_total", 3, programs=cluster.routers, outcome="carried")
    cluster.wait_metric("tidegate_router_traceparents_total", 1, programs=cluster.routers, outcome="malformed")
    for programs, event in ((cluster.routers, "event_appended"), (cluster.gateways, "event_queued")):
        wait_until(lambda p=programs, e=event: len(lines_of_trace(p, e, user)) == 3, 10, f"three log lines {event}")


def test_a_trace_is_told_again_to_who_was_away(cluster):
    user = cluster.user()
    cluster.kafka.produce(cluster.topic, [(user, task(user, 1))], headers=[f"traceparent={TRACEPARENT}"])
    cluster.wait_log(user, 1)
    [message] = cluster.connect(user, query="&last_id=0").tasks(1)
    assert message["traceparent"] == TRACEPARENT, message
    wait_until(lambda: lines_of_trace(cluster.gateways, "event_replayed", user), 10, "the replay's log line")


def test_dead_letters_name_their_trace(new_cluster):
    cluster = new_cluster(routers=1, gateways=0)
    other = "0af7651916cd43dd8448eb211c80319c"
    cluster.kafka.produce_bytes(cluster.topic, b"no JSON", headers=[f"traceparent={TRACEPARENT}"])
    cluster.kafka.produce_bytes(cluster.topic, cloudevent("", 1, traceparent=f"00-{other}-b7ad6b7169203331-00").encode())
    cluster.kafka.produce_bytes(cluster.topic, b"none either")
    cluster.wait_metric("tidegate_router_records_total", 3, outcome="dead_letter")
    letters = [record for record in cluster.routers[0].log_records() if record["event"] == "dead_letter"]
    assert sorted(letter.get("trace_id", "") for letter in letters) == ["", other, TRACE_ID], letters


def test_a_trace_comes_by_http(new_cluster):
    topic = "task-updates-ingest-traced"
    cluster = new_cluster(start=False, routers=1, gateways=1,
                          router={"DAPR_INGEST": "1", "DAPR_PUBSUB": "kafka-pubsub", "INGEST_TOPIC": topic,
                                  "DAPR_TOPIC": "task-updates"})
    cluster.kafka.create_topic(topic)
    cluster.start()
    user = cluster.user()
    client = cluster.connect(user)
    posts = [(task(user, 0), "application/json", {"Traceparent": TRACEPARENT}),
             (cloudevent(user, 1, traceparent=TRACEPARENT), "application/cloudevents+json", {}),
             (task(user, 2), "application/json", {"ce-specversion": "1.0", "ce-id": "2", "ce-source": "s", "ce-type": "t",
                                                  "ce-traceparent": TRACEPARENT}),
             (cloudevent(user, 3, traceparent=ZEROS), "application/cloudevents+json", {"Traceparent": TRACEPARENT})]
    for body, kind, headers in posts:
        answer = request(cluster.routers[0].port, "/task-updates", "POST", {"Content-Type": kind, **headers}, body)
        assert answer.json() == {"status": "SUCCESS"}, answer
    told = {message["task_id"]: message.get("traceparent") for message in client.tasks(len(posts))}
    assert told == {number: TRACEPARENT for number in range(len(posts))}, told


# ---- /metrics ----

OPENMETRICS = "application/openmetrics-text"
# What Prometheus 2 asks for.
ACCEPT = f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
# Read by the parser of Prometheus's own Python client, which takes nothing that the standard does not allow.
STRICT_PARSER = """
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([[family.name, family.type, family.unit,
                   [[s.name, s.labels, s.exemplar and [s.exemplar.labels, s.exemplar.value]] for s in family.samples]]
                  for family in text_string_to_metric_families(sys.stdin.read())]))
"""
# A name that older dashboards know: a gauge in spite of it.
LINT_EXEMPT = "websocket_connections_total non-counter metrics should not have \"_total\" suffix"


def openmetrics(program):
    """The page's families by name, as (type, unit, samples); Unavailable without the parser."""
    answer = program.get("/metrics", headers={"Accept": ACCEPT})
    assert answer.status == 200 and answer.headers["vary"], answer
    assert answer.headers["content-type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8", answer.headers
    assert answer.body.endswith(b"\n# EOF\n")
    if subprocess.run(["/usr/bin/python3", "-c", "import prometheus_client"], capture_output=True).returncode != 0:
        raise tools.Unavailable("the package python3-prometheus-client is not installed")
    done = subprocess.run(["/usr/bin/python3", "-c", STRICT_PARSER], input=answer.body, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return {name: (kind, unit, samples) for name, kind, unit, samples in json.loads(done.stdout)}


def test_who_asks_for_openmetrics_gets_it(cluster):
    for program in cluster.programs:
        for accept in ("*/*", "text/plain", f"text/plain, {OPENMETRICS};q=0.5", f"{OPENMETRICS};version=9", None):
            answer = program.get("/metrics", headers={"Accept": accept} if accept else {})
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8", (accept, answer)
            assert b"# EOF" not in answer.body and b"# UNIT" not in answer.body
        families = openmetrics(program)
        kind, unit, _ = families["process_cpu_seconds"]
        assert (kind, unit) == ("counter", "seconds")
        samples = {name for _, _, rows in families.values() for name, *_ in rows}
        assert samples == {name for name, *_ in metrics.parse(program.get("/metrics").body.decode())}


def test_users_by_name_are_openmetrics_too(new_cluster):
    cluster = new_cluster(routers=1, gateways=1, gateway={"METRICS_PER_USER": "1", "WORKERS": "1"})
    user = cluster.user()
    cluster.connect(user)

    def told():
        return [labels for name, labels, _ in openmetrics(cluster.gateways[0])["websocket_connections_by_user"][2]]
    wait_until(lambda: told() == [{"user": user}], 10, "the user among the metrics")


def exemplars(program, name):
    """Of a histogram: (bound, trace, value) of each bucket that names one."""
    return [(float(labels["le"]), exemplar[0]["trace_id"], exemplar[1])
            for sample, labels, exemplar in openmetrics(program)[name][2] if sample.endswith("_bucket") and exemplar]


def test_buckets_name_the_trace_of_an_event(new_cluster):
    cluster = new_cluster(routers=1, gateways=1)
    user = cluster.user()
    client = cluster.connect(user)
    unrecorded = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    for number, header in enumerate((TRACEPARENT, unrecorded)):
        cluster.kafka.produce(cluster.topic, [(user, task(user, number))], headers=[f"traceparent={header}"])
    client.tasks(2)
    for program, names in ((cluster.routers[0], HOPS["router"]), (cluster.gateways[0], HOPS["gateway"])):
        for name in names:
            cluster.wait_metric(f"{name}_count", 2, programs=[program])
            [(bound, trace, value)] = exemplars(program, name)
            assert trace == TRACE_ID and 0 <= value <= bound, (name, bound, trace, value)


def test_promtool_finds_no_fault(cluster):
    promtool = tools.path("prometheus") / "promtool"
    for program in cluster.programs:
        done = subprocess.run([promtool, "check", "metrics"], input=program.get("/metrics").body, capture_output=True)
        found = [line for line in (done.stdout + done.stderr).decode().splitlines() if line and line != LINT_EXEMPT]
        assert not found, found

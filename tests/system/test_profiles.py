"""Clients and producers of the earlier task services, word for word as their documents have them."""

import json

from lib import clients
from lib.wire import request

# As a Dapr sidecar writes it to the topic, or posts it: sorted keys, so the payload stands first.
SYNC = {"event_id": "test-999", "schema_version": "1.0", "event_type": "task.sync", "timestamp": "2026-01-03T10:00:00Z",
        "user_id": 1, "operation": "create", "task_id": 123,
        "task_snapshot": {"title": "Buy milk", "status": "pending", "updated_at": "2026-01-03T10:00:00Z"}}


def envelope(data, pubsub):
    return json.dumps({"data": data, "datacontenttype": "application/json", "id": "db91e33b-643e-4c94-8905-7b89a3fd2455",
                       "pubsubname": pubsub, "source": "task-service", "specversion": "1.0",
                       "time": "2026-11-21T11:27:04Z", "topic": "task-updates",
                       "traceid": "00-00000000000000000000000000000000-0000000000000000-00",
                       "traceparent": "00-00000000000000000000000000000000-0000000000000000-00", "tracestate": "",
                       "type": "com.dapr.event.sent"}, separators=(",", ":"), sort_keys=True)


def test_task_sync_through_dapr_to_websocat(new_cluster):
    topic = "ingest-of-task-sync"
    cluster = new_cluster(start=False, gateway={"PROFILE": "task-sync"},
                          router={"PROFILE": "task-sync", "DAPR_INGEST": "1", "INGEST_TOPIC": topic,
                                  "DAPR_TOPIC": "task-updates"})
    cluster.kafka.create_topic(topic)
    cluster.start()
    client = clients.websocat(f"ws://127.0.0.1:{cluster.balancer.port}/ws?token={cluster.token(None, user_id=1)}")
    assert client.recv() == {"type": "connected", "user_id": 1, "message": "WebSocket connection established"}
    answer = request(cluster.routers[1].port, "/task-updates", "POST",
                     {"Content-Type": "application/cloudevents+json"}, envelope(SYNC, "kafka-pubsub"))
    assert answer.status == 200 and answer.json() == {"status": "SUCCESS"}, answer
    message = client.recv()
    client.close()
    assert {name: message[name] for name in ("type", "operation", "task_id", "task", "timestamp")} == {
        "type": "task_update", "operation": "create", "task_id": 123, "task": SYNC["task_snapshot"],
        "timestamp": "2026-01-03T10:00:00Z"}, message
    stats = request(cluster.gateways[0].port, "/stats")
    assert stats.status == 200 and "total_connections" in stats.json(), stats


def test_todo(new_cluster):
    cluster = new_cluster(gateway={"PROFILE": "todo"}, router={"PROFILE": "todo"})
    task = {"id": 123, "user_id": "user-456", "title": "Buy groceries", "completed": False}
    client = cluster.connect("user-456", path="/ws/user-456")
    cluster.kafka.produce(cluster.topic, [("k", envelope(
        {"event_type": "task.created", "user_id": "user-456", "task": task}, "taskpubsub"))])
    message = client.tasks(1)[0]
    assert (message["event"], message["task"]) == ("task.created", task), message
    assert message["timestamp"] == "2026-11-21T11:27:04Z", message
    status = request(cluster.gateways[0].port, "/status").json()
    assert set(status) == {"service", "version", "status", "connections", "active_users", "connections_per_user"}, status
    assert status["service"] == "WebSocket Service" and status["status"] == "running", status
    assert "status" in request(cluster.gateways[0].port, "/health").json()


def test_skill(new_cluster):
    cluster = new_cluster(gateway={"PROFILE": "skill", "JWT_SECRET_KEY": None,
                                   "BETTER_AUTH_SECRET": "a-secret-of-the-tests-0123456789abcdef"})
    client = cluster.connect("7")
    cluster.kafka.produce(cluster.topic, [("7", json.dumps(
        {"event_type": "task.completed", "user_id": "7", "task": {"id": "a", "title": "x"}}))])
    message = client.tasks(1)[0]
    assert (message["event"], message["operation"], message["task"]) == \
        ("task.completed", "update", {"id": "a", "title": "x"}), message
    other_claim = cluster.connect(None, token=cluster.token(None, user_id=7), welcome=False)
    assert other_claim.close_code()[0] == 4001


def test_a_path_is_believed_when_asked_to(new_cluster):
    cluster = new_cluster(gateways=1, routers=1, gateway={"PROFILE": "todo", "WS_AUTH": "path"})
    client = clients.Client(f"ws://127.0.0.1:{cluster.gateways[0].port}/ws/user%2D456")
    assert client.welcome()["user_id"] == "user-456"
    cluster.kafka.produce(cluster.topic, [("k", json.dumps(
        {"event_type": "task.deleted", "user_id": "user-456", "task": {"id": 1}}))])
    assert client.tasks(1)[0]["operation"] == "delete"
    client.close()
    nobody = clients.Client(f"ws://127.0.0.1:{cluster.gateways[0].port}/ws")
    assert nobody.close_code()[0] == 4001


def test_everybody(cluster):
    devices = [cluster.connect(cluster.user(), gateway) for gateway in (0, 1, 0, 1)]
    cluster.kafka.produce(cluster.topic, [("k", json.dumps(
        {"target": "global", "event_type": "task.created", "task": {"id": 5, "title": "for all"}}))])
    for device in devices:
        assert device.tasks(1)[0]["task"] == {"id": 5, "title": "for all"}

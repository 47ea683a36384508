"""From Kafka to sockets: who gets what, in which order, how often."""

import base64
import json
import re

from lib.cluster import task
from lib.proc import wait_until


def test_every_device_of_a_user(cluster):
    user = cluster.user()
    devices = [cluster.connect(user, gateway) for gateway in (0, 1, None, None)]
    cluster.produce(user, task(user, 1))
    got = [device.tasks(1)[0] for device in devices]
    for message in got:
        assert (message["operation"], message["task_id"], message["event"]) == ("create", 1, "task.created"), message
        assert message["task"] == {"id": 1, "title": "task 1"}
        assert message["timestamp"] == "2026-01-03T10:00:00Z"
    assert len({message["id"] for message in got}) == 1, got
    assert len({message["key"] for message in got}) == 1, got


def test_the_balancer_uses_both_gateways(cluster):
    def held():
        return [g.metric("websocket_connections_total") for g in cluster.gateways]
    wait_until(lambda: held() == [0, 0], 5, "connections of earlier tests are gone")
    for _ in range(4):
        cluster.connect(cluster.user(), None)
    assert held() == [2, 2]


def test_nobody_else(cluster):
    user, other = cluster.user(), cluster.user()
    mine = [cluster.connect(user, gateway) for gateway in (0, 1)]
    theirs = [cluster.connect(other, gateway) for gateway in (0, 1)]
    cluster.produce(user, task(user, 1))
    for client in mine:
        client.tasks(1)
    for client in theirs:
        client.quiet(0.5)


def test_order_of_one_user(cluster):
    user = cluster.user()
    devices = [cluster.connect(user, gateway) for gateway in (0, 1)]
    cluster.produce(user, *[task(user, n) for n in range(500)])
    for device in devices:
        assert [message["task_id"] for message in device.tasks(500)] == list(range(500))


def test_ten_users_a_thousand_events_exactly_once(cluster):
    users = [cluster.user() for _ in range(10)]
    devices = {user: [cluster.connect(user, gateway) for gateway in (0, 1)] for user in users}
    cluster.kafka.produce(cluster.topic, [(user, task(user, n)) for n in range(1000) for user in users])
    for user in users:
        for device in devices[user]:
            got = device.tasks(1000, 60)
            assert [message["task_id"] for message in got] == list(range(1000))
            ids = [tuple(map(int, message["id"].split("-"))) for message in got]
            assert ids == sorted(ids)
            assert len({message["key"] for message in got}) == 1000
    for user in users:
        for device in devices[user]:
            device.quiet(0.1)
        assert cluster.log_length(user) == 1000


def test_one_user_by_number_and_by_text(cluster):
    number = 9007199254740993 + cluster.number  # beyond what a float can hold
    by_number, by_text = cluster.connect(number, 0), cluster.connect(str(number), 1)
    neighbour = cluster.connect(number + 1, 0)
    cluster.produce(number, task(number, 1), task(str(number), 2))
    for client in (by_number, by_text):
        assert [message["task_id"] for message in client.tasks(2)] == [1, 2]
    neighbour.quiet(0.3)


def test_payload_bytes_are_untouched(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    payload = (r'{"id":123456789012345678,"price":1.10,"big":1e400,"text":"\u00e4\/\ud83d\ude00 \u0000","z":{},'
               r'"list":[ 1 , 2 ],"a":null,"ü":"ü"}')
    cluster.produce(user, '{"event_type":"task.sync","operation":"update","task_id":123456789012345678,"task_snapshot":'
                    f'{payload},"user_id":"{user}"}}')
    message = client.tasks(1)[0]
    assert payload in message["_text"], message["_text"]
    assert '"task_id":123456789012345678' in message["_text"], message["_text"]


def test_events_with_an_event_type(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    operations = {"task.created": "create", "task.updated": "update", "task.completed": "update", "task.deleted": "delete"}
    cluster.produce(user, *[json.dumps({"event_type": event, "user_id": user, "task": {"id": n, "title": "t"}})
                            for n, event in enumerate(operations)])
    for n, ((event, operation), message) in enumerate(zip(operations.items(), client.tasks(4))):
        assert (message["event"], message["operation"], message["task_id"]) == (event, operation, n), message
        assert message["task"] == {"id": n, "title": "t"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", message["timestamp"]), message


def test_a_delete_without_a_snapshot(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    cluster.produce(user, json.dumps({"event_type": "task.sync", "operation": "delete", "user_id": user, "task_id": 77}))
    message = client.tasks(1)[0]
    assert (message["operation"], message["event"]) == ("delete", "task.deleted"), message
    assert message["task"] == {"id": 77} and message["task_id"] == 77, message


def envelope(user, data, **more):
    """As Dapr writes it: keys sorted, so that data stands before what says what it is."""
    members = {"datacontenttype": "application/json", "id": "db91e33b", "pubsubname": "kafka-pubsub",
               "source": "task-service", "specversion": "1.0", "time": "2026-11-21T11:27:04Z", "topic": "task-updates",
               "traceid": "00-00000000000000000000000000000000-0000000000000000-00",
               "traceparent": "00-00000000000000000000000000000000-0000000000000000-00", "tracestate": "",
               "type": "com.dapr.event.sent", **data, **more}
    return json.dumps(dict(sorted(members.items())), separators=(",", ":"))


def test_cloudevents_structured(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    inner = {"event_type": "task.created", "task": {"id": 5}, "user_id": user}
    coded = base64.b64encode(json.dumps(inner).encode()).decode()
    cluster.produce(user,
                    envelope(user, {"data": inner}),
                    envelope(user, {"data": json.dumps(inner)}, datacontenttype="text/plain", id="db91e33c"),
                    envelope(user, {"data_base64": coded}, datacontenttype="application/octet-stream", id="db91e33d"))
    for message in client.tasks(3):
        assert (message["event"], message["task"]) == ("task.created", {"id": 5}), message
        assert message["timestamp"] == "2026-11-21T11:27:04Z", message


def test_cloudevents_binary(cluster):
    user = cluster.user()
    client = cluster.connect(user)
    cluster.kafka.produce(cluster.topic, [(user, task(user, 6))], headers=[
        "ce_specversion=1.0", "ce_type=com.example.task", "ce_source=/tasks", "ce_id=1",
        "content-type=application/json"])
    assert client.tasks(1)[0]["task_id"] == 6

"""Events that a Dapr sidecar posts: durable in Kafka before SUCCESS, then the ordinary path."""

import base64
import json

from lib.cluster import task
from lib.wire import request


def start(new_cluster, **more):
    topic = "task-updates-ingest-test"
    cluster = new_cluster(start=False, router={"DAPR_INGEST": "1", "INGEST_TOPIC": topic, "PROFILE": "task-sync",
                                               "DAPR_TOPIC": "task-updates", **more})
    cluster.kafka.create_topic(topic)
    return cluster.start()


def post(cluster, path, body, content_type, headers=None):
    return request(cluster.routers[0].port, path, "POST", {"Content-Type": content_type, **(headers or {})}, body)


def envelope(**members):
    return json.dumps({"specversion": "1.0", "id": "1", "source": "task-service", "type": "com.dapr.event.sent",
                       "topic": "task-updates", "pubsubname": "kafka-pubsub", "time": "2026-11-21T11:27:04Z",
                       "datacontenttype": "application/json", **members})


def test_subscription(new_cluster):
    cluster = start(new_cluster)
    answer = cluster.routers[0].get("/dapr/subscribe")
    assert answer.status == 200, answer
    subscriptions = answer.json()
    assert any(s["pubsubname"] == "kafka-pubsub" and s["topic"] == "task-updates" for s in subscriptions), subscriptions


def test_every_form_reaches_the_user(new_cluster):
    cluster = start(new_cluster)
    user = cluster.user()
    client = cluster.connect(user)
    cloud = "application/cloudevents+json"
    data = [json.loads(task(user, n)) for n in range(8)]
    forms = [
        ("/task-updates", envelope(data=data[0]), cloud, None),
        ("/task-updates", envelope(data=json.dumps(data[1])), cloud, None),
        ("/task-updates", envelope(data_base64=base64.b64encode(json.dumps(data[2]).encode()).decode()), cloud, None),
        ("/events/kafka-pubsub/task-updates", envelope(data=data[3]), cloud, None),
        ("/task-updates", json.dumps(data[4]), "application/json",
         {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"}),
        ("/task-updates", json.dumps(data[5]), "application/json", None),
        ("/task-updates", f"[{envelope(data=data[6])},{envelope(data=data[7])}]", "application/cloudevents-batch+json", None),
    ]
    for path, body, kind, headers in forms:
        answer = post(cluster, path, body, kind, headers)
        assert answer.status == 200 and answer.json() == {"status": "SUCCESS"}, (kind, body, answer)
    assert sorted(message["task_id"] for message in client.tasks(8)) == list(range(8))


def test_what_can_never_be_decoded_is_dropped(new_cluster):
    cluster = start(new_cluster)
    for body in (envelope(data="hello"), envelope(), "{", envelope(data={"event_type": "task.created", "task": {"id": 1}})):
        answer = post(cluster, "/task-updates", body, "application/cloudevents+json")
        assert answer.status == 200 and answer.json() == {"status": "DROP"}, (body, answer)


def test_dapr_s_own_topic_is_not_consumed_too(new_cluster):
    cluster = start(new_cluster, DAPR_TOPIC="doubled")
    user = cluster.user()
    client = cluster.connect(user)
    cluster.kafka.produce("doubled", [(user, task(user, 1))])
    post(cluster, "/task-updates", envelope(data=json.loads(task(user, 2))), "application/cloudevents+json")
    assert client.tasks(1)[0]["task_id"] == 2
    client.quiet(0.5)

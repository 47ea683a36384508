"""Records that nobody can decode: kept byte for byte with the reason, counted, and never in the way of the next."""

import json

from lib.cluster import task
from lib.proc import wait_until

BAD = {
    "not JSON": b"hello",
    "cut off": b'{"event_type":"task.created","user_id":1,"task":{"id":1}',
    "two texts": b'{"event_type":"task.created","user_id":1,"task":{"id":1}} {}',
    "invalid UTF-8": b'{"event_type":"task.created","user_id":1,"task":{"id":1,"t":"\xff"}}',
    "a lone control character": b'{"event_type":"task.created","user_id":1,"task":{"id":1,"t":"\x01"}}',
    "too deep": b'{"event_type":"task.created","user_id":1,"task":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "an array": b"[1]",
    "no event type": b'{"user_id":1,"task":{"id":1}}',
    "an unknown event type": b'{"event_type":"task.exploded","user_id":1,"task":{"id":1}}',
    "an unknown operation": b'{"event_type":"task.sync","operation":"explode","user_id":1,"task_id":1,"task_snapshot":{}}',
    "no user": b'{"event_type":"task.created","task":{"id":1}}',
    "a user that is an object": b'{"event_type":"task.created","user_id":{},"task":{"id":1}}',
    "an empty user": b'{"event_type":"task.created","user_id":"","task":{"id":1}}',
    "a user with a control character": b'{"event_type":"task.created","user_id":"a\\u0000b","task":{"id":1}}',
    "a user too long": b'{"event_type":"task.created","user_id":"' + b"x" * 300 + b'","task":{"id":1}}',
    "no task": b'{"event_type":"task.created","user_id":1}',
    "an envelope without data": b'{"specversion":"1.0","id":"1","source":"s","type":"t"}',
    "an envelope with bad base64": b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"!!!"}',
    "a line feed at the end only": b"\n",
}


def headers_of(record):
    flat = record.get("headers") or []
    return dict(zip(flat[::2], flat[1::2]))


def test_each_is_kept_and_passed(new_cluster):
    cluster = new_cluster()
    user = cluster.user()
    client = cluster.connect(user)
    for i, value in enumerate(BAD.values()):
        cluster.kafka.produce_bytes(cluster.topic, value, partition=0)
        cluster.produce(user, task(user, i), partition=0)
    assert [message["task_id"] for message in client.tasks(len(BAD))] == list(range(len(BAD)))
    dlq = f"{cluster.topic}.dlq"
    letters = wait_until(lambda: len(got := cluster.kafka.consume(dlq)) >= len(BAD) and got, 20, "dead letters")
    assert len(letters) == len(BAD)
    by_offset = {}
    for letter in letters:
        words = headers_of(letter)
        offset = [value for name, value in words.items() if "offset" in name]
        reason = [value for name, value in words.items() if "reason" in name]
        assert offset and reason and reason[0], words
        assert cluster.topic in words.values() and "0" in words.values(), words
        by_offset[int(offset[0])] = letter["payload"].encode(errors="surrogateescape")
    for i, (name, value) in enumerate(BAD.items()):
        assert by_offset[2 * i] == value, (name, by_offset[2 * i])


def test_a_record_too_large(new_cluster):
    cluster = new_cluster(routers=1, gateways=1, router={"MAX_RECORD_SIZE": "4k"})
    user = cluster.user()
    client = cluster.connect(user)
    cluster.produce(user, json.dumps({"event_type": "task.created", "user_id": user, "task": {"id": 1, "t": "x" * 5000}}),
                    task(user, 2))
    assert client.tasks(1)[0]["task_id"] == 2
    wait_until(lambda: len(cluster.kafka.consume(f"{cluster.topic}.dlq")) == 1, 20, "the dead letter")


def test_they_are_counted(new_cluster):
    cluster = new_cluster(routers=1, gateways=1)
    for _ in range(3):
        cluster.kafka.produce_bytes(cluster.topic, b"bad")

    def counted():
        page = cluster.routers[0].get("/metrics").body.decode()
        return any(line.startswith("tidegate_router_records_total") and "dead" in line and line.endswith(" 3")
                   for line in page.splitlines())
    wait_until(counted, 20, "three dead letters in tidegate_router_records_total")


def test_empty_values_are_no_fault(new_cluster):
    cluster = new_cluster(routers=1, gateways=1)
    user = cluster.user()
    client = cluster.connect(user)
    cluster.kafka.produce_bytes(cluster.topic, b"")
    cluster.produce(user, task(user, 1))
    client.tasks(1)

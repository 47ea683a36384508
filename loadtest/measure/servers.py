"""Servers that measurements start, each ended by the measurement's stack, and the events that a Kafka holds."""

import json
import pathlib
import tempfile

from lib import kafka
from lib.programs import Gateway, Router
from lib.redis import Redis
from measure.bench import SECRET

TOPIC = "task-updates"
EMBEDDED_MOST = 30000  # records of 500 bytes that the embedded Kafka keeps for certain
USERS = 10000  # whom its events are for
HEAP = ("-Xms1g", "-Xmx1g", "-Xmn768m")  # of a broker: its pauses of 10 ms come so seldom that no 99th percentile is one


def new_folder(bench):
    return pathlib.Path(tempfile.mkdtemp(dir=bench.folder))


def start_redis(bench, stack):
    redis = Redis(new_folder(bench), options=["--appendonly", "no"]).start()
    stack.callback(redis.stop)
    return redis


def start_gateway(bench, stack, redis, name="gateway", port=None, **env):
    """One worker that takes connects as fast as they come; heartbeats out of the way, since they are no messages."""
    gateway = Gateway(bench.options.build, bench.folder, name, {
        "REDIS_URL": redis.url, "JWT_SECRET_KEY": SECRET, "WORKERS": 1, "LOG_LEVEL": "warn", "HEARTBEAT_INTERVAL": "1h",
        "IDLE_PING": "1h", "CONNECTION_TIMEOUT": "1d", "DRAIN_SECONDS": "0", "ADMISSION_RATE": "0", **env}, port)
    stack.callback(gateway.stop)
    return gateway.start()


def start_router(bench, stack, broker, redis, name, **env):
    """In a group of its own, from the start of the topic. It is not waited for."""
    router = Router(bench.options.build, bench.folder, name, {
        "REDIS_URL": redis.url, "KAFKA_BROKERS": broker.brokers, "KAFKA_GROUP_ID": name, "START": "earliest",
        "LOG_LEVEL": "warn", "DRAIN_SECONDS": "1", **env})
    stack.callback(router.stop)
    return router.start(wait=False)


def task(number, user=None):
    """A task event of about 500 bytes, for one of USERS unless somebody is named."""
    return json.dumps({
        "event_id": f"event-{number:08}", "schema_version": "1.0", "event_type": "task.sync", "operation": "update",
        "timestamp": "2026-01-03T10:00:00Z", "user_id": user or f"u{number % USERS}", "task_id": number,
        "task_snapshot": {"id": number, "title": f"task {number}", "fill": "x" * 240}}, separators=(",", ":"))


def start_kafka(bench, stack):
    """A real one, or the embedded one where that is not to be had. It has TOPIC, empty."""
    broker = (kafka.Broker(new_folder(bench), heap=HEAP) if bench.jars
              else kafka.Embedded(new_folder(bench), bench.options.build / Router.program))
    stack.callback(broker.stop)
    broker.start().create_topic(TOPIC)
    return broker


def fill_topic(bench, stack, count):
    """A Kafka whose TOPIC holds that many events, or as many as it can: (Kafka, how many, what it is)."""
    broker = start_kafka(bench, stack)
    count, what = (count, "Apache Kafka") if bench.jars else (min(count, EMBEDDED_MOST), "the embedded Kafka")
    broker.produce(TOPIC, [(f"u{number % USERS}", task(number)) for number in range(count)])
    return broker, count, what

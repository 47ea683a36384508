"""A whole Tidegate on loopback: Redis, Kafka, routers, gateways and a balancer, with the helpers that tests speak in."""

import itertools
import json
import pathlib
import secrets

from lib import jwt
from lib.clients import Client
from lib.haproxy import HAProxy
from lib.programs import Gateway, Router
from lib.proc import wait_until
from lib.redis import Redis

SECRET = "a-secret-of-the-tests-0123456789abcdef"
# Kafka notices a killed router after the session timeout; its default would let a test wait for 45 s.
ROUTER = {
    "START": "earliest",
    "KAFKA_SESSION_TIMEOUT": "6s",
    "KAFKA_CONFIG_heartbeat.interval.ms": "2000",
    "KAFKA_CONFIG_topic.metadata.refresh.interval.ms": "2000",
}
_numbers = itertools.count(1)
_events = itertools.count(1)
_run = secrets.token_hex(4)


def number_from(first):
    """Topics, groups and users are named by the number of their cluster: those to come count from here."""
    global _numbers
    _numbers = itertools.count(first)


def task(user, number, operation="create", **more):
    """A task event of the synchronization service, as JSON text; no two have one event_id."""
    return json.dumps({
        "event_id": f"{_run}-{next(_events)}", "schema_version": "1.0", "event_type": "task.sync",
        "timestamp": "2026-01-03T10:00:00Z", "user_id": user, "operation": operation, "task_id": number,
        "task_snapshot": {"id": number, "title": f"task {number}"}, **more,
    }, separators=(",", ":"))


class Cluster:
    """`gateways` and `routers` say how many; `gateway` and `router` are environment variables for all of them; `redis`
    makes another Redis of a folder than a single one, see lib.topologies."""

    def __init__(self, folder, build, kafka, gateways=2, routers=2, gateway=None, router=None, redis_options=(),
                 kafka_brokers=None, redis=None, balance="roundrobin"):
        self.number = next(_numbers)
        self.topic = f"task-updates-{self.number}"
        self.folder = pathlib.Path(folder) / f"cluster-{self.number}"
        self.kafka = kafka
        self.redis = redis(self.folder) if redis else Redis(self.folder, options=redis_options)
        common = {"REDIS_URL": self.redis.url, "LOG_LEVEL": "debug"}
        brokers = kafka_brokers or kafka.brokers
        self.routers = [
            Router(build, self.folder, f"router-{i + 1}",
                   {**common, "KAFKA_BROKERS": brokers, "DAPR_TOPIC": self.topic,
                    "KAFKA_GROUP_ID": f"tidegate-{self.number}", **ROUTER, **(router or {})})
            for i in range(routers)]
        self.gateways = [
            Gateway(build, self.folder, f"gateway-{i + 1}",
                    {**common, "JWT_SECRET_KEY": SECRET, "ALLOWED_ORIGINS": "*", **(gateway or {})})
            for i in range(gateways)]
        self.balancer = HAProxy(self.folder, [g.port for g in self.gateways], balance=balance)
        self.clients = []
        self.users = itertools.count(1)

    @property
    def programs(self):
        return [*self.routers, *self.gateways]

    @property
    def procs(self):
        return [*self.redis.procs, self.balancer.proc, *(p.proc for p in self.programs)]

    def start(self):
        self.redis.start()
        self.kafka.create_topic(self.topic)
        for program in self.programs:
            program.start(wait=False)
        for program in self.programs:
            program.wait_ready()
        self.balancer.start()
        return self

    def stop(self):
        """Ends everything in order and returns what was wrong, as sentences."""
        self.drop_clients()
        faults = []
        for program in [*self.gateways, *self.routers]:
            program.stop()
            faults += program.faults()
        self.balancer.stop()
        self.redis.stop()
        return faults

    def user(self):
        """A user id that no other test has."""
        return f"user-{self.number}-{next(self.users)}"

    def token(self, user, **claims):
        return jwt.user(SECRET, user, **claims)

    def connect(self, user, gateway=0, welcome=True, token=None, path="/ws", query="", **more):
        """A client of `user` at a gateway by number, or through the balancer with gateway=None."""
        port = self.balancer.port if gateway is None else self.gateways[gateway].port
        token = self.token(user) if token is None else token
        client = Client(f"ws://127.0.0.1:{port}{path}?token={token}{query}", **more)
        self.clients.append(client)
        if welcome:
            client.welcome()
        return client

    def drop_clients(self):
        while self.clients:
            self.clients.pop().ws.socket.close()

    def produce(self, user, *events, partition=-1):
        """Events of one user, in order, keyed by that user."""
        self.kafka.produce(self.topic, [(str(user), event) for event in events], partition)

    def redis_client(self):
        return self.redis.client()

    def log_length(self, user):
        """How many entries the user's log holds."""
        length = 0
        for port in self.redis.masters():
            client = self.redis.client(port)
            for key in client("KEYS", f"tg:{{*}}:l:u:{user}"):
                length += client("XLEN", key)
            client.close()
        return length

    def wait_log(self, user, length, seconds=60):
        """Waits until the user's log holds that many entries: then everything was appended."""
        wait_until(lambda: self.log_length(user) >= length, seconds, f"{length} entries in the log of {user}", every=0.1)

    def wait_metric(self, name, at_least, seconds=20, programs=None, **labels):
        """Waits until a metric, summed over the programs that have it, reaches a value."""
        def reached():
            values = [p.metric(name, **labels) for p in programs or self.programs]
            return sum(v for v in values if v is not None) >= at_least
        wait_until(reached, seconds, f"{name}{labels or ''} >= {at_least}", every=0.2)

"""What the steps share: the cluster, the release, the images, and the traffic that goes on beneath them."""

import json
import pathlib
import secrets

from chaos.load import routes
from cluster import traffic
from cluster.kube import Kube, Refused, is_ready, name_of
from lib.proc import ROOT, wait_until

CHART = ROOT / "helm"
TOPIC = "cluster-events"
GATEWAYS = 2
USERS, DEVICES, RATE = 60, 240, 200
SMALL = {"requests": {"cpu": "50m", "memory": "64Mi"}}  # so that all of it fits on one node
SETTLED = 90  # seconds within which a release must be itself again after something was done to it


class World:
    def __init__(self, options, folder):
        self.options = options
        self.folder = pathlib.Path(folder)
        self.release = "tidegate"
        self.kube = Kube(options.namespace)
        self.jwt_secret = secrets.token_hex(32)
        self.devices = self.events = None

    def values(self):
        """The values of the release, as a file."""
        o = self.options
        return self.values_file("values", {
            "image": {"pullPolicy": o.pull, "tag": o.gateway_image.rpartition(":")[2]},
            "gateway": {"replicas": GATEWAYS, "image": repository(o.gateway_image), "resources": SMALL, "drainSeconds": 10,
                        "preStopSeconds": 3, "minReadySeconds": 1, "config": {"RATE_LIMIT_MAX_MESSAGES": "0"}},
            "router": {"replicas": 2, "image": repository(o.router_image), "resources": SMALL, "minReadySeconds": 1,
                       "config": {"KAFKA_SESSION_TIMEOUT": "6s"}},
            "auth": {"jwtSecret": self.jwt_secret},
            "routes": json.loads(routes(TOPIC)),
            "tests": {"topic": TOPIC, "record": '{"to":"user:helm-test-$(RUN)","text":"event-$(RUN)"}'},
            "tryout": {"redis": {"enabled": True, "image": o.redis_image},
                       "kafka": {"enabled": True, "image": o.kafka_image}},
        })

    def values_file(self, name, values):
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(values))  # JSON is YAML
        return path

    def service(self):
        """Address and port of the Service that clients connect to."""
        spec = json.loads(self.kube.call("get", "service", self.release, "-o", "json"))["spec"]
        return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"

    def gateways(self):
        return self.kube.pods(self.release, "gateway")

    def routers(self):
        return self.kube.pods(self.release, "router")

    def connections(self):
        """{gateway pod: its connections}."""
        found = {}
        for pod in self.gateways():
            try:
                found[name_of(pod)] = int(self.kube.metric(name_of(pod), 8080, "websocket_connections_total"))
            except Refused:  # one that was killed a moment ago
                found[name_of(pod)] = 0
        return found

    def start_traffic(self):
        brokers = f"{self.release}-kafka:9092"
        self.kube.apply(traffic.pod(self.options.traffic_image, self.options.pull))
        self.kube.call("wait", "--for=condition=Ready", f"pod/{traffic.POD}", "--timeout=60s")
        traffic.wait_for_kafka(self.kube, brokers)
        self.devices = traffic.Devices(self.kube, self.service(), self.jwt_secret, DEVICES, USERS, self.options.seed)
        self.events = traffic.events(self.kube, brokers, TOPIC, USERS, RATE, self.options.seed).start()

    def settled(self, gateways=GATEWAYS):
        """Waits until the release is itself again: as many gateways as there should be, all of them and both routers ready,
        every device welcomed, every gateway with some of them, and events arriving. Returns who has how many."""
        def ready():
            pods = self.gateways()
            return len(pods) == gateways and len(self.routers()) == 2 and all(map(is_ready, pods + self.routers()))
        wait_until(ready, SETTLED, f"{gateways} gateways and 2 routers are ready", every=0.5)
        self.devices.wait("welcomed", SETTLED)
        heard = self.devices.now["events"]
        wait_until(lambda: self.devices.now["events"] > heard + DEVICES, SETTLED, "events arrive", every=0.5)

        def spread():
            counts = self.connections()
            return len(counts) == gateways and min(counts.values()) > 0 and counts
        return wait_until(spread, SETTLED, "every gateway has connections", every=1)


def repository(name):
    """registry/name:tag without its tag, as the chart's values."""
    return {"repository": name.rpartition(":")[0]}

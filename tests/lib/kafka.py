"""Kafka for tests: a real Apache broker (one node or several), the router's embedded one, and kcat to talk to either."""

import json
import pathlib
import re
import subprocess
import tempfile

from lib import tools
from lib.ports import free_port
from lib.proc import Proc, wait_until

CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
# A small heap needs the small cleaner buffer below; the serial collector and the first compiler start fastest.
JAVA = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
SMALL_HEAP = ("-Xmx192m",)
SEPARATOR = "\x1f"


class Kcat:
    """Produces and consumes through kcat; shared by every kind of broker."""

    brokers = ""

    def kcat(self, *words, data=None, seconds=30):
        done = subprocess.run(["kcat", "-b", self.brokers, *map(str, words)], input=data, timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kcat {' '.join(map(str, words))}: {done.stderr.decode(errors='replace')[-600:]}")
        return done.stdout

    def produce(self, topic, records, partition=-1, headers=(), options=()):
        """Records are (key, value) pairs of str, or a value alone; neither holds a line feed. All are acknowledged."""
        lines = []
        for record in records:
            key, value = record if isinstance(record, tuple) else ("", record)
            lines.append(f"{key}{SEPARATOR}{value}\n")
        self.kcat("-P", "-t", topic, "-p", partition, "-K", SEPARATOR, "-X", "acks=all",
                  *[word for header in headers for word in ("-H", header)], *options, data="".join(lines).encode())

    def produce_bytes(self, topic, value, partition=-1, key="k", headers=()):
        """One record of any bytes."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(value)
            file.flush()
            self.kcat("-P", "-t", topic, "-p", partition, "-k", key, "-X", "acks=all",
                      *[word for header in headers for word in ("-H", header)], file.name)

    def consume(self, topic, partition=None):
        """All that a topic holds now: kcat's JSON (topic, partition, offset, headers, key, payload). No topic, no records."""
        where = [] if partition is None else ["-p", partition]
        try:
            out = self.kcat("-C", "-t", topic, *where, "-o", "beginning", "-e", "-q", "-J")
        except RuntimeError as error:
            if "Unknown topic" in str(error):
                return []
            raise
        return [json.loads(line) for line in out.decode(errors="surrogateescape").splitlines()]

    def create_topic(self, topic):
        """Asks for a topic, which makes it with the broker's num.partitions; returns when every partition has a leader."""
        def led():
            text = self.kcat("-L", "-t", topic).decode()
            count = re.search(rf'topic "{re.escape(topic)}" with (\d+) partitions', text)
            return count and int(count[1]) > 0 and "leader -1" not in text and "not available" not in text
        wait_until(led, 20, f"topic {topic}", every=0.2)

    def producer(self, topic, partition=-1):
        return Producer(self.brokers, topic, partition)


class Producer:
    """A kcat that stays open, also while brokers are away: one record per send(), on its way at once. `through` stands before
    its command, when it is to run somewhere else."""

    def __init__(self, brokers, topic, partition=-1, options=("linger.ms=0",), through=()):
        self.child = subprocess.Popen(
            [*through, "kcat", "-b", brokers, "-P", "-t", topic, "-p", str(partition), "-K", SEPARATOR, "-u", "-E", "-X", "acks=all",
             "-X", "enable.idempotence=true", *[word for option in options for word in ("-X", option)]],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def send(self, key, value):
        self.write(f"{key}{SEPARATOR}{value}\n")

    def write(self, lines):
        """Whole lines of key, SEPARATOR and value."""
        self.child.stdin.write(lines.encode())
        self.child.stdin.flush()

    def close(self, seconds=60):
        """Waits until all is acknowledged; RuntimeError if something was not."""
        _, errors = self.child.communicate(timeout=seconds)
        if self.child.returncode != 0 or b"Delivery failed" in errors:
            raise RuntimeError(f"kcat: {errors.decode(errors='replace')[-600:]}")


class Broker(Kcat):
    """Apache Kafka without ZooKeeper: `nodes` brokers that are controllers too. Their small heap is collected every second or
    two when there is load, which takes 5 to 20 ms."""

    def __init__(self, folder, nodes=1, partitions=12, options=None, heap=SMALL_HEAP):
        folder = pathlib.Path(folder)
        self.java = [*JAVA, *heap, "-cp", f"{tools.path('jars')}/*"]
        self.ports = [free_port() for _ in range(nodes)]
        quorum = [free_port() for _ in range(nodes)]
        voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(quorum))
        self.brokers = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        copies = min(nodes, 3)
        self.nodes = []
        for i, (port, control) in enumerate(zip(self.ports, quorum)):
            settings = {
                "process.roles": "broker,controller",
                "node.id": i + 1,
                "controller.quorum.voters": voters,
                "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}",
                "controller.listener.names": "CONTROLLER",
                "log.dirs": folder / f"kafka-{i + 1}-data",
                "num.partitions": partitions,
                "default.replication.factor": copies,
                "min.insync.replicas": max(1, copies - 1),
                "offsets.topic.replication.factor": copies,
                "offsets.topic.num.partitions": 3,
                "transaction.state.log.replication.factor": copies,
                "transaction.state.log.min.isr": 1,
                "group.initial.rebalance.delay.ms": 0,
                "broker.session.timeout.ms": 2000,
                "broker.heartbeat.interval.ms": 500,
                "log.cleaner.dedupe.buffer.size": 8388608,
                **(options or {}),
            }
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"kafka-{i + 1}.properties"
            file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
            self.nodes.append(Proc(f"kafka-{i + 1}", [*self.java, "kafka.Kafka", file], folder))

    def start(self):
        for node in self.nodes:
            properties = node.argv[-1]
            subprocess.run([*self.java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", properties],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            node.start()
        self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        for node, port in zip(self.nodes, self.ports):
            if node.alive():
                node.wait_ready(lambda port=port: subprocess.run(
                    ["kcat", "-b", f"127.0.0.1:{port}", "-L", "-m", "1"], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, check=False).returncode == 0, seconds)

    def stop(self):
        for node in self.nodes:
            node.stop(seconds=20)


class Embedded(Kcat):
    """`tidegate-router --embedded-kafka`: it prints KAFKA_BROKERS=… on its output and stays until SIGTERM."""

    def __init__(self, folder, program):
        self.proc = Proc("embedded-kafka", [program, "--embedded-kafka"], folder)

    def start(self):
        def told():
            found = re.search(r"^KAFKA_BROKERS=(\S+)$", self.proc.log(), re.M)
            self.brokers = found[1] if found else ""
            return self.brokers
        self.proc.start().wait_ready(told)
        return self

    def stop(self):
        self.proc.stop()

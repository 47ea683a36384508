"""What runs while things break: producers that number events, and devices that keep a ledger."""

import json
import pathlib
import random
import threading
import time

from lib.kafka import SEPARATOR, Producer
from lib.proc import Proc, wait_until

FILL = "x" * 160  # an event of some 250 bytes
TURN = 0.01
# Every so many events one goes to everybody, so that each connection stands in two logs.
EVERYBODY = 500
BURST = 5


def routes(topic):
    """The suite's own route: events say for whom they are."""
    return json.dumps({"routes": [{"topic": topic, "form": "json", "event": "chaos", "members": True,
                                   "targets": ["{to}"]}]})


class Events:
    """A producer on a thread: `rate` events a second, numbered per sequence, in bursts now and then; all acknowledged by all
    replicas once stop() returns. `through` as in lib.kafka.Producer."""

    def __init__(self, brokers, topic, users, rate, seed, through=()):
        self.users = users
        self.rate = rate
        self.random = random.Random(seed)
        self.counts = {sequence: 0 for sequence in range(users + 1)}
        self.total = 0
        self.seconds = 0.0
        self.failed = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        # The broker may be away for longer than librdkafka's own patience.
        self.kcat = Producer(brokers, topic, options=("linger.ms=5", "message.timeout.ms=600000",
                                                      "queue.buffering.max.messages=2000000"), through=through)

    def start(self):
        self.thread.start()
        return self

    def stop(self, seconds=120):
        """Ends every sequence with its last event and waits for the broker's word."""
        self.over.set()
        self.thread.join(seconds)
        if self.failed or self.thread.is_alive():
            raise self.failed or TimeoutError(f"the producer still waits for Kafka after {seconds} s")
        self._write([self._line(sequence, last=True) for sequence in self.counts])
        self.kcat.close(seconds)

    def abandon(self):
        """Ends it at once, if it still runs."""
        self.over.set()
        self.kcat.child.kill()
        self.kcat.child.communicate()

    def _line(self, sequence, last=False):
        number = self.counts[sequence]
        self.counts[sequence] += 1
        self.total += 1
        name, to = ("g", "global") if sequence == self.users else (f"u{sequence}", f"user:u{sequence}")
        end = ',"last":true' if last else ""
        return f'{name}{SEPARATOR}{{"to":"{to}","of":{sequence},"n":{number}{end},"fill":"{FILL}"}}\n'

    def _some(self):
        """The next event, or the next few of one user."""
        if self.total % EVERYBODY == 0:
            return [self._line(self.users)]
        user = self.random.randrange(self.users)
        return [self._line(user) for _ in range(self.random.choice((1, 1, 1, 1, BURST)))]

    def _write(self, lines):
        self.kcat.write("".join(lines))

    def _run(self):
        started = time.monotonic()
        try:
            while not self.over.wait(TURN):
                self.seconds = time.monotonic() - started
                lines = []
                due = int(self.seconds * self.rate) - self.total
                while len(lines) < due:
                    lines += self._some()
                self._write(lines)
        except Exception as fault:
            self.failed = fault


class Devices:
    """The process of all devices."""

    def __init__(self, build, folder, ports, secret, users, devices, resume, seed, churn=0, silence=8, rate=0):
        self.path = pathlib.Path(folder) / "ledger.bin"
        self.count = devices
        self.proc = Proc("devices", [
            pathlib.Path(build) / "chaos/devices", "--targets", ",".join(f"127.0.0.1:{port}" for port in ports),
            "--devices", devices, "--users", users, "--secret", secret, "--resume", resume, "--churn", churn,
            "--silence-ms", int(silence * 1000), "--rate", rate, "--seed", seed, "--ledger", self.path], folder)

    def start(self):
        self.proc.start()
        wait_until(lambda: self.progress().get("arrived") == self.count, 60, "all devices are welcomed", every=0.1)
        return self

    def progress(self):
        """The last line it printed, as a dict."""
        if not self.proc.alive():
            raise RuntimeError(f"the devices ended\n{self.proc.tail()}")
        with open(self.proc.log_path, "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 2000))
            for line in reversed(file.read().decode(errors="replace").split("\n")[:-1]):
                if line.startswith("{"):
                    return json.loads(line)
        return {}

    def finish(self, patience, settle=1.0):
        """Waits until every device got the last of its sequences, or until nothing more has come for `patience` seconds; then
        a little longer, for what should not come."""
        events, since = -1, time.monotonic()
        while time.monotonic() - since < patience:
            now = self.progress()
            if now["done"] == self.count:
                break
            if now["events"] != events:
                events, since = now["events"], time.monotonic()
            time.sleep(0.1)
        time.sleep(settle)
        self.proc.stop()

"""Numbered events and the devices that get them, both in a pod of their own: the suite's producers and ledger (tests/chaos),
reached through kubectl."""

import json
import pathlib
import subprocess
import threading

from chaos import ledger
from chaos.load import Events
from lib.proc import wait_until
from cluster.kube import Refused

POD = "traffic"
LEDGER = "/tmp/ledger"
PIDS = "/tmp/devices.pid"


def pod(image, pull):
    """The pod: it holds the programs `devices` and `kcat` and waits."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": {
        "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
        "containers": [{"name": POD, "image": image, "imagePullPolicy": pull, "command": ["sleep", "infinity"]}]}}


class Devices:
    """Devices of `users` users in the pod; all of them connect to one address, the Service's."""

    def __init__(self, kube, address, secret, devices, users, seed):
        self.kube, self.users, self.count = kube, users, devices
        words = ["devices", "--targets", address, "--devices", devices, "--users", users, "--secret", secret,
                 "--resume", "lap", "--silence-ms", 8000, "--seed", seed, "--ledger", LEDGER]
        line = f"echo $$ >{PIDS}; exec " + " ".join(map(str, words))
        self.child = subprocess.Popen([*kube.kubectl, "exec", POD, "--", "sh", "-c", line], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said, self.now = [], {}
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait("arrived", 60)

    def _read(self):
        for line in self.child.stdout:
            if line.startswith("{"):
                self.now = json.loads(line)
            else:
                self.said.append(line)

    def wait(self, word, seconds):
        """Until all devices are `welcomed` now, have `arrived` once, or are `done`."""
        def all_are():
            if self.child.poll() is not None:
                raise RuntimeError(f"the devices ended: {''.join(self.said)[-600:]}")
            return self.now.get(word) == self.count
        wait_until(all_are, seconds, f"all {self.count} devices {word} (now {self.now})", every=0.2)

    def finish(self, folder, produced, seconds=60):
        """Ends them, once all have the last of their events or that took too long. Returns the checker's verdict."""
        try:
            self.wait("done", seconds)
        except TimeoutError:
            pass  # the verdict says what is missing
        self.kube.inside(POD, "sh", "-c", f"kill -TERM $(cat {PIDS})")
        self.child.wait(30)
        path = pathlib.Path(folder) / "ledger.bin"
        with open(path, "wb") as file:
            subprocess.run([*self.kube.kubectl, "exec", POD, "--", "cat", LEDGER], stdout=file, check=True, timeout=120)
        return ledger.check(ledger.read(path), self.users, self.count, produced)


def events(kube, brokers, topic, users, rate, seed):
    """A producer in the pod; see chaos.load."""
    return Events(brokers, topic, users, rate, seed, through=kube.through(POD))


def wait_for_kafka(kube, brokers):
    def answers():
        try:
            return kube.inside(POD, "kcat", "-b", brokers, "-L", "-m", "5")
        except Refused:
            return None
    wait_until(answers, 120, f"Kafka at {brokers}", every=1)

"""A worker of lib.runner: runs the tests that it is told, one after the other, on a broker and a shared cluster of its own.

    python -m lib.worker PART --build PRESET --kafka real|embedded --folder FOLDER

An answer is [outcome, seconds, text]; the last one tells, as sentences, what was wrong with the end of the shared cluster.
"""

import argparse
import importlib.util
import inspect
import os
import pathlib
import signal
import sys
import tempfile
import textwrap
import time
import traceback

from lib import kafka, ports, proc
from lib.cluster import Cluster, number_from
from lib.crew import Jobs
from lib.tools import Unavailable

SECONDS = 120
NUMBERS = 100  # of clusters, for a test


class World:
    """What tests share, made when first asked for."""

    def __init__(self, build, kind, folder):
        self.build = proc.ROOT / "build" / build
        self.kind = kind
        self.folder = folder
        self.broker = None
        self.shared = None
        self.owned = []

    def get(self, name):
        return getattr(self, f"make_{name}")()

    def make_build(self):
        return self.build

    def make_folder(self):
        return pathlib.Path(tempfile.mkdtemp(dir=self.folder))

    def make_kafka(self):
        if self.broker is None:
            self.broker = (kafka.Broker(self.folder / "kafka") if self.kind == "real"
                           else kafka.Embedded(self.folder / "kafka", self.build / "tidegate-router")).start()
        return self.broker

    def make_cluster(self):
        if self.shared is None:
            self.shared = Cluster(self.folder, self.build, self.make_kafka())
            self.shared.start()
        return self.shared

    def make_new_cluster(self):
        self.make_kafka()  # is not this test's alone

        def make(start=True, **options):
            options.setdefault("kafka", self.broker)
            cluster = Cluster(self.folder, self.build, **options)
            self.owned.append(cluster)
            return cluster.start() if start else cluster
        return make

    def procs(self):
        clusters = self.owned + ([self.shared] if self.shared else [])
        return [p for cluster in clusters for p in cluster.procs]

    def after_test(self):
        """Ends what belonged to one test. Returns what was wrong with it."""
        faults = []
        while self.owned:
            faults += self.owned.pop().stop()
        if self.shared:
            self.shared.drop_clients()
            dead = [p.name for p in self.shared.procs if not p.alive()]
            if dead:
                faults += [f"{' and '.join(dead)} of the shared cluster died", *self.end_shared()]
        return faults

    def end_shared(self):
        """Ends the shared cluster. Returns what was wrong."""
        shared, self.shared = self.shared, None
        return shared.stop()

    def end(self):
        """Ends all. Returns what was wrong with the shared cluster."""
        faults = self.end_shared() if self.shared else []
        if self.broker:
            self.broker.stop()
        return faults


def load(part, word=""):
    """The test functions of a part, in the order of files and lines, whose name holds `word`, as it is written or as it is
    printed."""
    tests = []
    for file in sorted((proc.ROOT / "tests" / part).glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in vars(module).items():
            long, short = f"{file.stem}.{name}", f"{file.stem.removeprefix('test_')}.{name.removeprefix('test_')}"
            if name.startswith("test_") and inspect.isfunction(function) and (word in long or word in short):
                tests.append((short, function))
    return tests


def on_alarm(number, frame):
    raise TimeoutError("the test took too long")


def attempt(function, world):
    """Runs one test: ("ok" | "FAIL" | "skip", text)."""
    for p in world.procs():
        p.new_log()
    signal.alarm(getattr(function, "seconds", SECONDS))
    text, outcome = "", "ok"
    try:
        needs = [world.get(name) for name in inspect.signature(function).parameters]
        with ports.lent():
            function(*needs)
    except Unavailable as reason:
        outcome, text = "skip", f"not available: {reason}"
    except Exception:
        outcome, text = "FAIL", traceback.format_exc()
        for p in world.procs():
            fresh = p.new_log().splitlines()[-20:]
            if fresh:
                text += f"--- {p.name}\n" + "\n".join(fresh) + "\n"
    finally:
        signal.alarm(0)
    faults = world.after_test()
    if faults:
        outcome, text = "FAIL", text + "\n".join(faults)
    return outcome, text


class Said:
    """What is printed during a test, by child processes too: a file."""

    def __init__(self, folder):
        self.path = folder / "said"
        self.file = open(self.path, "ab")

    def take(self):
        """What was printed since the last time."""
        sys.stdout.flush()
        text = textwrap.dedent(self.path.read_text(errors="replace"))
        os.truncate(self.path, 0)
        return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part")
    parser.add_argument("--build")
    parser.add_argument("--kafka")
    parser.add_argument("--folder")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="worker-", dir=options.folder))
    said = Said(folder)
    jobs = Jobs(said.file.fileno())
    os.dup2(said.file.fileno(), 2)
    proc.exit_on_sigterm()
    signal.signal(signal.SIGALRM, on_alarm)
    functions, world = dict(load(options.part)), World(options.build, options.kafka, folder)
    firsts = {name: NUMBERS * (i + 1) for i, name in enumerate(functions)}
    for name in jobs:
        number_from(firsts[name])  # the same, whatever ran before it: users fall into the same buckets and partitions
        started = time.monotonic()
        outcome, text = attempt(functions[name], world)
        printed = said.take()
        jobs.answer([outcome, time.monotonic() - started, text if outcome == "skip" else printed + text])
    jobs.answer(world.end())


if __name__ == "__main__":
    main()

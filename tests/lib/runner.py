"""Runs tests that are plain functions named test_*, one line each, and closes with `PART: N passed, N failed, N skipped`.

    python -m lib.runner PART [--build FOLDER] [--kafka real|embedded] [-k WORD] [--list] [--keep]

PART is a folder below tests/ with test_*.py files. A test takes by name what it needs: `cluster`, the shared one; a
`new_cluster` that makes one for this test alone; `kafka`, the shared broker; `build`, the folder with our programs;
`folder`, an empty one. What a test needs longer than two minutes for it says itself: test_x.seconds = 300.
"""

import argparse
import importlib.util
import inspect
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

from lib import kafka, proc
from lib.cluster import Cluster
from lib.tools import Unavailable

SECONDS = 120


class World:
    """What tests share, made when first asked for."""

    def __init__(self, options, folder):
        self.build = proc.ROOT / "build" / options.build
        self.kind = options.kafka
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
        def make(start=True, **options):
            options.setdefault("kafka", self.make_kafka())
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
        return shared.stop() if shared else []

    def end(self):
        if self.broker:
            self.broker.stop()


def load(part, word):
    """The test functions of a part, in the order of files and lines, whose name holds `word`."""
    tests = []
    for file in sorted((proc.ROOT / "tests" / part).glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in vars(module).items():
            if name.startswith("test_") and inspect.isfunction(function) and word in f"{file.stem}.{name}":
                tests.append((f"{file.stem.removeprefix('test_')}.{name.removeprefix('test_')}", function))
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
        function(*[world.get(name) for name in inspect.signature(function).parameters])
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part")
    parser.add_argument("--build", default="debug", metavar="PRESET")
    parser.add_argument("--kafka", default="real", choices=["real", "embedded"])
    parser.add_argument("--name", help="what the summary calls the part")
    parser.add_argument("-k", default="", metavar="WORD", help="only tests whose name holds this")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run without failures too")
    options = parser.parse_args()
    tests = load(options.part, options.k)
    if options.list:
        print("\n".join(name for name, _ in tests))
        return 0
    proc.exit_on_sigterm()
    signal.signal(signal.SIGALRM, on_alarm)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tidegate-{options.part}-"))
    world = World(options, folder)
    counts = {"ok": 0, "FAIL": 0, "skip": 0}

    def report(name, outcome, text, seconds):
        counts[outcome] += 1
        if outcome == "skip":
            print(f"skip  {name}: {text}", flush=True)
            return
        print(f"{outcome:4}  {name:52} {seconds:6.1f} s", flush=True)
        if text:
            print("      " + text.rstrip().replace("\n", "\n      "), flush=True)

    for name, function in tests:
        started = time.monotonic()
        report(name, *attempt(function, world), time.monotonic() - started)
    if world.shared:
        started = time.monotonic()
        faults = world.end_shared()
        report("the shared cluster ends cleanly", "FAIL" if faults else "ok", "\n".join(faults),
               time.monotonic() - started)
    world.end()
    if counts["FAIL"] or options.keep:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    failed = counts["FAIL"] if tests else 1
    print(f"{options.name or options.part}: {counts['ok']} passed, {failed} failed, {counts['skip']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

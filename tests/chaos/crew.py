"""Scenarios side by side: worker processes, each with a broker of its own, that take one row after the other.

A worker (this file as a program) reads names of scenarios, a line each, and answers each with a line of JSON. What it prints for
people goes to stderr.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading

from chaos import rows
from chaos.attempt import Result, Settings, attempt
from chaos.faultproxy import second_listener
from lib import kafka, proc


class Crew:
    """`size` workers. Use it in a `with`."""

    def __init__(self, size, options, folder):
        self.options = options
        self.folder = folder
        self.size = size
        self.workers = []

    def __enter__(self):
        for number in range(self.size):
            home = self.folder / f"worker-{number + 1}"
            home.mkdir()
            argv = [sys.executable, "-m", "chaos.crew", "--share", f"{number}/{self.size}", "--seed", str(self.options.seed), "--build", self.options.build,
                    "--folder", str(home), *(["--short"] if self.options.short else [])]
            # Like everything that the suite starts, a worker does not outlive it.
            self.workers.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *argv], stdin=subprocess.PIPE,
                                                 stdout=subprocess.PIPE, text=True))
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.communicate()

    def work(self, names):
        """Yields the results as they come."""
        waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
        for name in names:
            waiting.put(name)
        for worker in self.workers:
            threading.Thread(target=self._feed, args=(worker, waiting, done), daemon=True).start()
        for _ in names:
            yield done.get()

    def _feed(self, worker, waiting, done):
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            done.put(ask(worker, name))


def ask(worker, name):
    """Has a worker run one scenario."""
    try:
        worker.stdin.write(f"{name}\n")
        worker.stdin.flush()
        return Result(**json.loads(worker.stdout.readline()))
    except (OSError, ValueError):
        return Result(name, 0, "FAIL", [f"the worker ended with status {worker.wait()}"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", help="n/m: of the ports, so that no two workers choose the same")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--build")
    parser.add_argument("--folder", type=pathlib.Path)
    options = parser.parse_args()
    number, size = map(int, options.share.split("/"))
    proc.PORTS = proc.PORTS[len(proc.PORTS) * number // size:len(proc.PORTS) * (number + 1) // size]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    proc.exit_on_sigterm()
    settings = Settings(options.seed, options.short, proc.ROOT / "build" / options.build, options.folder)
    broker = second_listener(kafka.Broker(options.folder / "kafka")).start()
    for line in sys.stdin:
        row = rows.find(line.strip())
        print(f"==> {row.name}: {row.says}", flush=True)
        print(json.dumps(dataclasses.asdict(attempt(row, settings, broker))), file=answers, flush=True)
    broker.stop()


if __name__ == "__main__":
    main()

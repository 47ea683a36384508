"""Our two programs as processes: options by environment variables, ready by /ready, judged by how they end."""

import json
import pathlib

from lib import metrics
from lib.ports import free_port
from lib.proc import ROOT, Proc
from lib.wire import request

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:exitcode=77",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=77",
    "LSAN_OPTIONS": f"suppressions={ROOT}/tests/lib/lsan.supp:print_suppressions=0",
    "TSAN_OPTIONS": f"suppressions={ROOT}/tests/lib/tsan.supp:second_deadlock_stack=1:exitcode=77",
}


class Program:
    """One tidegate process with an HTTP port. Environment variables with the value None are not set."""

    program = ""

    def __init__(self, build, folder, name, env, port=None):
        self.port = port or free_port()
        self.env = {**SANITIZERS, "HOST": "127.0.0.1", "PORT": str(self.port), **env}
        self.env = {name: str(value) for name, value in self.env.items() if value is not None}
        self.proc = Proc(name, [pathlib.Path(build) / self.program], folder, self.env)

    def start(self, wait=True):
        self.proc.start()
        return self.wait_ready() if wait else self

    def wait_ready(self, seconds=30):
        self.proc.wait_ready(self.ready, seconds)
        return self

    def ready(self):
        return request(self.port, "/ready", seconds=3).status == 200

    def get(self, path, **more):
        return request(self.port, path, **more)

    def metric(self, name, **labels):
        """Sum of a metric's samples with these labels, None when it is not there."""
        return metrics.total(metrics.parse(self.get("/metrics").body.decode()), name, **labels)

    def log_records(self):
        """The JSON lines of its log."""
        records = []
        for line in self.proc.log().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return records

    def kill(self):
        self.proc.kill()

    def stop(self, seconds=20):
        return self.proc.stop(seconds)

    def faults(self):
        """What was wrong with its last run, as sentences: a bad exit status, words from a sanitizer."""
        found = [f"{self.proc.name}: {line}" for line in self.proc.reports()]
        status = self.proc.child.returncode if self.proc.child else 0
        if status and not self.proc.killed:
            found.append(f"{self.proc.name} ended with status {status}\n{self.proc.tail()}")
        return found


class Gateway(Program):
    program = "tidegate-gateway"


class Router(Program):
    program = "tidegate-router"

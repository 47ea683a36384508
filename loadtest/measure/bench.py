"""One run of measurements: its sizes, its rows, and what could not be measured."""

import contextlib
import json
import os
import subprocess
import time

from lib import proc

SECRET = "a-secret-of-the-measurements-0123456789"
MESSAGE = 500  # bytes that a client gets

# One round of each: sockets, then for bursts of one and of eight: rounds of writing, and how many a second. The rates
# leave the measured process idle most of the time: one that falls behind writes several messages at once.
FULL = {"repeat": 6, "idle": 10000, "idle_repeat": 3, "appends": 200000, "append_repeat": 3,
        "refill": 200000, "refill_repeat": 5, "refill_alone": 8,
        "rolling": {"sockets": 15000, "users": 5000, "rate": 1000, "drain": 30, "calm": 15},
        1000: {1: (150, 40), 8: (60, 15)}, 10000: {1: (20, 4)}}
SHORT = {"repeat": 2, "idle": 2000, "idle_repeat": 1, "appends": 30000, "append_repeat": 1,
         "refill": 20000, "refill_repeat": 1, "refill_alone": 1,
         "rolling": {"sockets": 1500, "users": 500, "rate": 300, "drain": 4, "calm": 3},
         1000: {1: (40, 40), 8: (15, 15)}, 10000: {1: (5, 4)}}


class Failed(Exception):
    """A measurement that cannot be believed or made; the text says why."""


class Busy(Failed):
    """Others use the machine so much that it would be another measurement. No fault under --short."""


class Bench:
    """Where things are, and the rows of the result."""

    def __init__(self, options, folder, jars):
        self.options, self.folder = options, folder
        self.plan = SHORT if options.short else FULL
        self.rows, self.failures, self.at_fault = [], [], False
        self.load_before, self.jars = os.getloadavg()[0], jars

    def tool(self, name):
        path = self.options.build / "loadtest" / name
        if not path.exists():
            raise Failed(f"{path} is not built")
        return path

    def publish(self, redis, *words):
        done = subprocess.run([self.tool("publish"), "--redis", redis.url, *map(str, words)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"publish: {done.stdout}")
        return json.loads(done.stdout)

    def row(self, what, value, unit, bar=None, at_least=False, note=""):
        """Notes and prints a figure; bar is the most it may be, or the least. The short form is too short to judge."""
        met = None if bar is None or self.options.short else value >= bar if at_least else value <= bar
        self.rows.append({"what": what, "value": round(value, 3), "unit": unit, "bar": bar, "met": met, "note": note})
        print(f"    {what}: {value:.3g} {unit} {note}", flush=True)

    def measure(self, title, function):
        if self.options.only not in title:
            return
        print(f"==> {title}", flush=True)
        started = time.monotonic()
        try:
            with contextlib.ExitStack() as stack:
                function(self, stack)
        except (Failed, proc.Dead, TimeoutError) as reason:
            self.failures.append(f"{title}: {reason}")
            self.at_fault |= not (self.options.short and isinstance(reason, Busy))
            print(f"    not measured: {reason}", flush=True)
        print(f"    {time.monotonic() - started:.0f} s", flush=True)

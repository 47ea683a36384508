#!/usr/bin/env python3
"""Measures the release build: what a gateway spends per message, connection and connect, what a router spends per event
and what a refill of history and a rolling update cost live events.

    ./tidegate bench [--short] [--only WORD] [--json FILE] [--build FOLDER]

CPU is that of the measured process alone, user and system, divided by what the clients counted. Cost per message is
given as a ratio to loadtest/floor, a bare epoll writer of ready-made frames: rounds of the two alternate, and medians
are compared, since the same program differs by 15 to 25 % from minute to minute on a shared machine. As root all of it
runs in a network namespace of its own, out of reach of connection tracking. Ends with 1 when a bar is missed (not under
--short, which only shows that everything still measures) or something could not be measured (under --short, for another
reason than a busy machine).
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lib import proc, tools  # noqa: E402
from measure import gateway, refill, rolling, router  # noqa: E402
from measure.bench import Bench  # noqa: E402
from measure.machine import enter_namespace  # noqa: E402

MEASUREMENTS = {
    "idle connections": gateway.idle,
    "fan-out to 1,000": lambda bench, stack: gateway.fanout(bench, stack, 1000, 1.15),
    "fan-out to 10,000": lambda bench, stack: gateway.fanout(bench, stack, 10000, 1.25),
    "bursts": gateway.bursts,
    "decode": router.decode,
    "appends": router.appends,
    "refill": refill.refill,
    "rolling": rolling.rolling,
}


def print_table(bench):
    print(f"\n{'':44}{'':>12}  {'':26}{'bar':>10}")
    for row in bench.rows:
        bar = "" if row["bar"] is None else f"{row['bar']:g}"
        met = {None: "", True: "met", False: "NOT MET"}[row["met"]]
        print(f"{row['what']:44}{row['value']:>12.5g}  {row['unit']:26}{bar:>8}  {met} {row['note']}")
    for failure in bench.failures:
        print(f"not measured: {failure}")


def write_json(bench, path, own_network):
    machine = {"cpus": os.cpu_count(), "kernel": platform.release(), "own_network": own_network,
               "load_before": bench.load_before}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "short": bench.options.short, "rows": bench.rows,
                                "failures": bench.failures}, indent=1, ensure_ascii=False) + "\n")
    print(f"written to {path}")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two minutes instead of twelve, and no judgement on speed")
    parser.add_argument("--only", default="", metavar="WORD", help="only measurements whose title holds this")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", metavar="FOLDER")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="where the figures go (FOLDER/bench.json)")
    return parser.parse_args()


def have_jars():
    """Whether a real Kafka can be run; without one the embedded one serves."""
    try:
        return tools.path("jars")
    except tools.Unavailable as reason:
        print(f"bench: {reason}", flush=True)
        return None


def main():
    options = parse_options()
    jars = have_jars()  # before the outside is out of reach
    own_network = enter_namespace()
    if not own_network:
        print("bench: no network namespace of its own (not root): expect figures up to 20 % higher", flush=True)
    proc.exit_on_sigterm()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-bench-"))
    bench = Bench(options, folder, jars)
    if bench.load_before > 1:
        print(f"bench: this machine is busy (load {bench.load_before:.1f}): expect wide ranges", flush=True)
    for title, measurement in MEASUREMENTS.items():
        bench.measure(title, measurement)
    print_table(bench)
    write_json(bench, options.json or options.build / "bench.json", own_network)
    shutil.rmtree(folder, ignore_errors=True)
    missed = any(row["met"] is False for row in bench.rows)
    return 1 if missed or bench.at_fault or not bench.rows else 0


if __name__ == "__main__":
    sys.exit(main())

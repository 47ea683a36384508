"""A worker of the suite, see lib.crew: gets names of scenarios and answers with results. What it says to people goes to stderr."""

import argparse
import dataclasses
import pathlib
import sys
import tempfile

from chaos import rows
from chaos.attempt import Settings, attempt
from chaos.faultproxy import second_listener
from lib import kafka, ports, proc
from lib.crew import Jobs


def argv(options, folder):
    """What starts one."""
    return [sys.executable, "-m", "chaos.worker", "--seed", options.seed, "--build", options.build, "--folder", folder,
            *(["--short"] if options.short else [])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--build")
    parser.add_argument("--folder")
    options = parser.parse_args()
    jobs = Jobs()
    proc.exit_on_sigterm()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="worker-", dir=options.folder))
    settings = Settings(options.seed, options.short, proc.ROOT / "build" / options.build, folder)
    broker = second_listener(kafka.Broker(folder / "kafka")).start()
    for name in jobs:
        row = rows.find(name)
        print(f"==> {row.name}: {row.says}", flush=True)
        with ports.lent():
            jobs.answer(dataclasses.asdict(attempt(row, settings, broker)))
    broker.stop()


if __name__ == "__main__":
    main()

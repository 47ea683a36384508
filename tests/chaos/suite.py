"""The fault suite: breaks a running Tidegate on purpose, and counts what its clients lost.

    ./tidegate chaos [--short] [-k WORD] [--seed N]

Every scenario runs on processes of its own: a real Redis, a real Kafka broker, routers, gateways, and some hundred devices that
come back by themselves, at 1,000 events a second and more. A seed, printed at the start, decides every choice: who dies, when,
which gateway a device takes. The table at the end has a line a scenario; the exit status is 0 when nothing was lost,
duplicated, repeated, reordered, foreign or rewound.
"""

import argparse
import dataclasses
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

from chaos import losses, masters, network, troubles  # noqa: F401  they add their rows to the table
from chaos.faultproxy import second_listener
from chaos.ledger import FAULTS
from chaos.scenarios import TABLE
from chaos.world import World
from lib import kafka, proc
from lib.tools import Unavailable

COLUMNS = ["events", "ev/s", "delivered", "connects", "again", *list(FAULTS)[:6], "gaps", "repaired", "dropped"]


@dataclasses.dataclass
class Settings:
    """What all scenarios of a run have in common. `patience`: seconds without any event, after which none is waited for."""

    seed: int
    short: bool
    build: pathlib.Path
    folder: pathlib.Path
    patience: float = 30


class Result:
    """How one scenario ended: `outcome` is ok, FAIL or skip."""

    def __init__(self, row, count):
        self.row = row
        self.count = count
        self.outcome = "ok"
        self.sentences = []
        self.cells = {}
        self.seconds = 0.0

    def fail(self, *sentences):
        self.outcome = "FAIL"
        self.sentences += sentences


def judge(result, world, verdict):
    """Writes a verdict into a result."""
    bad = verdict.bad(result.row.allowed)
    if bad:
        result.fail(", ".join(f"{count} {word} ({FAULTS[word]})" for word, count in bad.items()), *verdict.said)
    seconds = world.events.seconds
    result.cells = {"events": world.events.total, "ev/s": round(world.events.total / seconds) if seconds else 0,
                    "delivered": verdict.deliveries, "connects": verdict.connects, "again": verdict.again,
                    **{word: verdict.faults[word] for word in list(FAULTS)[:6]},
                    **{word: world.counted[word] for word in ("gaps", "repaired", "dropped")}}


def attempt(row, settings, broker):
    """Runs one scenario."""
    result = Result(row, row.short if settings.short else row.count)
    started = time.monotonic()
    world = None
    try:
        world = World(row, settings, broker)
        world.open()
        row.action(world)
        judge(result, world, world.finish())
    except Unavailable as reason:
        result.outcome = "skip"
        result.sentences.append(f"not available: {reason}")
    except Exception:
        result.fail(traceback.format_exc())
    faults = world.close() if world else []
    if faults:
        result.fail(*faults)
    result.seconds = time.monotonic() - started
    return result


def say(result):
    """One line when it is over, and what was wrong below it."""
    cells = ", ".join(f"{result.cells[name]} {name}" for name in ("events", "delivered", "connects") if name in result.cells)
    name = f"{result.row.name} x{result.count}"
    if result.outcome == "skip":
        print(f"skip  {name}: {result.sentences[0]}", flush=True)
        return
    print(f"{result.outcome:4}  {name:28} {result.seconds:6.1f} s  {cells}", flush=True)
    for sentence in result.sentences:
        print("      " + sentence.rstrip().replace("\n", "\n      "), flush=True)


def table(results):
    """The whole as text."""
    rows = [["scenario", "count", *COLUMNS]]
    for result in results:
        rows.append([result.row.name, str(result.count), *[str(result.cells.get(name, "-")) for name in COLUMNS]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))
                     for row in rows)


def read_options():
    parser = argparse.ArgumentParser(prog="./tidegate chaos", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a tenth of the counts")
    parser.add_argument("--seed", type=int, help="repeats a run, as far as processes can be repeated")
    parser.add_argument("-k", default="", metavar="WORD", help="only scenarios whose name holds this")
    parser.add_argument("--list", action="store_true", help="prints the scenarios and their counts")
    parser.add_argument("--build", default="release", metavar="PRESET")
    parser.add_argument("--keep", action="store_true", help="keep logs and ledgers of a run without failures too")
    parser.add_argument("--name", default="chaos", help="what the last line calls the run")
    return parser.parse_args()


def main():
    options = read_options()
    rows = [row for row in TABLE if options.k in row.name]
    if options.list:
        for row in rows:
            print(f"{row.name:20} x{row.short:<4} x{row.count:<5} {row.says}")
        return 0
    if options.seed is None:
        options.seed = random.randrange(1 << 31)
    print(f"seed {options.seed}", flush=True)
    proc.exit_on_sigterm()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-chaos-"))
    settings = Settings(options.seed, options.short, proc.ROOT / "build" / options.build, folder)
    broker = second_listener(kafka.Broker(folder / "kafka")).start() if rows else None
    results = []
    for row in rows:
        print(f"==> {row.name}: {row.says}", flush=True)
        results.append(attempt(row, settings, broker))
        say(results[-1])
    if broker:
        broker.stop()
    print(table(results))
    counts = {word: sum(result.outcome == word for result in results) for word in ("ok", "FAIL", "skip")}
    failed = counts["FAIL"] if rows else 1
    if failed or options.keep:
        print(f"seed {options.seed}; logs and ledgers: {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{options.name}: {counts['ok']} passed, {failed} failed, {counts['skip']} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

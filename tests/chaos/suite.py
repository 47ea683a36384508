"""The fault suite: breaks a running Tidegate on purpose, and counts what its clients lost.

    ./tidegate chaos [--short] [-k WORD] [--seed N]

Every scenario runs on processes of its own: a real Redis, a real Kafka broker, routers, gateways, and some hundred devices that
come back by themselves, at 1,000 events a second and more. A seed, printed at the start, decides every choice: who dies, when,
which gateway a device takes. The table at the end has a line a scenario; the exit status is 0 when nothing was lost,
duplicated, repeated, reordered, foreign or rewound.
"""

import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import time

from chaos import worker
from chaos.attempt import Result
from chaos.ledger import FAULTS
from chaos.rows import TABLE
from lib import proc
from lib.crew import Crew

# Scenarios side by side: most of their time they wait for somebody to come back.
JOBS_SHORT = 3
COLUMNS = ["events", "ev/s", "delivered", "connects", "again", *list(FAULTS)[:6], "gaps", "repaired", "dropped"]


def say(result):
    """One line when it is over, and what was wrong below it."""
    cells = ", ".join(f"{result.cells[name]} {name}" for name in ("events", "delivered", "connects") if name in result.cells)
    name = f"{result.name} x{result.count}"
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
        rows.append([result.name, str(result.count), *[str(result.cells.get(name, "-")) for name in COLUMNS]])
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
    parser.add_argument("--jobs", type=int, help=f"scenarios side by side: 1, {JOBS_SHORT} in the short form")
    parser.add_argument("--build", default="release", metavar="PRESET")
    parser.add_argument("--keep", action="store_true", help="keep logs and ledgers of a run without failures too")
    parser.add_argument("--name", default="chaos", help="what the last line calls the run")
    return parser.parse_args()


def run(rows, options, folder):
    """The results, in the order of the table."""
    results = {}
    with Crew(min(options.jobs, len(rows)), worker.argv(options, folder)) as crew:
        for name, answer, end in crew.work([row.name for row in rows]):
            results[name] = Result(name, 0, "FAIL", [end]) if end else Result(**answer)
            say(results[name])
    return [results[row.name] for row in rows]


def main():
    options = read_options()
    rows = [row for row in TABLE if options.k in row.name]
    if options.list:
        for row in rows:
            print(f"{row.name:22} x{row.short:<4} x{row.count:<5} {row.says}")
        return 0
    if not rows:
        print(f"no scenario's name holds '{options.k}' (--list prints them)", file=sys.stderr)
        return 2
    if options.seed is None:
        options.seed = random.randrange(1 << 31)
    options.jobs = options.jobs or (JOBS_SHORT if options.short else 1)
    print(f"seed {options.seed}", flush=True)
    proc.exit_on_sigterm()
    started = time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-chaos-"))
    results = run(rows, options, folder)
    print(table(results))
    counts = {word: sum(result.outcome == word for result in results) for word in ("ok", "FAIL", "skip")}
    if counts["FAIL"] or options.keep:
        print(f"logs and ledgers: {folder}")
    else:
        shutil.rmtree(folder)
    print(f"seed {options.seed}, {time.monotonic() - started:.0f} s")
    print(f"{options.name}: {counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())

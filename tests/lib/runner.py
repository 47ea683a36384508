"""Runs tests that are plain functions named test_*, one line each, and closes with `PART: N passed, N failed, N skipped`.

    python -m lib.runner PART [--build PRESET] [--kafka real|embedded] [--jobs N] [-k WORD] [--list] [--keep]

PART is a folder below tests/ with test_*.py files. A test takes by name what it needs: `cluster`, a shared one; a
`new_cluster` that makes one for this test alone; `kafka`, a shared broker; `build`, the folder with our programs;
`folder`, an empty one. What a test needs longer than two minutes for it says itself: test_x.seconds = 300.

With --jobs tests run side by side, each worker with a broker and a shared cluster of its own. A test that would see what others
take of the machine says so, test_x.alone = True, and runs by itself after all others.
"""

import argparse
import collections
import pathlib
import shutil
import sys
import tempfile

from lib import proc
from lib.crew import Crew
from lib.worker import load


class Report:
    """Counts, and prints each test as soon as it ended, or with those of its file when all of them have."""

    def __init__(self, names=()):
        self.counts = collections.Counter()
        self.groups = {name: [one for one in names if file_of(one) == file_of(name)] for name in names}
        self.lines = {}

    def add(self, name, outcome, seconds, text):
        self.counts[outcome] += 1
        self.lines[name] = line(name, outcome, seconds, text)
        group = self.groups.get(name, [name])
        if all(one in self.lines for one in group):
            print("\n".join(self.lines[one] for one in group), flush=True)


def file_of(name):
    return name.partition(".")[0]


def line(name, outcome, seconds, text):
    """How one test ended, and below it what it printed and what went wrong."""
    if outcome == "skip":
        return f"skip  {name}: {text}"
    below = "".join(f"\n      {words}" for words in text.rstrip().splitlines())
    return f"{outcome:4}  {name:52} {seconds:6.1f} s{below}"


def run(tests, options, folder):
    """All tests. Returns the counts."""
    alone = [name for name, function in tests if getattr(function, "alone", False)]
    together = [name for name, _ in tests if name not in alone]
    size = max(1, min(options.jobs, len(together)))
    report = Report(together if size > 1 else [])
    argv = [sys.executable, "-m", "lib.worker", options.part, "--build", options.build, "--kafka", options.kafka,
            "--folder", folder]
    faults = []
    with Crew(size, argv) as crew:
        for names, rest in (together, 1), (alone, 0):
            for name, answer, end in crew.work(names):
                report.add(name, *(answer or ("FAIL", 0, end)))
            for answer, end in crew.dismiss(keep=rest):
                faults += answer if end is None else [end]
    report.add("the workers end cleanly", "FAIL" if faults else "ok", 0, "\n".join(faults))
    return report.counts


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part")
    parser.add_argument("--build", default="debug", metavar="PRESET")
    parser.add_argument("--kafka", default="real", choices=["real", "embedded"])
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="tests side by side")
    parser.add_argument("--name", help="what the summary calls the part")
    parser.add_argument("-k", default="", metavar="WORD", help="only tests whose name holds this")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run without failures too")
    return parser.parse_args()


def main():
    options = read_options()
    tests = load(options.part, options.k)
    if options.list:
        print("\n".join(name for name, _ in tests))
        return 0
    if not tests:
        print(f"{options.name or options.part}: no test's name holds '{options.k}' (--list prints them)", file=sys.stderr)
        return 2
    proc.exit_on_sigterm()
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"tidegate-{pathlib.Path(options.part).name}-"))
    try:
        counts = run(tests, options, folder)
    except KeyboardInterrupt:
        print(f"interrupted; logs: {folder}")
        return 130
    if counts["FAIL"] or options.keep:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    print(f"{options.name or options.part}: {counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())

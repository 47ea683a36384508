"""What runs the tests: side by side, none is left out, none is in another's way, and nothing stays behind."""

import os
import pathlib
import re
import signal
import subprocess
import sys

from lib.proc import wait_until

# Gives ports back and is given others; prints those that it has.
PORTS = """
import sys
from lib import ports
given = [ports.free_port() for _ in range(150)]
with ports.lent():
    lent = [ports.free_port() for _ in range(10)]
again = [ports.free_port() for _ in range(30)]
assert not set(again) & set(given + lent)
print(*given, *again, flush=True)
sys.stdin.read()
"""


def runner(folder, *words):
    """The runner over samples/, started as from a terminal: what a shell starts in the background ignores SIGINT."""
    return subprocess.Popen([sys.executable, "-m", "lib.runner", "system/samples", "--name", "samples", *words],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                            env={**os.environ, "SAMPLES": str(folder), "TMPDIR": str(folder)})


def test_whatever_becomes_of_a_test_the_others_are_run(folder):
    for jobs in ("1", "3"):
        with runner(folder, "--jobs", jobs, "-k", "test_outcomes") as run:
            out, _ = run.communicate(timeout=100)
        assert re.findall(r"^(\w+) +outcomes\.(\w+)", out, re.M) == [
            ("ok", "passes"), ("FAIL", "fails"), ("skip", "is_not_to_be_had"), ("FAIL", "dies"), ("FAIL", "is_too_slow"),
            ("ok", "is_run_after_those")], out
        assert "\n      printed\n      by a child\n" in out and 'assert [] == "a reason"' in out and "ended with status 7" in out, out
        assert "skip  outcomes.is_not_to_be_had: not available: no such thing\n" in out, out
        assert run.returncode == 1 and out.endswith("samples: 3 passed, 3 failed, 1 skipped\n"), out


def test_who_wants_to_be_alone_is(folder):
    with runner(folder, "--jobs", "2", "-k", "test_places") as run:
        out, _ = run.communicate(timeout=100)
    assert run.returncode == 0 and out.endswith("samples: 4 passed, 0 failed, 0 skipped\n"), out


def gone(pid):
    """Whether a process has ended, perhaps without anybody who asked how."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_nothing_outlives_an_interrupted_run(folder):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        pids = folder / "pids"
        with runner(folder, "-k", "test_without_end") as run:
            wait_until(lambda: pids.exists() and pids.read_text(), 60, "it hangs")
            run.send_signal(number)
            out, _ = run.communicate(timeout=60)
        assert run.returncode != 0, out
        for pid in pids.read_text().split():
            wait_until(lambda pid=pid: gone(pid), 20, f"the end of process {pid} by {number.name}")
        pids.unlink()


def test_no_two_are_given_the_same_port():
    runs = [subprocess.Popen([sys.executable, "-c", PORTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(10)]
    given = [port for run in runs for port in run.stdout.readline().split()]
    for run in runs:
        run.communicate(timeout=20)
    assert len(given) == len(set(given)) == 10 * 180

"""Server processes: output in a log file, ready by polling with a deadline, and gone with us, whatever ends us.

Each child leads a session of its own, so that Ctrl-C reaches only the parent, which stops its children in order, and
dies with the parent through PR_SET_PDEATHSIG, so that even SIGKILL leaves nothing behind. Start children from the
main thread only: the kernel ties them to the thread that made them.
"""

import atexit
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from lib.ports import free_port  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parents[2]
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error: |Assertion .* failed")

_running = []


class Dead(Exception):
    """A server that ended, or was not ready in time. The text holds the last lines of its log."""


def wait_until(check, seconds, what, every=0.05):
    """Polls check() until it is true, and returns what it gave. Raises TimeoutError that says `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


class Proc:
    """One process. `name` is what messages and the log file are called."""

    def __init__(self, name, argv, folder, env=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.env = env
        self.log_path = pathlib.Path(folder) / f"{name}.log"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self.child = None
        self.killed = False
        self.shown = 0

    def start(self):
        assert not self.alive(), f"{self.name} runs already"
        self.killed = False
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.argv], stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True,
                                          env={**os.environ, **(self.env or {})})
        _running.append(self)
        return self

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def wait_ready(self, check, seconds=20):
        """Polls check() while the process lives."""
        def attempt():
            if not self.alive():
                raise Dead(f"{self.name} ended with {describe(self.child.returncode)} before it was ready\n{self.tail()}")
            with contextlib.suppress(OSError):
                return check()
            return None
        try:
            wait_until(attempt, seconds, f"{self.name} ready")
        except TimeoutError as late:
            raise Dead(f"{late}\n{self.tail()}") from None
        return self

    def wait_exit(self, seconds=10):
        """Its exit status, or TimeoutError."""
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {seconds} s\n{self.tail()}") from None
        self._gone()
        return status

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL when that does not end it in time. Returns the exit status, None if it never ran."""
        if self.child is None:
            return None
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            return self.wait_exit(seconds)
        except TimeoutError:
            self.kill()
            return -signal.SIGKILL

    def kill(self):
        """SIGKILL, as the kernel's out-of-memory killer would."""
        self.killed = True
        self.signal(signal.SIGKILL)
        self.child.wait()
        self._gone()

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            return self.log_path.read_text(errors="replace")
        return ""

    def tail(self, lines=25):
        text = "\n".join("  | " + line for line in self.log().splitlines()[-lines:])
        return f"  last lines of {self.log_path}:\n{text}"

    def new_log(self):
        """What was logged since the last call."""
        text = self.log()
        fresh, self.shown = text[self.shown:], len(text)
        return fresh

    def reports(self):
        """Lines in which a sanitizer or an assertion complains."""
        return [line for line in self.log().splitlines() if REPORT.search(line)]

    def _gone(self):
        if self in _running:
            _running.remove(self)


def describe(status):
    """Words for an exit status."""
    if status is not None and status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"status {status}"


@atexit.register
def stop_all():
    """Ends what is left, youngest first."""
    for proc in reversed(list(_running)):
        proc.stop(seconds=3)


def exit_on_sigterm():
    """Makes SIGTERM and SIGHUP run the exit handlers, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, frame: sys.exit(128 + n))

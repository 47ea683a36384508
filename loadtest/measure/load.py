"""Programs of loadtest that stay open: clients that count, and the writer that a gateway is compared with."""

import contextlib
import os
import re
import subprocess

from lib import proc
from measure.bench import MESSAGE, SECRET, Failed


class Swarm(proc.Proc):
    """loadtest/swarm in the background; its counts are read from its progress lines."""

    def __init__(self, bench, name, port, sockets):
        super().__init__(name, [bench.tool("swarm"), "--target", f"127.0.0.1:{port}", "--sockets", sockets, "--secret",
                                SECRET, "--hold", "--interval", "0.05"], bench.folder)
        # an earlier swarm may have written to this log: its counts are not ours
        self.begin = self.log_path.stat().st_size if self.log_path.exists() else 0

    def counts(self):
        with contextlib.suppress(FileNotFoundError), open(self.log_path, "rb") as log:
            log.seek(max(self.begin, log.seek(0, os.SEEK_END) - 2000))
            lines = [line for line in log.read().decode().split("\n")[:-1] if line.startswith("t=")]
            if lines:
                return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)(?= |$)", lines[-1])}
        return {}

    def wait(self, name, value, seconds=60):
        """Waits until a count is there; Failed when sockets failed or were lost, or it did not come."""
        def reached():
            counts = self.counts()
            if not self.alive() or counts.get("failed") or counts.get("lost"):
                raise Failed(f"{self.name}: {counts or 'ended'}\n{self.tail(5)}")
            return counts.get(name, 0) >= value
        try:
            proc.wait_until(reached, seconds, f"{self.name}: {name} >= {value}")
        except TimeoutError as late:
            raise Failed(f"{late}, but {self.counts()}") from None
        return self.counts()[name]


class Floor:
    """loadtest/floor, which writes when told to."""

    def __init__(self, bench, sockets):
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", bench.tool("floor"), "--port", "0", "--conns", str(sockets), "--size",
             str(MESSAGE), "--commands"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = int(self.child.stderr.readline().rpartition(":")[2])
        self.pid = self.child.pid

    def write(self, rounds, burst, rate):
        self.child.stdin.write(f"{rounds} {burst} {rate}\n")
        self.child.stdin.flush()
        self.child.stdout.readline()

    def stop(self):
        self.child.kill()
        self.child.communicate()


def start_swarm(stack, *args):
    swarm = Swarm(*args).start()
    stack.callback(swarm.stop)
    return swarm

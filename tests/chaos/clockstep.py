"""A redis-server whose wall clock can be stepped while it runs.

    redis = lambda folder: clockstep.Redis(folder, build)      # for lib.cluster.Cluster(redis=…)
    cluster.redis.step(-20)                                    # seconds, to where it stands without any step
"""

import mmap
import pathlib
import struct

from lib import redis


class Clock:
    """The wall clock of one process that is not started yet: `proc` is a lib.proc.Proc."""

    def __init__(self, proc, build):
        self.path = proc.log_path.with_suffix(".clock")
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        proc.env = {**(proc.env or {}), "CLOCKSTEP_FILE": str(self.path),
                    "LD_PRELOAD": str(pathlib.Path(build) / "chaos/clockstep.so")}

    def step(self, seconds):
        """From now on it stands so many seconds before (negative: behind) the true time."""
        self.memory[:8] = struct.pack("<q", int(seconds * 1_000_000))


class Redis(redis.Redis):
    """lib.redis.Redis with a clock of its own; a step outlives a restart."""

    def __init__(self, folder, build, **more):
        super().__init__(folder, **more)
        self.clock = Clock(self.proc, build)

    def step(self, seconds):
        self.clock.step(seconds)

"""What a running cluster holds: memory and descriptors of each program, keys and memory of Redis. Measured before and after
many connections came and went, it shows what they leave behind.

    before = footprint(cluster)
    waves(build, ports, SECRET, connects=100_000)
    print(footprint(cluster).minus(before))
"""

import dataclasses
import json
import os
import pathlib
import re
import subprocess

from lib.proc import wait_until
from lib.redis import RedisClient

WAVE = 5000  # sockets at once: a process may open 20,000 descriptors


@dataclasses.dataclass
class Footprint:
    """`rss` (bytes) and `descriptors` by the name of each process; `keys` and `memory` (bytes) over all masters of Redis."""

    rss: dict
    descriptors: dict
    keys: int
    memory: int

    def minus(self, before):
        """What has grown since."""
        return Footprint({name: now - before.rss.get(name, 0) for name, now in self.rss.items()},
                         {name: now - before.descriptors.get(name, 0) for name, now in self.descriptors.items()},
                         self.keys - before.keys, self.memory - before.memory)

    def __str__(self):
        programs = ", ".join(f"{name} {self.rss[name] / 1048576:.1f} MiB {self.descriptors[name]} descriptors"
                             for name in self.rss)
        return f"{programs}; Redis {self.keys} keys {self.memory / 1048576:.1f} MiB"


def rss(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(re.search(r"^VmRSS:\s+(\d+) kB$", text, re.M)[1])


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def footprint(cluster):
    """Of a lib.cluster.Cluster, at rest or not."""
    procs = [program.proc for program in cluster.programs]
    keys = memory = 0
    for port in cluster.redis.masters():
        client = RedisClient(port)
        keys += client("DBSIZE")
        memory += int(re.search(rb"^used_memory:(\d+)", client("INFO", "memory"), re.M)[1])
        client.close()
    return Footprint({p.name: rss(p.pid) for p in procs}, {p.name: descriptors(p.pid) for p in procs}, keys, memory)


def wave(build, ports, secret, sockets, path="/ws", rate=4000, stay=0.5):
    """So many WebSockets, of as many users u0, u1, …, come, stay for some seconds, and go. Returns the swarm's result; a
    RuntimeError when one of them was not welcome or was thrown out."""
    argv = [pathlib.Path(build) / "loadtest/swarm", "--sockets", sockets, "--target",
            ",".join(f"127.0.0.1:{port}" for port in ports), "--path", path, "--secret", secret, "--rate", rate,
            "--seconds", stay, "--quiet", "--json"]
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=300, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"swarm: {done.stdout} {done.stderr}")
    return json.loads(done.stdout)


def waves(build, ports, secret, connects, size=WAVE, after=lambda done: None, **more):
    """Waves until there were so many connects; after(done) is called behind each. Returns how many were welcomed."""
    done = 0
    while done < connects:
        result = wave(build, ports, secret, min(size, connects - done), **more)
        done += result["welcomed"]
        after(done)
    return done


def wait_empty(cluster, left=0, seconds=60):
    """Waits until the gateways hold no more than `left` connections and no target that nobody listens to."""
    def empty():
        return sum(gateway.metric("websocket_connections_total") or 0 for gateway in cluster.gateways) <= left
    wait_until(empty, seconds, "gateways without connections", 0.2)
    if left == 0:
        wait_until(lambda: all(gateway.metric("tidegate_gateway_targets") == 0 for gateway in cluster.gateways), seconds,
                   "gateways without targets", 0.2)

"""Redis as it is run in earnest: behind Sentinel, as a Redis Cluster, as several nodes that know nothing of each other.

Each has what lib.redis.Redis has (url, start, stop, procs) and `masters()`, the ports of the nodes that hold the data.
`node` makes one redis-server, by default a plain one.
"""

import pathlib
import subprocess

from lib.ports import free_port
from lib.proc import Proc, wait_until
from lib.redis import Redis, RedisClient, RedisError

MASTER_NAME = "tidegate"
# A replica is in step once it was sent anything at all: by default that takes ten seconds.
PROMPT = ("--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0")


def ask(port, *words):
    """One command on a connection of its own: its reply, or None from a server that is away or says no."""
    try:
        client = RedisClient(port, timeout=2)
    except OSError:
        return None
    try:
        return client(*words)
    except (OSError, RedisError):
        return None
    finally:
        client.close()


class Group:
    """Several redis-servers, started and stopped together; `nodes` are lib.redis.Redis."""

    def __init__(self):
        self.nodes = []

    @property
    def procs(self):
        return [node.proc for node in self.nodes]

    def masters(self):
        return [node.port for node in self.nodes]

    def client(self, port=None):
        return RedisClient(port or self.masters()[0])

    def node(self, port):
        return next(node for node in self.nodes if node.port == port)

    def start_nodes(self):
        for node in self.nodes:
            node.proc.start()
        for node in self.nodes:
            node.proc.wait_ready(lambda node=node: node.answers("PING") == "PONG", 30)

    def start(self):
        self.start_nodes()
        return self

    def stop(self):
        for proc in self.procs:
            proc.stop()


class Several(Group):
    """`count` nodes that know nothing of each other."""

    def __init__(self, folder, count=3, options=(), node=Redis):
        super().__init__()
        self.nodes = [node(pathlib.Path(folder) / f"node-{i + 1}", options=options) for i in range(count)]

    @property
    def url(self):
        return "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)


class Sentinels(Group):
    """A master with `replicas`, and `count` Sentinels that watch it under MASTER_NAME."""

    def __init__(self, folder, replicas=2, count=3, options=(), down_after_ms=1000, node=Redis):
        super().__init__()
        folder = pathlib.Path(folder)
        self.nodes = [node(folder / f"node-{i + 1}", options=[*PROMPT, *options]) for i in range(1 + replicas)]
        self.ports = [free_port() for _ in range(count)]
        self.sentinels = []
        for i, port in enumerate(self.ports):
            file = folder / f"sentinel-{i + 1}.conf"
            file.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
                f"sentinel monitor {MASTER_NAME} 127.0.0.1 {self.nodes[0].port} {count // 2 + 1}\n"
                f"sentinel down-after-milliseconds {MASTER_NAME} {down_after_ms}\n"
                f"sentinel failover-timeout {MASTER_NAME} 5000\n")
            self.sentinels.append(Proc(f"sentinel-{i + 1}", ["redis-server", file, "--sentinel"], folder))

    @property
    def url(self):
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self.ports) + "/" + MASTER_NAME

    @property
    def procs(self):
        return [*super().procs, *self.sentinels]

    def start(self):
        self.start_nodes()
        for node in self.nodes[1:]:
            node.answers("REPLICAOF", "127.0.0.1", self.nodes[0].port)
        self.wait_replicas(len(self.nodes) - 1)
        for proc, port in zip(self.sentinels, self.ports):
            proc.start()
            proc.wait_ready(lambda port=port: ask(port, "PING") == "PONG")
        wait_until(lambda: all(self.sees_all(port) for port in self.ports), 60, "Sentinels that know each other", 0.1)
        return self

    def wait_replicas(self, count):
        """Waits until so many replicas of the master stand where it stands: one that never did refuses to take over."""
        def linked():
            role = ask(self.master(), "ROLE")
            return role and len([r for r in role[2] if int(r[2]) > 0]) >= count
        wait_until(linked, 30, "replicas in step", 0.1)

    def view(self, port):
        """What a Sentinel says of the master; nothing while it is away."""
        reply = ask(port, "SENTINEL", "MASTER", MASTER_NAME) or []
        return dict(zip(reply[::2], reply[1::2]))

    def sees_all(self, port):
        view = self.view(port)
        return (view and int(view[b"num-slaves"]) == len(self.nodes) - 1
                and int(view[b"num-other-sentinels"]) == len(self.ports) - 1)

    def failovers(self):
        """How many there were: on a busy machine Sentinels may begin another one by themselves."""
        return max(int(self.view(port).get(b"config-epoch", 0)) for port in self.ports)

    def master(self):
        """The port of the master, as the first Sentinel that answers has it."""
        for port in self.ports:
            reply = ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)
            if reply:
                return int(reply[1])
        return self.nodes[0].port

    def masters(self):
        return [self.master()]

    def kill_master(self):
        """kill -9; returns the port of its successor once there is one."""
        old = self.master()
        self.node(old).kill()
        wait_until(lambda: self.master() != old and ask(self.master(), "ROLE")[0] == b"master", 60, "a new master", 0.1)
        return self.master()


class RedisCluster(Group):
    """Redis Cluster of `masters_count` masters, each with `replicas` replicas."""

    def __init__(self, folder, masters_count=3, replicas=0, options=(), node=Redis):
        super().__init__()
        self.masters_count, self.replicas = masters_count, replicas
        for i in range(masters_count * (1 + replicas)):
            self.nodes.append(node(pathlib.Path(folder) / f"node-{i + 1}",
                                   options=["--cluster-enabled", "yes", "--cluster-port", free_port(),
                                            "--cluster-node-timeout", "2000", *PROMPT, *options]))

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def cli(self, *words, seconds=60):
        done = subprocess.run(["redis-cli", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=seconds, check=False)
        assert done.returncode == 0 and "[ERR]" not in done.stdout, done.stdout[-2000:]
        return done.stdout

    def start(self):
        self.start_nodes()
        if ask(self.nodes[0].port, "CLUSTER", "MYID") and len(self.table()) > 1:
            return self  # it was one before
        self.cli("--cluster", "create", *[f"127.0.0.1:{node.port}" for node in self.nodes], "--cluster-replicas",
                 self.replicas, "--cluster-yes")
        self.wait_ok()
        if self.replicas:
            wait_until(self.in_step, 60, "replicas in step", 0.2)
        return self

    def wait_ok(self, seconds=60):
        def ok(node):
            info = ask(node.port, "CLUSTER", "INFO")
            return info is not None and b"cluster_state:ok" in info and b"cluster_slots_assigned:16384" in info
        wait_until(lambda: all(ok(node) for node in self.nodes if node.proc.alive()), seconds, "a cluster that is ok", 0.1)

    def in_step(self):
        """Every replica finished its first synchronization: one that did not refuses to take over."""
        roles = [ask(node.port, "ROLE") for node in self.nodes]
        replicas = [role for role in roles if role and role[0] == b"slave"]
        return (len(replicas) == self.masters_count * self.replicas
                and all(role[3] == b"connected" and role[4] > 0 for role in replicas))

    def table(self):
        """CLUSTER NODES of the first node that answers: dictionaries with id, port, flags, slots."""
        for node in self.nodes:
            text = ask(node.port, "CLUSTER", "NODES") if node.proc.alive() else None
            if text:
                rows = [line.split() for line in text.decode().splitlines()]
                return [{"id": row[0], "port": int(row[1].split("@")[0].rsplit(":", 1)[1]), "flags": row[2].split(","),
                         "slots": row[8:]} for row in rows]
        return []

    def masters(self):
        return [row["port"] for row in self.table() if "master" in row["flags"] and "fail" not in row["flags"]
                and row["slots"]]

    def owner(self, slot):
        """The port of the master that holds a slot."""
        for row in self.table():
            for span in row["slots"]:
                first, _, last = span.partition("-")
                if not span.startswith("[") and int(first) <= slot <= int(last or first):
                    return row["port"]
        return None

    def slots(self, port):
        """How many slots a master holds."""
        [row] = [row for row in self.table() if row["port"] == port]
        spans = [span.partition("-") for span in row["slots"] if not span.startswith("[")]
        return sum(int(last or first) - int(first) + 1 for first, _, last in spans)

    def move(self, source, target, slots):
        """Moves `slots` slots from one master to another, by ports, keys and all."""
        ids = {row["port"]: row["id"] for row in self.table()}
        return self.cli("--cluster", "reshard", f"127.0.0.1:{source}", "--cluster-from", ids[source], "--cluster-to",
                        ids[target], "--cluster-slots", slots, "--cluster-yes", seconds=110)

    def kill_master(self, port=None):
        """kill -9 of a master that has replicas; returns when its slots have another owner."""
        port = port or self.masters()[0]
        self.node(port).kill()
        wait_until(lambda: len(self.masters()) == self.masters_count and port not in self.masters(), 60, "a failover", 0.2)
        self.wait_ok()
        return port


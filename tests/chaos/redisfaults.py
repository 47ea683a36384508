"""What a Redis can do to its clients without being gone: refuse writes for many reasons, flap between them, hang up, be cut
off from its peers. `redis` is a lib.redis.Redis; of a topology, one node.

    with trouble(redis, "disk_full"): …                               # one kind while the block lasts
    with Background(lambda over: flap(redis, ["oom"], rng, over)): …  # on and off while the block lasts
    kill_clients(redis, rng, count=50)                                # hangs up on clients at random
"""

import contextlib
import pathlib
import resource
import subprocess
import threading
import time

from lib.ports import free_port
from lib.proc import Dead, wait_until
from lib.redis import Redis, RedisClient

# What DiskRedis and "misconf" need of the server.
OPTIONS = ("--enable-protected-configs", "yes")


class DiskRedis(Redis):
    """A redis-server whose disk can be full: it lives on when a write exceeds the limit of file sizes, as it does when no
    space is left."""

    def __init__(self, folder, port=None, options=()):
        super().__init__(folder, port=port, options=[*OPTIONS, *options])
        self.proc.argv = ["env", "--ignore-signal=XFSZ", *self.proc.argv]

    def start(self):
        """A server that was killed while its disk was full may refuse its own file: it loses what stands behind the fault,
        as it does when its operator mends it."""
        try:
            return super().start()
        except Dead as dead:
            if "Bad file format reading the append only file" not in str(dead):
                raise
        [manifest] = folder_of(self).rglob("*.manifest")
        subprocess.run(["redis-check-aof", "--fix", manifest], input=b"y\n", check=True, stdout=subprocess.DEVNULL)
        return super().start()


def folder_of(redis):
    return pathlib.Path(redis.proc.argv[redis.proc.argv.index("--dir") + 1])


def control_port(redis):
    """Where a node takes commands, whatever stands before it."""
    return getattr(redis, "inner_port", redis.port)


@contextlib.contextmanager
def control(redis):
    """A connection to a node for commands of the test."""
    client = RedisClient(control_port(redis), timeout=30)
    try:
        yield client
    finally:
        client.close()


def set_config(redis, *pairs):
    with control(redis) as command:
        command("CONFIG", "SET", *pairs)


def limit_files(redis, size):
    """No file of a running server may grow above `size` bytes; -1: any may."""
    resource.prlimit(redis.proc.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def fill_disk(redis):
    """From here on the append-only file cannot grow: MISCONF for every write. Needs a DiskRedis."""
    limit_files(redis, max(file.stat().st_size for file in folder_of(redis).rglob("*") if file.is_file()))


def fail_snapshot(redis):
    """MISCONF: a snapshot that cannot be put in its place, and so no writes. Needs OPTIONS."""
    with control(redis) as command:
        [_, folder] = command("CONFIG", "GET", "dir")
        pathlib.Path(folder.decode(), "not-a-file").mkdir(exist_ok=True)
        command("CONFIG", "SET", "dbfilename", "not-a-file", "save", "3600 1")
        wait_until(lambda: begun(command), 10, "a snapshot begun", every=0.02)
        wait_until(lambda: b"rdb_last_bgsave_status:err" in command("INFO", "persistence"), 10, "a snapshot failed", 0.02)


def begun(command):
    """BGSAVE is refused while another child runs, a rewrite of the append-only file for one."""
    reply = command.ask("BGSAVE")
    return isinstance(reply, str) and reply.startswith("Background")


# name: (how it begins, how it ends)
TROUBLES = {
    "oom": (lambda redis: set_config(redis, "maxmemory", "1"), lambda redis: set_config(redis, "maxmemory", "0")),
    "noreplicas": (lambda redis: set_config(redis, "min-replicas-to-write", "9"),
                   lambda redis: set_config(redis, "min-replicas-to-write", "0")),
    "misconf": (fail_snapshot, lambda redis: set_config(redis, "save", "")),
    "disk_full": (fill_disk, lambda redis: limit_files(redis, resource.RLIM_INFINITY)),
}


@contextlib.contextmanager
def trouble(redis, name):
    """Writes are refused inside the block."""
    begin, end = TROUBLES[name]
    begin(redis)
    try:
        yield
    finally:
        end(redis)


def flap(redis, names, rng, over, longest=0.4):
    """Troubles drawn from `names`, each up to `longest` seconds, with as much peace between, until the event `over` is set
    (which does not end it within a trouble). Returns how many there were."""
    count = 0
    while not over.is_set():
        with trouble(redis, rng.choice(names)):
            over.wait(rng.random() * longest)
        count += 1
        over.wait(rng.random() * longest)
    return count


def client_ids(redis, *kinds):
    """Numbers of clients by TYPE (normal, pubsub, replica), without the one that asks."""
    with control(redis) as command:
        own = command("CLIENT", "ID")
        lines = [line for kind in kinds for line in command("CLIENT", "LIST", "TYPE", kind).decode().splitlines()]
    ids = [int(dict(word.split("=", 1) for word in line.split())["id"]) for line in lines]
    return sorted(set(ids) - {own})


def kill_clients(redis, rng, count=1, kinds=("normal", "pubsub")):
    """CLIENT KILL of `count` clients drawn at random, of all if there are fewer. Returns how many."""
    ids = client_ids(redis, *kinds)
    chosen = rng.sample(ids, min(count, len(ids)))
    with control(redis) as command:
        return sum(command("CLIENT", "KILL", "ID", number) for number in chosen)


def kill_storm(redis, rng, over, every=0.2, kinds=("normal", "pubsub")):
    """Hangs up on clients again and again until `over` is set. Returns how often."""
    count = 0
    while not over.wait(rng.random() * 2 * every):
        count += kill_clients(redis, rng, rng.randrange(1, 4), kinds)
    return count


def overflow_subscribers(redis, route, channel, seconds=60, limit=262144):
    """Output-buffer kill: nothing is read from the server on this route, and `channel` is flooded with what is no envelope,
    until the server hung up on a subscriber whose output buffer ran over. Then the route is healed and the limit is what
    it is by default. Who finds the route silent for 3 s hangs up first, and cannot subscribe anew: then it is healed for a
    second, and frozen again."""
    set_config(redis, "client-output-buffer-limit", f"pubsub {limit} 0 0")
    seen, deadline = overflows(redis), time.monotonic() + seconds
    try:
        while not flood(redis, route, channel, seen):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no output buffer ran over within {seconds} s")
            time.sleep(1)
    finally:
        set_config(redis, "client-output-buffer-limit", "pubsub 33554432 8388608 60")
    return overflows(redis) - seen


def flood(redis, route, channel, seen, seconds=3):
    """Whether more output buffers ran over than were seen, with the route frozen for so long at the most."""
    turn = [("SPUBLISH", channel, b"0 0 " + b"x" * 1000)] * 100  # of the server's: well below the limit
    deadline = time.monotonic() + seconds
    route.freeze(up=False, down=True)
    try:
        with control(redis) as command:
            while time.monotonic() < deadline:
                for _ in range(5):
                    command.pipeline(turn)
                    time.sleep(0.005)
                if overflows(redis) > seen:
                    return True
    finally:
        route.heal()
    return False


def overflows(redis):
    """How often the server said in its log that it hangs up on somebody whose output buffer ran over."""
    return redis.proc.log().count("overcoming of output buffer limits")


class RoutedRedis(Redis):
    """A redis-server that the world knows by its route through a started fault proxy alone: `port` is the route's, its
    Sentinels, replicas and cluster are told so; `inner_port` leads past it. lib.topologies makes groups of them with
    node=functools.partial(RoutedRedis, proxy)."""

    def __init__(self, proxy, folder, options=()):
        self.inner_port = free_port()
        super().__init__(folder, port=self.inner_port, options=options)
        self.route = proxy.to_redis(f"redis-{self.inner_port}", self.inner_port)
        self.port = self.route.port
        names = (["--cluster-announce-port"] if "--cluster-enabled" in options
                 else ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port"])
        self.proc.argv += [*names, str(self.port)]


def isolate(redis):
    """Cuts a master off from its Sentinels, its replicas and everybody who comes, while those of its clients that are there
    go on undisturbed: it still takes writes from them and still delivers SPUBLISH. Needs a RoutedRedis; redis.route.heal()
    ends it."""
    redis.route.hole(existing=False)
    with control(redis) as command:
        lines = command("CLIENT", "LIST").decode().splitlines()
        for line in lines:
            client = dict(word.split("=", 1) for word in line.split())
            if client["name"].startswith("sentinel-") or "S" in client["flags"] or "M" in client["flags"]:
                command("CLIENT", "KILL", "ID", client["id"])


class Background:
    """A fault on a thread of its own for as long as a `with` block lasts: function(over), which ends when the event `over` is
    set. `result` is there afterwards; what it raised is raised again at the end of the block."""

    def __init__(self, function):
        self.over = threading.Event()
        self.result = self.fault = None
        self.thread = threading.Thread(target=self._run, args=(function,))

    def _run(self, function):
        try:
            self.result = function(self.over)
        except Exception as fault:
            self.fault = fault

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, fault, trace):
        self.over.set()
        self.thread.join(60)
        if self.fault and fault is None:
            raise self.fault

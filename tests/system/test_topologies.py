"""Every way in which Redis is run: events of each user arrive in order, none is missing, whatever the servers do."""

import contextlib
import functools
import re
import signal
import time

from chaos import clockstep
from lib.cluster import task
from lib.functions import fnv1a, log
from lib.logs import stream
from lib.ports import free_port
from lib.proc import ROOT, wait_until
from lib.programs import Gateway
from lib.redis import Redis, RedisError
from lib.tls import Authority
from lib.topologies import RedisCluster, Sentinels, Several

USERS = 12


def numbers(messages):
    return [message["task_id"] for message in messages]


def connect_all(cluster):
    """Users and a device of each, over both gateways."""
    users = [cluster.user() for _ in range(USERS)]
    return users, {user: cluster.connect(user, i % len(cluster.gateways)) for i, user in enumerate(users)}


def unique(device, count, seconds):
    """The first `count` different task numbers of a device; a repeat is what its key is there to drop."""
    seen, keys, deadline = [], set(), time.monotonic() + seconds
    while len(seen) < count:
        message = device.recv(max(0.01, deadline - time.monotonic()))
        if message.get("type") == "task_update" and message["key"] not in keys:
            keys.add(message["key"])
            seen.append(message["task_id"])
    return seen


def check_all(cluster, devices, events, seconds=60):
    for user in devices:
        cluster.wait_log(user, events, seconds)
    for user, device in devices.items():
        got = unique(device, events, seconds)
        assert got == list(range(events)), f"{user}: {first_fault(got)}"
        assert cluster.log_length(user) == events, user


def first_fault(got):
    for i, n in enumerate(got):
        if n != i:
            return f"event {n} where {i} was due; {got[max(0, i - 3):i + 5]}"
    return "too few"


def deliver(cluster, events=200, seconds=2):
    _, devices = connect_all(cluster)
    for _ in stream(cluster, list(devices), events, seconds):
        pass
    check_all(cluster, devices, events)


def test_sentinel_delivers(new_cluster):
    deliver(new_cluster(redis=Sentinels))


def test_cluster_delivers(new_cluster):
    deliver(new_cluster(redis=RedisCluster))


def test_several_nodes_deliver(new_cluster):
    cluster = new_cluster(redis=Several)
    deliver(cluster)
    for port in cluster.redis.masters():
        client = cluster.redis.client(port)
        assert client("KEYS", "tg:{*}:l:*"), "a node without a log: all went to the others"
        client.close()


def during_stream(cluster, what, events=400, seconds=6, at=100):
    """Runs what() in the middle of a stream of all users, and checks that everything arrives."""
    _, devices = connect_all(cluster)
    for n in stream(cluster, list(devices), events, seconds):
        if n == at:
            what()
    check_all(cluster, devices, events, 90)
    for program in cluster.programs:
        program.wait_ready()


def test_sentinel_failover(new_cluster):
    cluster = new_cluster(redis=Sentinels)
    during_stream(cluster, cluster.redis.kill_master)
    moves = [router.metric("tidegate_router_redis_moves_total") for router in cluster.routers]
    assert all(1 <= count <= cluster.redis.failovers() for count in moves), (moves, "back and forth")
    assert all(gateway.metric("tidegate_gateway_redis_moves_total") > 0 for gateway in cluster.gateways)


test_sentinel_failover.seconds = 200


def test_cluster_failover(new_cluster):
    cluster = new_cluster(redis=lambda folder: RedisCluster(folder, replicas=1))
    during_stream(cluster, cluster.redis.kill_master)


test_cluster_failover.seconds = 200


def test_slots_that_move_under_load(new_cluster):
    cluster = new_cluster(redis=RedisCluster)
    first, second, _ = sorted(cluster.redis.masters())
    def there_and_back():
        cluster.redis.move(first, second, 5000)
        cluster.redis.move(second, first, 5000)
    during_stream(cluster, there_and_back, events=600, seconds=10)


test_slots_that_move_under_load.seconds = 200


def test_a_master_that_loses_its_last_slot(new_cluster):
    """Redis makes it a replica, whose library goes with its data: what it does concerns nobody any more."""
    cluster = new_cluster(redis=RedisCluster)
    first, second, _ = sorted(cluster.redis.masters())
    during_stream(cluster, lambda: cluster.redis.move(first, second, cluster.redis.slots(first)), events=600, seconds=10)
    assert first not in cluster.redis.masters()
    during_stream(cluster, lambda: None, events=200, seconds=2)


test_a_master_that_loses_its_last_slot.seconds = 240


def last_ids(cluster, users):
    """User → the port of the master that has the user's log, and the id of the last event there."""
    found = {}
    for port in cluster.redis.masters():
        client = cluster.redis.client(port)
        for user in users:
            with contextlib.suppress(RedisError):
                entries = client("XREVRANGE", log(f"u:{user}"), "+", "-", "COUNT", 1)
                found[user] = port, tuple(map(int, entries[0][0].split(b"-"))) if entries else (0, 0)
        client.close()
    return found


def test_a_bucket_that_moves_to_a_clock_that_is_behind(new_cluster, build):
    """Positions stand above what that node's clock would give: ids of a log that begins there go on above them."""
    cluster = new_cluster(gateways=1, routers=1,
                          redis=lambda folder: RedisCluster(folder, node=functools.partial(clockstep.Redis, build=build)))
    first, second, _ = sorted(cluster.redis.masters())
    cluster.redis.node(second).step(-20)
    time.sleep(2)  # what it gave until then is below what the others give from now on
    users = [cluster.user() for _ in range(100)]
    old = [user for user, (port, _) in last_ids(cluster, users).items() if port == first]
    cluster.produce(old[0], task(old[0], 0))
    cluster.wait_log(old[0], 1)
    before = last_ids(cluster, users)[old[0]][1]
    cluster.redis.move(first, second, 2000)
    moved = [user for user in old if last_ids(cluster, old)[user][0] == second]
    for user in moved[:3]:
        cluster.produce(user, task(user, 1))
        cluster.wait_log(user, 1)
        assert last_ids(cluster, [user])[user][1] > before, user
    assert len(moved) > 2


test_a_bucket_that_moves_to_a_clock_that_is_behind.seconds = 200


def test_one_of_several_nodes_stopped_for_a_while(new_cluster):
    cluster = new_cluster(redis=Several)
    def stop_one():
        proc = cluster.redis.nodes[1].proc
        proc.signal(signal.SIGSTOP)
        time.sleep(10)
        proc.signal(signal.SIGCONT)
    during_stream(cluster, stop_one)


test_one_of_several_nodes_stopped_for_a_while.seconds = 200


def hang_master(redis, port):
    """SIGSTOP of a master, until it has a successor; then it goes on, and learns that it is a replica."""
    proc = redis.node(port).proc
    proc.signal(signal.SIGSTOP)
    wait_until(lambda: port not in redis.masters() and redis.masters(), 60, "a successor", 0.2)
    time.sleep(2)
    proc.signal(signal.SIGCONT)


def test_a_master_that_hangs_behind_sentinel(new_cluster):
    cluster = new_cluster(redis=Sentinels)
    during_stream(cluster, lambda: hang_master(cluster.redis, cluster.redis.master()))


test_a_master_that_hangs_behind_sentinel.seconds = 200


def test_a_master_that_hangs_in_a_cluster(new_cluster):
    cluster = new_cluster(redis=lambda folder: RedisCluster(folder, replicas=1))
    during_stream(cluster, lambda: hang_master(cluster.redis, cluster.redis.masters()[1]))


test_a_master_that_hangs_in_a_cluster.seconds = 200


# ---- a cluster whose slots are stuck ----

def slot_of(user):
    return fnv1a(f"u:{user}".encode()) % 1024 * 16 + 8


def events_in_log(program, name):
    return [record for record in program.log_records() if record.get("event") == name]


def test_a_slot_stuck_between_two_nodes(new_cluster):
    cluster = new_cluster(redis=RedisCluster)
    stuck, other = cluster.user(), cluster.user()
    source = cluster.redis.owner(slot_of(stuck))
    target = next(port for port in cluster.redis.masters() if port != source)
    while cluster.redis.owner(slot_of(other)) != source or slot_of(other) == slot_of(stuck):
        other = cluster.user()
    ids = {row["port"]: row["id"] for row in cluster.redis.table()}
    old, new = cluster.redis.client(source), cluster.redis.client(target)
    downs = [len(events_in_log(g, "redis_down")) for g in cluster.gateways]
    new("CLUSTER", "SETSLOT", slot_of(stuck), "IMPORTING", ids[source])
    old("CLUSTER", "SETSLOT", slot_of(stuck), "MIGRATING", ids[target])
    neighbour = cluster.connect(other)  # of the same node
    waiting = cluster.connect(stuck, welcome=False)
    time.sleep(0.5)
    old("CLUSTER", "SETSLOT", slot_of(stuck), "STABLE")
    new("CLUSTER", "SETSLOT", slot_of(stuck), "STABLE")
    waiting.welcome()
    for user in (stuck, other):
        cluster.produce(user, task(user, 1))
    assert numbers(waiting.tasks(1, 30)) == numbers(neighbour.tasks(1, 30)) == [1]
    assert downs == [len(events_in_log(g, "redis_down")) for g in cluster.gateways], "a link was given up"


# ---- the stamp of several nodes ----

def test_another_list_of_nodes_is_refused(new_cluster, build, folder):
    cluster = new_cluster(redis=Several)
    ports = cluster.redis.masters()
    turned = "redis://u:secret@" + ",".join(f"127.0.0.1:{port}" for port in reversed(ports))
    for port in ports:
        cluster.redis.client(port)("ACL", "SETUSER", "u", "on", ">secret", "allkeys", "allchannels", "+@all")
    other = Gateway(build, folder, "another-list", {**cluster.gateways[0].env, "REDIS_URL": turned, "PORT": None},
                    port=free_port())
    other.env["PORT"] = str(other.port)
    other.proc.env["PORT"] = str(other.port)
    other.start(wait=False)
    try:
        said = wait_until(lambda: events_in_log(other, "redis_nodes_differ"), 20, "a line that says so")
        assert said[0]["ours"] == ",".join(f"127.0.0.1:{port}" for port in reversed(ports))
        assert said[0]["theirs"].endswith(",".join(f"127.0.0.1:{port}" for port in ports))
        assert "tg:nodes" in said[0]["meaning"] and "secret" not in other.proc.log()
        assert not other.ready()
        for program in cluster.programs:
            program.stop()
        for port in ports:
            assert cluster.redis.client(port)("DEL", "tg:nodes") == 1
        other.wait_ready()
    finally:
        other.stop()


# ---- TLS, users, passwords ----

class TlsRedis(Redis):
    """A server that is reached through TLS, too."""

    def __init__(self, folder, authority, client_certificates=False):
        self.tls_port = free_port()
        cert, key = authority.sign("redis", "IP:127.0.0.1")
        super().__init__(folder, options=["--tls-port", self.tls_port, "--tls-cert-file", cert, "--tls-key-file", key,
                                          "--tls-ca-cert-file", authority.ca, "--tls-auth-clients",
                                          "yes" if client_certificates else "no"])

    @property
    def url(self):
        return f"rediss://127.0.0.1:{self.tls_port}"


def test_tls_with_a_private_authority(new_cluster, folder):
    authority = Authority(folder)
    trust = {"REDIS_TLS_CA": authority.ca}
    deliver(new_cluster(redis=lambda where: TlsRedis(where, authority), gateway=trust, router=trust))


def test_tls_with_certificates_on_both_sides(new_cluster, folder):
    authority = Authority(folder)
    cert, key = authority.sign("tidegate")
    trust = {"REDIS_TLS_CA": authority.ca, "REDIS_TLS_CERT": cert, "REDIS_TLS_KEY": key}
    deliver(new_cluster(redis=lambda where: TlsRedis(where, authority, True), gateway=trust, router=trust))


class TlsCluster(RedisCluster):
    """Nodes that speak TLS among each other and with clients; the fixture itself stays in the clear."""

    def __init__(self, folder, authority):
        self.tls_ports = []
        super().__init__(folder, options=["--tls-cluster", "yes", "--tls-replication", "yes", "--tls-auth-clients", "no",
                                          "--tls-ca-cert-file", authority.ca])
        for node in self.nodes:
            cert, key = authority.sign(f"redis-{node.port}", "IP:127.0.0.1")
            self.tls_ports.append(free_port())
            node.proc.argv += ["--tls-port", str(self.tls_ports[-1]), "--tls-cert-file", str(cert), "--tls-key-file",
                               str(key)]

    @property
    def url(self):
        return "rediss+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.tls_ports)


def test_tls_of_a_whole_cluster(new_cluster, folder):
    authority = Authority(folder)
    trust = {"REDIS_TLS_CA": authority.ca}
    deliver(new_cluster(redis=lambda where: TlsCluster(where, authority), gateway=trust, router=trust))


def test_tls_of_another_authority_is_refused(new_cluster, folder):
    authority, other = Authority(folder), Authority(folder, "others")
    trust = {"REDIS_TLS_CA": other.ca}
    cluster = new_cluster(redis=lambda where: TlsRedis(where, authority), gateway=trust, router=trust, start=False,
                          gateways=1, routers=1)
    cluster.redis.start()
    for program in cluster.programs:
        program.start(wait=False)
        wait_until(lambda program=program: any(record["reason"].startswith("TLS: ") and "certificate" in record["reason"]
                                               for record in events_in_log(program, "redis_down")), 20, "the reason")
        assert not program.ready()


# What README.md says that a user of Redis needs.
RIGHTS = re.search(r"^ACL SETUSER tidegate on >password (.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)[1].split()


class UserRedis(Redis):
    """A server on which Tidegate is a user with no more rights than it needs."""

    def __init__(self, folder, password="s3cr%40t"):
        super().__init__(folder)
        self.password = password

    @property
    def url(self):
        return f"redis://tidegate:{self.password}@127.0.0.1:{self.port}/2"

    def start(self):
        super().start()
        self.answers("ACL", "SETUSER", "tidegate", "on", ">s3cr@t", *RIGHTS)
        return self

    def client(self, port=None):
        client = super().client(port)
        client("SELECT", "2")
        return client


def test_a_user_with_the_least_rights(new_cluster):
    cluster = new_cluster(redis=UserRedis, gateway={"CHANNEL_LINGER": "50ms"})
    deliver(cluster)
    device = cluster.connect(cluster.user(), query="&device_id=phone")
    cluster.drop_clients()
    wait_until(lambda: all(g.metric("tidegate_gateway_targets") == 0 for g in cluster.gateways), 20, "targets let go")
    assert cluster.redis.answers("ACL", "LOG") == [], device
    client = cluster.redis.client()
    client("FLUSHALL")
    user = cluster.user()
    cluster.produce(user, task(user, 1))
    cluster.wait_log(user, 1)
    assert cluster.redis.answers("ACL", "LOG") == []


def test_a_wrong_password_is_said(new_cluster):
    cluster = new_cluster(redis=lambda folder: UserRedis(folder, "wrong"), start=False, gateways=1, routers=1)
    cluster.redis.start()
    for program in cluster.programs:
        program.start(wait=False)
        said = wait_until(lambda program=program: events_in_log(program, "redis_refused_greeting"), 20, "the refusal")
        assert said[0]["reply"].startswith("WRONGPASS"), said
        time.sleep(1)
        assert "wrong@" not in program.proc.log() and not program.ready()

"""Scenarios of a Redis that is there and does not do what it should: it refuses writes, hangs up, steps its clock."""

from chaos import clockstep, redisfaults
from chaos.footprint import footprint, wait_empty, wave
from chaos.network import gateways_by_route, some_route
from chaos.redisfaults import Background
from chaos.scenarios import scenario
from lib.cluster import SECRET
from lib.functions import channel
from lib.proc import wait_until

WAVE = 5000
GROWTH = 4 << 20  # of a gateway's memory, after the first wave


def with_disk(world, folder):
    return redisfaults.DiskRedis(folder)


def with_clock(world, folder):
    return clockstep.Redis(folder, world.settings.build)


@scenario(30, 3, redis=with_disk)
def disk_full(world):
    """Redis cannot write its append-only file for up to 3 s"""
    for _ in world.rounds(2):
        with redisfaults.trouble(world.cluster.redis, "disk_full"):
            world.pause(world.random.random() * 3)


# Cursors are what Redis had not written, too.
@scenario(10, 1, redis=with_disk, allowed=("rewound",))
def disk_full_and_killed(world):
    """Redis cannot write for 2 s and is killed in that state: what it had not written is gone"""
    redis = world.cluster.redis
    for _ in world.rounds(6):
        redisfaults.fill_disk(redis)
        world.pause(2)
        redis.kill()
        redis.start()


@scenario(60, 6, redis=with_disk)
def refusals_flapping(world):
    """OOM, NOREPLICAS, MISCONF and a full disk, for fractions of a second"""
    redis, kinds = world.cluster.redis, list(redisfaults.TROUBLES)
    with Background(lambda over: redisfaults.flap(redis, kinds, world.random, over)):
        for _ in world.rounds(1):
            pass


@scenario(20, 3, redis=with_clock)
def clock_steps(world):
    """the clock of Redis jumps by 20 s, forwards and back"""
    for _ in world.rounds(3):
        world.cluster.redis.step(world.random.choice((-20, 0, 20)))
    world.cluster.redis.step(-20)
    world.cluster.redis.restart()
    world.pause(3)


@scenario(60, 6)
def hung_up(world):
    """Redis hangs up on clients of all kinds, again and again"""
    with Background(lambda over: redisfaults.kill_storm(world.cluster.redis, world.random, over)):
        for _ in world.rounds(1):
            pass


@scenario(20, 2, prepare=gateways_by_route)
def overflowing(world):
    """Redis hangs up on subscribers of a gateway because their output buffers run over"""
    for _ in world.rounds(3):
        redisfaults.overflow_subscribers(world.cluster.redis, some_route(world), channel("g"))


@scenario(20, 2, cluster={"gateway": {"CHANNEL_LINGER": "1s"}})
def connects(world):
    """5,000 clients more come and go at once, while events go on: 100,000 in all"""
    ports = [gateway.port for gateway in world.cluster.gateways]
    wait_until(lambda: world.events.total > 50 * world.load["users"], 60, "a log for each user")
    before = None
    for _ in world.rounds(0):
        wave(world.settings.build, ports, SECRET, WAVE)
        if before is None:
            wait_empty(world.cluster, world.load["devices"])
            before = footprint(world.cluster)
    wait_empty(world.cluster, world.load["devices"])
    after = footprint(world.cluster)
    print(f"      before: {before}\n      after:  {after}", flush=True)
    grown = after.minus(before)
    assert all(n < 100 for n in grown.descriptors.values()), f"descriptors stay: {grown}"
    assert grown.keys < 50, f"keys stay: {grown}"
    assert all(grown.rss[gateway.proc.name] < GROWTH for gateway in world.cluster.gateways), f"memory stays: {grown}"

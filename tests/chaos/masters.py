"""Scenarios of several redis-servers that lose sight of each other. The fault proxy stands before each."""

import contextlib
import functools

from chaos import redisfaults
from chaos.scenarios import scenario
from lib import topologies
from lib.proc import wait_until


def sentinels(world, folder):
    node = functools.partial(redisfaults.RoutedRedis, world.fault_proxy())
    return topologies.Sentinels(folder, node=node)


def cluster(world, folder):
    return topologies.RedisCluster(folder)


def live_on(world, old):
    """Waits for a successor of the node `old`, lets both be for a while, then has `old` come back as its replica."""
    group = world.cluster.redis
    wait_until(lambda: group.master() != old.port, 60, "a successor", 0.1)
    world.pause(5)
    old.route.heal()
    wait_until(lambda: (topologies.ask(old.port, "ROLE") or [b""])[0] == b"slave", 60, "the old master gives in", 0.1)
    group.wait_replicas(len(group.nodes) - 1)


# Cursors that were written to the old master are lost with it.
@scenario(5, 1, redis=sentinels, allowed=("rewound",))
def isolated_master(world):
    """Sentinels elect a successor, while the old master takes writes and delivers to those who were there before"""
    group = world.cluster.redis
    for _ in world.rounds(5):
        old = group.node(group.master())
        redisfaults.isolate(old)
        live_on(world, old)


@scenario(5, 1, redis=sentinels, allowed=("rewound",))
def failover_without_end(world):
    """a master falls silent without an end of its connections, and Sentinels elect a successor"""
    group = world.cluster.redis
    for _ in world.rounds(5):
        old = group.node(group.master())
        old.route.hole()
        live_on(world, old)


@scenario(10, 1, redis=cluster)
def master_without_majority(world):
    """two of three masters of a Redis Cluster stop for 6 s: the third refuses writes, and still delivers"""
    for _ in world.rounds(5):
        chosen = world.random.sample(world.cluster.redis.nodes, 2)
        with contextlib.ExitStack() as stopped:
            for node in chosen:
                stopped.enter_context(world.stopped(node.proc))
            world.pause(6)
        world.cluster.redis.wait_ok()

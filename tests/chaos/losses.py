"""Scenarios of a Redis or a Kafka that goes away and comes back, with what it had or with less."""

import functools

from chaos import redisfaults
from chaos.scenarios import scenario
from lib import topologies
from lib.proc import wait_until


@scenario(20, 2)
def restart_redis(world):
    """Redis is ended in order and started again on its append-only file"""
    for _ in world.rounds(2):
        world.cluster.redis.stop()
        world.moment(3)
        world.cluster.redis.start()
        world.calm()


# What Redis loses holds cursors too.
@scenario(20, 2, allowed=("rewound",))
def kill_redis(world):
    """SIGKILL of Redis: the last second of its append-only file may be gone"""
    for _ in world.rounds(2):
        world.cluster.redis.kill()
        world.moment(3)
        world.cluster.redis.start()
        world.calm()


@scenario(10, 2, allowed=("rewound",))
def flush_redis(world):
    """FLUSHALL in mid-stream"""
    for _ in world.rounds(6):
        with redisfaults.control(world.cluster.redis) as command:
            command("FLUSHALL")
        world.calm()


@scenario(20, 2)
def restart_kafka(world):
    """the broker is ended or killed, and started again"""
    broker = world.cluster.kafka
    for number in world.rounds(4):
        if number % 2:
            broker.nodes[0].kill()
        else:
            broker.nodes[0].stop(20)
        world.moment(3)
        broker.nodes[0].start()
        broker.wait_ready()


@scenario(10, 1, cluster={"redis": topologies.Sentinels}, allowed=("rewound",))
def fail_over_sentinel(world):
    """SIGKILL of the master behind Sentinel"""
    redis = world.cluster.redis
    for _ in world.rounds(2):
        old = redis.master()
        redis.kill_master()
        world.calm()
        redis.node(old).start()
        redis.wait_replicas(2)


@scenario(10, 1, cluster={"redis": functools.partial(topologies.RedisCluster, replicas=1)}, allowed=("rewound",))
def fail_over_cluster(world):
    """SIGKILL of a master of Redis Cluster"""
    redis = world.cluster.redis
    for _ in world.rounds(2):
        old = world.random.choice(redis.masters())
        redis.kill_master(old)
        world.calm()
        redis.node(old).start()
        redis.wait_ok()
        wait_until(redis.in_step, 60, "replicas in step", every=0.2)


@scenario(10, 1, cluster={"redis": topologies.RedisCluster})
def migrate_slots(world):
    """slots move from one master of Redis Cluster to another, keys and all"""
    redis = world.cluster.redis
    for _ in world.rounds(2):
        source, target = world.random.sample(redis.masters(), 2)
        redis.move(source, target, 2000)
        world.calm()

"""Everything at once: faults of all kinds, drawn by the seed, that overlap each other."""

from chaos import clockstep, redisfaults
from chaos.network import all_by_route, kafka_by_route
from chaos.scenarios import scenario


class StormRedis(redisfaults.DiskRedis):
    """A disk that can be full and a clock that can be stepped."""

    def __init__(self, folder, build):
        super().__init__(folder)
        self.clock = clockstep.Clock(self.proc, build)


def storm_redis(world, folder):
    return StormRedis(folder, world.settings.build)


def everything_by_route(world):
    all_by_route(world)
    kafka_by_route(world)


def restart_redis(world):
    world.cluster.redis.kill()
    world.moment(1.5)
    world.cluster.redis.start()


def refuse_writes(world):
    with redisfaults.trouble(world.cluster.redis, world.random.choice(list(redisfaults.TROUBLES))):
        world.moment(2)


def stop_one(world):
    with world.stopped(world.random.choice([*world.cluster.programs, world.cluster.redis]).proc):
        world.moment(4)


def kill_one(world):
    """Started at once, ready when what it needs is there again."""
    program = world.random.choice(world.cluster.programs)
    world.count_of(program)
    program.kill()
    program.start(wait=False)


def flush(world):
    with redisfaults.control(world.cluster.redis) as command:
        command.ask("FLUSHALL")


def step_clock(world):
    world.cluster.redis.clock.step(world.random.uniform(-20, 20))


def hang_up(world):
    redisfaults.kill_clients(world.cluster.redis, world.random, 5)


def break_route(world):
    """Until the next time that this route is drawn, or all are healed."""
    route, draw = world.random.choice(world.proxy.routes), world.random
    route.heal()
    draw.choice([route.reset, route.hole, route.freeze, lambda: route.drop(draw.random()),
                 lambda: route.delay(draw.randrange(80), draw.randrange(1, 80)),
                 lambda: route.cut_replies(draw.randrange(1, 1000), 5)])()


FAULTS = [restart_redis, refuse_writes, stop_one, kill_one, step_clock, hang_up, break_route, break_route, break_route]


def blow(world, faults):
    for number in world.rounds(0):
        world.random.choice(faults)(world)
        world.moment(1)
        if number % 10 == 9:
            world.proxy.heal()
            world.calm(120)


# Messages are dropped unseen (network.UNSEEN), and how far a position is behind is told by a clock that steps
# by up to 40 s.
UNSEEN_WHILE_CLOCKS_STEP = {"gateway": {"HEADS_INTERVAL": "5s", "RESUME_OVERLAP": "47s"}}


# A cursor may be five seconds old and more: its gateway is killed while Redis cannot be reached or refuses it.
@scenario(300, 20, redis=storm_redis, prepare=everything_by_route, cluster=UNSEEN_WHILE_CLOCKS_STEP, allowed=("rewound",))
def storm(world):
    """faults of all kinds, drawn at random, some of which last until others are drawn"""
    blow(world, FAULTS)


@scenario(100, 10, redis=storm_redis, prepare=everything_by_route, cluster=UNSEEN_WHILE_CLOCKS_STEP, allowed=("rewound",))
def storm_and_losses(world):
    """the same with FLUSHALL among them"""
    blow(world, [*FAULTS, flush])

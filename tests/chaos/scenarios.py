"""The scenarios: what breaks, how often in the nightly form and in the short one, and on what cluster."""

import dataclasses

TABLE = []


@dataclasses.dataclass
class Row:
    """`action` gets the world; `records`: so many at least in the nightly form; `redis` makes the Redis of a world and a
    folder; `prepare` gets the world before anything of the cluster runs; `allowed`: words of ledger.FAULTS that are no fault
    here, and the README says why."""

    name: str
    action: object
    count: int
    short: int
    says: str
    records: int = 0
    load: dict = dataclasses.field(default_factory=dict)
    cluster: dict = dataclasses.field(default_factory=dict)
    redis: object = None
    prepare: object = None
    balanced: bool = False
    allowed: tuple = ()


def scenario(count, short, **more):
    """Makes a row of a function; its docstring says what happens."""
    def add(action):
        TABLE.append(Row(action.__name__.replace("_", "-"), action, count, short, action.__doc__.strip(), **more))
        return action
    return add


def find(name):
    """The row of that name."""
    return next(row for row in TABLE if row.name == name)


@scenario(30, 3)
def quiet(world):
    """nothing breaks; devices come and go"""
    for _ in world.rounds(1):
        pass


@scenario(200, 20)
def kill_gateways(world):
    """SIGKILL of a random gateway"""
    for _ in world.rounds(0.5):
        world.kill(world.random.choice(world.cluster.gateways))


@scenario(100, 10, records=1_000_000, load={"rate": 1500}, cluster={"routers": 3})
def kill_routers(world):
    """SIGKILL of a random router, with the rebalances that follow"""
    for _ in world.rounds(0.5):
        world.kill(world.random.choice(world.cluster.routers))


@scenario(10, 1, balanced=True)
def roll_gateways(world):
    """all gateways restarted one by one, behind a balancer"""
    for _ in world.rounds(1):
        for gateway in world.cluster.gateways:
            world.restart(gateway)
            world.moment(1)


@scenario(10, 1, allowed=("rewound",))
def stop_processes(world):
    """SIGSTOP of a gateway, a router, Redis and Kafka, 10 s each"""
    cluster = world.cluster
    for _ in world.rounds(1):
        for proc in (world.random.choice(cluster.gateways).proc, world.random.choice(cluster.routers).proc,
                     cluster.redis.proc, cluster.kafka.nodes[0]):
            with world.stopped(proc):
                world.pause(10)
                world.progress(f"{proc.name} stopped")
            world.calm()

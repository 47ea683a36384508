"""Scenarios of a network that breaks between our programs and their Redis or Kafka: the fault proxy stands in between."""

from chaos.faultproxy import lead_through
from chaos.scenarios import scenario


def gateways_by_route(world):
    """Each gateway finds Redis at the end of a route of its own."""
    for program in world.cluster.gateways:
        lead_through(world.fault_proxy().to_redis(program.proc.name, world.cluster.redis.port), program)


def all_by_route(world):
    """Routers too."""
    gateways_by_route(world)
    for program in world.cluster.routers:
        lead_through(world.fault_proxy().to_redis(program.proc.name, world.cluster.redis.port), program)


def kafka_by_route(world):
    """Routers find Kafka at the end of a route. A broker that fell silent is given up soon."""
    route = world.fault_proxy().to_kafka("kafka", world.cluster.kafka)
    for program in world.cluster.routers:
        program.env["KAFKA_BROKERS"] = f"127.0.0.1:{route.port}"
        program.env["KAFKA_CONFIG_socket.timeout.ms"] = "4000"


def some_route(world):
    return world.random.choice(world.proxy.routes)


# Loss that nothing betrays is found by the sweep; until then positions pass over it, and whoever comes back with one of
# those must be sent a little more than it asks for.
UNSEEN = {"gateway": {"HEADS_INTERVAL": "5s", "RESUME_OVERLAP": "7s"}}


@scenario(120, 15, prepare=gateways_by_route, cluster=UNSEEN)
def dropped_frames(world):
    """1 % of what Redis publishes is lost on the way to the gateways, to the end of the run"""
    for route in world.proxy.routes:
        route.drop(0.01)
    for _ in world.rounds(1):
        pass


@scenario(60, 6, prepare=all_by_route)
def delayed(world):
    """what Redis and a program say to each other takes up to 0.3 s, each way, for 1 s"""
    for _ in world.rounds(0.5):
        route = some_route(world)
        route.delay(world.random.randrange(1, 150), world.random.randrange(1, 150))
        world.pause(1)
        route.heal()


@scenario(300, 30, prepare=all_by_route)
def cut_replies(world):
    """connections to Redis are reset in the middle of a reply"""
    for _ in world.rounds(0.3):
        some_route(world).cut_replies(at=world.random.choice((1, 7, 30, 100, 1000)), count=world.random.randrange(1, 4))


# A gateway that cannot reach Redis for so long keeps what a device acknowledged; the device may be at another one by then.
@scenario(30, 3, prepare=all_by_route, allowed=("rewound",))
def half_open(world):
    """a program's connections to Redis fall silent both ways, without an end, and new ones too for 5 s"""
    for _ in world.rounds(4):
        route = some_route(world)
        route.hole()
        world.pause(5)
        route.heal()


@scenario(30, 3, prepare=gateways_by_route, allowed=("rewound",))
def forgotten(world):
    """a gateway's connections fall silent for good, new ones work"""
    for _ in world.rounds(8):
        route = some_route(world)
        route.hole()
        route.heal()


@scenario(20, 2, prepare=gateways_by_route, cluster=UNSEEN)
def deaf(world):
    """a gateway's subscriptions bring nothing for 6 s, while its other connections work"""
    for _ in world.rounds(4):
        route = some_route(world)
        route.drop(1)
        world.pause(6)
        route.heal()


@scenario(20, 2, prepare=gateways_by_route, cluster=UNSEEN)
def deaf_to_events(world):
    """a gateway's subscriptions bring beats and no events for 6 s"""
    for _ in world.rounds(4):
        route = some_route(world)
        route.drop(1, only=":c:")
        world.pause(6)
        route.heal()


@scenario(60, 6, prepare=all_by_route)
def refused(world):
    """a program's connections to Redis are reset, and new ones refused for 1 s"""
    for _ in world.rounds(1):
        route = some_route(world)
        route.refuse()
        route.reset()
        world.pause(1)
        route.heal()


@scenario(30, 3, prepare=all_by_route, allowed=("rewound",))
def frozen(world):
    """no byte passes between a program and Redis for 4 s, then all that was held comes at once"""
    for _ in world.rounds(2):
        route = some_route(world)
        route.freeze()
        world.pause(4)
        route.heal()


@scenario(30, 3, prepare=kafka_by_route)
def kafka_network(world):
    """between routers and Kafka: delays, replies cut with a reset, resets, silence without an end for 5 s"""
    [route] = world.proxy.routes
    faults = [lambda: route.delay(100, 100), lambda: route.cut_replies(world.random.randrange(1, 500), 3), route.reset,
              route.hole, route.freeze]
    for number in world.rounds(3):
        faults[number % len(faults)]()
        world.pause(5)
        route.heal()

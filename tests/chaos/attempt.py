"""One scenario from beginning to end, and how it ended."""

import dataclasses
import pathlib
import time
import traceback

from chaos.ledger import FAULTS
from chaos.world import World
from lib.tools import Unavailable


@dataclasses.dataclass
class Settings:
    """What all scenarios of a run have in common. `patience`: seconds without any event, after which none is waited for."""

    seed: int
    short: bool
    build: pathlib.Path
    folder: pathlib.Path
    patience: float = 30


@dataclasses.dataclass
class Result:
    """How one scenario ended: `outcome` is ok, FAIL or skip; `cells` are its columns in the table."""

    name: str
    count: int
    outcome: str = "ok"
    sentences: list = dataclasses.field(default_factory=list)
    cells: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def fail(self, *sentences):
        self.outcome = "FAIL"
        self.sentences += sentences


def judge(result, world, verdict):
    """Writes a verdict into a result."""
    bad = verdict.bad(world.row.allowed)
    if bad:
        result.fail(", ".join(f"{count} {word} ({FAULTS[word]})" for word, count in bad.items()), *verdict.said)
    seconds = world.events.seconds
    result.cells = {"events": world.events.total, "ev/s": round(world.events.total / seconds) if seconds else 0,
                    "delivered": verdict.deliveries, "connects": verdict.connects, "again": verdict.again,
                    **{word: verdict.faults[word] for word in FAULTS}, **world.counted}


def attempt(row, settings, broker):
    """Runs one scenario on a started broker that has a second listener, see chaos.faultproxy."""
    result = Result(row.name, row.short if settings.short else row.count)
    started = time.monotonic()
    world = None
    try:
        world = World(row, settings, broker)
        world.open()
        row.action(world)
        judge(result, world, world.finish())
    except Unavailable as reason:
        result.outcome = "skip"
        result.sentences.append(f"not available: {reason}")
    except Exception:
        result.fail(traceback.format_exc())
    faults = world.close() if world else []
    if faults:
        result.fail(*faults)
    result.seconds = time.monotonic() - started
    return result

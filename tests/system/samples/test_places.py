"""Tests that see who runs while they do, for ../test_runner.py: who is there has a file in $SAMPLES/present."""

import contextlib
import os
import pathlib
import time

from lib.proc import wait_until

SAMPLES = pathlib.Path(os.environ.get("SAMPLES", "."))


@contextlib.contextmanager
def present(name):
    """Gives a function that says who is there."""
    folder = SAMPLES / "present"
    folder.mkdir(exist_ok=True)
    (folder / name).touch()
    try:
        yield lambda: {path.name for path in folder.iterdir()}
    finally:
        (folder / name).unlink()


def test_alone():
    with present("alone") as who:
        time.sleep(0.5)  # for others to come, if they do
        assert who() == {"alone"}


test_alone.alone = True


def meet(name):
    """Ends when both have begun."""
    with present(name) as who:
        (SAMPLES / f"{name}-came").touch()
        wait_until(lambda: len(list(SAMPLES.glob("*-came"))) == 2, 60, "the other one")
        assert "alone" not in who()


def test_one():
    meet("one")


def test_other():
    meet("other")

"""All ways in which a test may end, for ../test_runner.py."""

import os
import subprocess
import time

from lib.tools import Unavailable


def test_passes():
    print("printed", flush=True)
    subprocess.run(["echo", "by a child"], check=True)


def test_fails():
    assert [] == "a reason"


def test_is_not_to_be_had():
    raise Unavailable("no such thing")


def test_dies():
    os._exit(7)


def test_is_too_slow():
    time.sleep(60)


test_is_too_slow.seconds = 1


def test_is_run_after_those():
    pass

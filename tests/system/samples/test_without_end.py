"""A test that is interrupted, for ../test_runner.py."""

import os
import pathlib
import time

from lib.proc import Proc


def test_hangs():
    folder = pathlib.Path(os.environ["SAMPLES"])
    child = Proc("child", ["sleep", "1000"], folder).start()
    (folder / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(1000)

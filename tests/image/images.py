"""The engine and the images of it that the tests of this part share, made when first asked for."""

import atexit
import functools
import shutil

from lib import tools
from lib.docker import BASE, Engine
from lib.proc import ROOT


@functools.cache
def engine():
    started = Engine().__enter__()
    atexit.register(started.__exit__)
    return started


@functools.cache
def ours(target):
    return engine().build(target)


REDIS = f"""FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
"""
KAFKA = f"""FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless && rm -rf /var/lib/apt/lists/*
COPY libs /opt/kafka/libs
COPY start /opt/kafka/start
ENTRYPOINT ["/opt/kafka/start"]
"""


def stand_in(name, text, folder, files=()):
    """Builds what serves as an image of others, of the same programs, since no registry is asked. `files` are copied
    beside the Dockerfile `text`, as (source, name)."""
    (folder / "Dockerfile").write_text(text)
    for source, where in files:
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / where)
    engine().import_base()
    engine()("build", "--network", "host", "-t", name, folder)


def stand_in_redis(name, folder):
    stand_in(name, REDIS, folder)


def stand_in_kafka(name, folder):
    stand_in(name, KAFKA, folder, [(tools.path("jars"), "libs"), (ROOT / "tests/cluster/kafka_start", "start")])

"""The image of the traffic pod that `./tidegate test cluster` asks for."""

import subprocess

import images
from lib.proc import ROOT
from lib.tools import Unavailable


def test_traffic(folder):
    if subprocess.run(["git", "rev-parse"], cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        raise Unavailable("the files of this image come from git, and this is no checkout")
    subprocess.run(f"git archive HEAD . ':!.dockerignore' | tar -x -C '{folder}'", shell=True, cwd=ROOT, check=True)
    engine = images.engine()
    engine.import_base()
    engine("build", "--network", "host", "-t", "tidegate-traffic:test", "-f", folder / "tests/cluster/Dockerfile", folder)
    for words in (["devices", "--help"], ["swarm", "--help"], ["publish", "--help"], ["kcat", "-V"]):
        engine("run", "--rm", "--network", "none", "tidegate-traffic:test", *words)


test_traffic.seconds = 900

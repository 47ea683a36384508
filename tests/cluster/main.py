"""Installs the chart into the cluster of KUBECONFIG and proves that it does what operators need: `./tidegate test cluster`.

Every option can be given by the environment too, as TIDEGATE_ and its name: TIDEGATE_GATEWAY_IMAGE. The cluster must be able to
get the images (kind: `kind load docker-image`; a managed one: a registry); without KUBECONFIG, or without images, the part is
skipped and says why."""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback

from cluster import kube, refusals, steps
from cluster.world import World
from lib import proc, tools

IMAGES = {"gateway": "tidegate-gateway", "router": "tidegate-router", "traffic": "devices and kcat: tests/cluster/Dockerfile",
          "redis": "for the chart's own Redis", "kafka": "for the chart's own Kafka"}


def arguments():
    parser = argparse.ArgumentParser(prog="./tidegate test cluster --", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)

    def option(name, default, text, **more):
        parser.add_argument(f"--{name}", default=os.environ.get("TIDEGATE_" + name.upper().replace("-", "_"), default), help=text, **more)
    for name, text in IMAGES.items():
        option(f"{name}-image", "", text, metavar="NAME:TAG")
    option("pull", "IfNotPresent", "pull policy of all pods", metavar="POLICY")
    option("namespace", "tidegate-test", "made if it is not there, and deleted behind us then")
    option("seed", "1", "of the devices' and producers' choices")
    parser.add_argument("-k", default="", metavar="WORD", help="only the refusals whose name holds this, without the steps before")
    parser.add_argument("--keep", action="store_true", help="leave the release as it is after a failure")
    options = parser.parse_args()
    options.seed = int(options.seed)
    return options


def missing(options):
    """Why this cannot run, or None."""
    lacking = [f"--{name}-image" for name in IMAGES if not getattr(options, f"{name}_image")]
    if lacking:
        return kube.unavailable() or f"no images were named ({', '.join(lacking)})"
    tags = {getattr(options, f"{name}_image").rpartition(":")[2] for name in ("gateway", "router")}
    return kube.unavailable() or ("the images of gateway and router have different tags" if len(tags) > 1 else None)


class Count:
    def __init__(self):
        self.ok = self.failed = 0

    def step(self, function, world):
        started = time.monotonic()
        try:
            said = function(world)
            self.ok += 1
            print(f"ok    {function.__name__:14} {time.monotonic() - started:6.1f} s  {function.__doc__}\n      {said}", flush=True)
            return True
        except Exception:
            self.failed += 1
            text = traceback.format_exc().rstrip().replace("\n", "\n      ")
            print(f"FAIL  {function.__name__:14} {time.monotonic() - started:6.1f} s  {function.__doc__}\n      {text}", flush=True)
            return False


def run(options, folder):
    world, count = World(options, folder), Count()
    made = make_namespace(world)
    try:
        if not options.k:
            all(count.step(function, world) for function in steps.STEPS)
        if not count.failed:
            for function in refusals.STEPS:
                if options.k in function.__name__:
                    count.step(function, world)
    finally:
        if world.events:
            world.events.abandon()
        if made and not (options.keep and count.failed):
            world.kube.call("delete", "namespace", options.namespace, "--timeout=120s", seconds=150)
    return count


def make_namespace(world):
    try:
        world.kube.call("create", "namespace", world.options.namespace)
    except kube.Refused as no:
        if "AlreadyExists" not in str(no):
            raise
        return False
    return True


def main():
    options = arguments()
    why = missing(options)
    if why:
        print(f"skip  cluster: not available: {why}\ncluster: 0 passed, 0 failed, 1 skipped")
        return 0
    proc.exit_on_sigterm()
    folder = tempfile.mkdtemp(prefix="tidegate-cluster-")
    count = run(options, folder)
    shutil.rmtree(folder)
    print(f"cluster: {count.ok} passed, {count.failed} failed, 0 skipped")
    return 1 if count.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except tools.Unavailable as reason:
        print(f"skip  cluster: not available: {reason}\ncluster: 0 passed, 0 failed, 1 skipped")

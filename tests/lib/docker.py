"""A Docker engine of our own, and our images in it: no daemon of the machine is used, and no registry is asked.

The engine's data stay in the cache, so that what a Dockerfile does first is done once; one process at a time has it. The
base that the Dockerfile names is made by debootstrap from the mirror that this machine installs its own packages from.
Containers share the machine's network: there is no bridge and no rule of a firewall.
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

from lib import tools
from lib.proc import ROOT, Proc, wait_until
from lib.tools import Unavailable

BASE = "debian:bookworm-slim"
TARGETS = ("gateway", "router")
BUILDER = "tidegate-build:test"  # keeps the compiler's layers when images without a name are pruned
PROGRAMS = ("/usr/sbin/dockerd", "/usr/bin/docker", "/usr/sbin/debootstrap")


def image(target):
    return f"tidegate-{target}:test"


class Failed(Exception):
    """docker ended with an error; the text is its own."""


class Engine:
    """Use it in a `with`: the daemon runs as long. Its log and socket are in a folder that goes with it."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Unavailable("a Docker engine of our own needs root")
        missing = [program for program in PROGRAMS if not os.path.exists(program)]
        if missing:
            raise Unavailable(f"{' and '.join(missing)} are not installed (packages docker.io and debootstrap)")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-docker-"))
        self.data = tools.CACHE / "docker"
        self.data.mkdir(parents=True, exist_ok=True)
        self.socket = f"unix://{self.folder}/docker.sock"
        self.containers = []
        self.daemon = Proc("dockerd", [
            "dockerd", "--data-root", self.data, "--exec-root", self.folder / "exec", "-H", self.socket,
            "--pidfile", self.folder / "pid", "--iptables=false", "--ip6tables=false", "--bridge=none"], self.folder)

    def __enter__(self):
        self.lock = open(self.data.with_suffix(".lock"), "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            self.daemon.start().wait_ready(lambda: self.answers("version"), 60)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *fault):
        for name in self.containers:
            self.answers("rm", "-f", name)
        self.end()

    def end(self):
        self.daemon.stop(30)
        subprocess.run(["umount", self.folder / "exec/netns/default"], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder)
        self.lock.close()

    def run(self, *words, **more):
        return subprocess.run(["/usr/bin/docker", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, env={**os.environ, "DOCKER_HOST": self.socket, "DOCKER_BUILDKIT": "0"}, **more)

    def __call__(self, *words, **more):
        """One docker command; its output without white space around it."""
        done = self.run(*words, **more)
        if done.returncode != 0:
            raise Failed(f"docker {' '.join(map(str, words))}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout.strip()

    def answers(self, *words):
        return self.run(*words).returncode == 0

    def import_base(self):
        """Gives the engine the base image, unless it has one."""
        if not self.answers("image", "inspect", BASE):
            self("import", tools.path("debian"), BASE)

    def build(self, target, *words, tag=None):
        """Builds one target of the Dockerfile; returns the image's name. The newest compiler's layers are kept."""
        self.import_base()
        common = ("build", "--network", "host", *words)
        self(*common, "--target", "build", "-t", BUILDER, ROOT)
        self(*common, "--target", target, "-t", tag or image(target), ROOT)
        self("image", "prune", "-f")
        return tag or image(target)

    def container(self, name, where, options=(), network="host"):
        """Starts a container that is removed at the end; returns its name."""
        self.containers.append(name)
        self("run", "-d", "--name", name, "--network", network, *options, where)
        return name

    def inspect(self, name, form):
        return self("inspect", "--format", form, name)

    def logs(self, name):
        done = self.run("logs", name)
        return done.stdout + done.stderr

    def wait_healthy(self, name, seconds=60):
        def healthy():
            state, health = self.inspect(name, "{{.State.Status}} {{.State.Health.Status}}").split()
            if state != "running":
                raise Failed(f"{name} is {state}:\n{self.logs(name)[-2000:]}")
            return health == "healthy"
        wait_until(healthy, seconds, f"{name} healthy", every=0.3)

    def export(self, name, folder):
        """The files of an image, as a root folder."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        made = self("create", "--network", "none", name)
        try:
            file = self.folder / "root.tar"
            self("export", "-o", file, made)
            subprocess.run(["tar", "-x", "-f", file, "-C", folder], check=True)
            file.unlink()
        finally:
            self("rm", made)


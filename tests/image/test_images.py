"""The images as an engine sees them: what they hold and say of themselves, and that they run as they promise, as nobody,
on a root that is read only, without capabilities and without a shell."""

import json
import re

import images
from lib.cluster import SECRET, task
from lib.clients import Client
from lib.docker import BASE, TARGETS, image
from lib.jwt import user
from lib.ports import free_port
from lib.proc import ROOT, wait_until
from lib.redis import Redis

# As an operator who trusts nothing runs them; the shells of the base are not there.
HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "256m",
            "-v", "/dev/null:/usr/bin/dash:ro", "-v", "/dev/null:/usr/bin/bash:ro"]


def megabytes(name):
    return int(images.engine().inspect(name, "{{.Size}}")) / 1e6


def test_build():
    images.engine().import_base()
    base = megabytes(BASE)
    for target in TARGETS:
        size = megabytes(images.ours(target))
        print(f"{target}: {size:.1f} MB, of which {base:.1f} MB are the base")
        assert size - base < 20, "something is in it that is not needed to run"


test_build.seconds = 1800


def test_packages():
    """The Dockerfile names the packages that `./tidegate build` installs, but for tests, and those that programs link."""
    table = (ROOT / "tests/lib/packages.sh").read_text()
    ours = set(re.findall(r"^build +\| (\S+)", table, re.M)) - {"libcmocka-dev"}
    theirs = re.search(r"(?<=build-essential).*?(?=\nWORKDIR)", (ROOT / "Dockerfile").read_text(), re.S)[0]
    theirs = set(re.findall(r"[a-z][a-z0-9.+-]+", theirs)) | {"build-essential"}
    assert theirs - {"ca-certificates"} == ours, (theirs ^ ours)


def test_default_target():
    """`docker build .` gives the gateway."""
    assert re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.M)[-1] == "gateway"


def test_what_they_say():
    for target, port in (("gateway", 8080), ("router", 8081)):
        [about] = json.loads(images.engine()("image", "inspect", images.ours(target)))
        config, program = about["Config"], f"/usr/bin/tidegate-{target}"
        assert config["User"] == "65532:65532" and config["Entrypoint"] == [program] and not config["Cmd"], config
        assert config["StopSignal"] == "SIGTERM" and list(config["ExposedPorts"]) == [f"{port}/tcp"], config
        assert config["Healthcheck"]["Test"] == ["CMD", program, "--probe", "/health"], config
        assert config["Labels"]["org.opencontainers.image.title"] == f"tidegate-{target}", config
        assert not config["Volumes"], config


def test_what_they_hold():
    """Every library is there, authorities where OpenSSL looks, and nothing to compile with."""
    for target in TARGETS:
        hardened = ["run", "--rm", "--network", "none", *HARDENED]
        assert images.engine()(*hardened, images.ours(target), "--version") == f"tidegate-{target} 0.1.0"
        inside = ["run", "--rm", "--network", "none", "--entrypoint"]
        missing = images.engine()(*inside, "ldd", image(target), f"/usr/bin/tidegate-{target}")
        assert "not found" not in missing, missing
        authorities = images.engine()(*inside, "grep", image(target), "-c", "BEGIN CERTIFICATE", "/usr/lib/ssl/cert.pem")
        assert int(authorities) > 50, authorities
        assert not images.engine().answers(*inside, "test", image(target), "-e", "/usr/bin/gcc")
        # what the other tests take away is really gone
        assert images.engine().answers("run", "--rm", "--network", "none", "--entrypoint", "sh", image(target), "-c", "exit")
        for program, *words in (["sh", "-c", "exit"], ["bash", "-c", "exit"], ["touch", "/tmp/x"]):
            assert not images.engine().answers(*hardened, "--entrypoint", program, image(target), *words), program


class Pair:
    """A gateway and a router in containers on the machine's network, with a real Redis and Kafka outside of them."""

    def __init__(self, folder, kafka):
        self.redis = Redis(folder).start()
        self.topic = f"task-updates-{folder.name}"
        self.kafka = kafka
        kafka.create_topic(self.topic)
        self.port = free_port()
        common = {"REDIS_URL": self.redis.url, "HOST": "127.0.0.1"}
        self.gateway = self.start("gateway", {**common, "PORT": self.port, "JWT_SECRET_KEY": SECRET, "DRAIN_SECONDS": "5s"})
        self.router = self.start("router", {**common, "PORT": free_port(), "KAFKA_BROKERS": kafka.brokers,
                                            "DAPR_TOPIC": self.topic, "START": "earliest"})

    def start(self, target, env):
        """A container that is asked for its health every second."""
        variables = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        name = f"{target}-{self.redis.port}"
        return images.engine().container(name, images.ours(target), options=[*HARDENED, "--health-interval", "1s", *variables])

    def wait(self):
        for name, program in ((self.gateway, "gateway"), (self.router, "router")):
            images.engine().wait_healthy(name)
            wait_until(lambda: images.engine().answers("exec", name, f"/usr/bin/tidegate-{program}", "--probe", "/ready"),
                       60, f"{name} ready", every=0.3)

    def connect(self, who):
        client = Client(f"ws://127.0.0.1:{self.port}/ws?token={user(SECRET, who)}")
        client.welcome()
        return client

    def stop(self, name):
        """As an orchestrator does: the exit status."""
        images.engine()("stop", "-t", "30", name)
        return int(images.engine().inspect(name, "{{.State.ExitCode}}"))


def status_of(name):
    """The lines of /proc/PID/status of a container's program."""
    pid = images.engine().inspect(name, "{{.State.Pid}}")
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file)


def test_they_carry_an_event(folder, kafka):
    pair = Pair(folder, kafka)
    pair.wait()
    for name in (pair.gateway, pair.router):
        status = status_of(name)
        assert status["Uid"].split() == ["65532"] * 4 and status["Gid"].split() == ["65532"] * 4, status
        assert status["CapEff"] == "0000000000000000" and status["NoNewPrivs"] == "1", status
    client = pair.connect("u1")
    sent = images.engine()("run", "--rm", "-i", "--network", "host", *HARDENED, "-e", f"KAFKA_BROKERS={kafka.brokers}",
                           image("router"), "--send", pair.topic, "--send-key", "u1",
                           input="".join(f"{task('u1', n)}\n" for n in range(20)))
    assert sent == f"20 of 20 records are in {pair.topic}", sent
    assert [message["task_id"] for message in client.tasks(20)] == list(range(20))
    assert pair.stop(pair.gateway) == 0 and pair.stop(pair.router) == 0
    for name in (pair.gateway, pair.router):
        assert '"event":"stopped"' in images.engine().logs(name), images.engine().logs(name)
    pair.redis.stop()


test_they_carry_an_event.seconds = 300


def test_what_is_wrong_is_said():
    """A container that cannot start ends at once with a sentence."""
    for target, variable, words in (("gateway", "PORT=1", "JWT_SECRET_KEY"), ("router", "KAFKA_CONFIG_NO_SUCH=1", "no.such")):
        done = images.engine().run("run", "--rm", "--network", "none", *HARDENED, "-e", variable, images.ours(target))
        assert done.returncode in (1, 2) and words in done.stderr, (target, done)


def test_health_is_asked_where_the_program_listens():
    """PORT and PROFILE move both, and a port on which nobody listens is no health."""
    for variables in (["-e", "PROFILE=todo"], ["-e", f"PORT={free_port()}"]):
        name = images.engine().container(f"moved-{free_port()}", images.ours("gateway"), network="none", options=[
            *HARDENED, "--health-interval", "1s", "-e", f"JWT_SECRET_KEY={SECRET}", *variables])
        images.engine().wait_healthy(name)
        done = images.engine().run("exec", "-e", "PORT=1", name, "/usr/bin/tidegate-gateway", "--probe", "/health")
        assert done.returncode == 1 and "Connection refused" in done.stderr, done
        images.engine()("kill", name)

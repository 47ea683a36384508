"""The compose example: complete, as strict as the chart, and it runs, on a network of its own with names."""

import json
import os
import re
import subprocess

import images
from lib.clients import Client
from lib.cluster import SECRET
from lib.docker import Failed
from lib.jwt import user
from lib.ports import free_port
from lib.proc import ROOT
from lib.tools import Unavailable

FILE = ROOT / "helm/examples/compose.yaml"


def read_yaml(text):
    """By the system's Python, which has the library."""
    done = subprocess.run(["/usr/bin/python3", "-c", "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"],
                          input=text, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


class Compose:
    """One project of the example; `down` at the end."""

    def __init__(self, name, **env):
        if not os.path.exists("/usr/bin/docker-compose"):
            raise Unavailable("docker-compose is not installed")
        self.name = name
        self.env = {**os.environ, "DOCKER_HOST": images.engine().socket, "COMPOSE_PROJECT_NAME": name, **env}

    def run(self, *words):
        return subprocess.run(["/usr/bin/docker-compose", "-f", FILE, *map(str, words)], env=self.env, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __call__(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise Failed(f"docker-compose {' '.join(map(str, words))}: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def container(self, service):
        return self("ps", "-q", service).strip()

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        if fault[0]:
            print(self.run("logs", "--tail", "15").stdout[-6000:])
        self("down", "-v", "-t", "10")


def test_it_is_complete():
    whole = read_yaml(Compose("complete", JWT_SECRET_KEY=SECRET)("config"))
    assert set(whole["services"]) == {"websocket-service", "router", "redis", "kafka"}, whole
    for service in ("websocket-service", "router"):
        about = whole["services"][service]
        assert about["read_only"] and about["cap_drop"] == ["ALL"], about
        assert about["security_opt"] == ["no-new-privileges:true"], about
    done = Compose("incomplete", JWT_SECRET_KEY="").run("config")
    assert done.returncode != 0 and "the key that tokens are signed with" in done.stderr, done


def test_its_images_are_those_of_the_chart():
    services = read_yaml(FILE.read_text())["services"]
    chart = read_yaml((ROOT / "helm/values.yaml").read_text())["tryout"]
    for service in ("redis", "kafka"):
        assert services[service]["image"] == chart[service]["image"], (service, chart)


def test_its_comment_is_what_works(folder):
    """The commands at the top of the file, one after the other, as they stand there but for what builds."""
    services = read_yaml(FILE.read_text())["services"]
    for target, service in (("gateway", "websocket-service"), ("router", "router")):
        images.engine()("tag", images.ours(target), f"{services[service]['image']}:latest")
    for name, make in (("redis", images.stand_in_redis), ("kafka", images.stand_in_kafka)):
        (folder / name).mkdir()
        make(services[name]["image"], folder / name)
    port = free_port()
    with Compose(f"tidegate-{port}", JWT_SECRET_KEY=SECRET, GATEWAY_PORT=str(port)) as compose:
        compose("up", "-d", "--no-build")
        for service in ("websocket-service", "router"):
            images.engine().wait_healthy(compose.container(service), 120)
        for command in comment_commands()[2:]:
            done = subprocess.run(["bash", "-ec", command.replace("docker compose -f helm/examples/compose.yaml",
                                                                  f"docker-compose -f {FILE}")],
                                  env=compose.env, stdin=subprocess.DEVNULL, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert done.returncode == 0, (command, done)
        assert json.loads(done.stdout.splitlines()[-1])["task"]["title"] == "Buy milk", done
        client = Client(f"ws://127.0.0.1:{port}/ws?token={user(SECRET, '1')}&last_id=0")
        client.welcome()
        assert client.tasks(1)[0]["task_id"] == 7
        compose("stop", "-t", "40")
        for service in ("websocket-service", "router"):
            assert images.engine().inspect(compose.container(service), "{{.State.ExitCode}}") == "0", compose("logs", service)
    assert not images.engine()("volume", "ls", "-q", "--filter", f"name=tidegate-{port}")


test_its_comment_is_what_works.seconds = 1800


def comment_commands():
    """The shell commands in the comment at the top of the file."""
    lines = re.findall(r"^#   (.*)$", FILE.read_text(), re.M)
    return "\n".join(lines).replace("\\\n", " ").splitlines()

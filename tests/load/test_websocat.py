"""The scripts of loadtest/websocat: they pass on a system that works, and fail when something does not."""

import os
import subprocess

from lib import tools
from lib.cluster import SECRET
from lib.ports import free_port
from lib.proc import ROOT
from lib.stub import WELCOME, says

def produce(cluster, before=""):
    """A command for PRODUCE."""
    return f"{before} kcat -P -b {cluster.kafka.brokers} -t {cluster.topic} -k load -X acks=all"


def script(name, urls, **env):
    """(exit status, output) of a script."""
    done = subprocess.run([ROOT / f"loadtest/websocat/{name}.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=100, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "URLS": ",".join(urls), "WEBSOCAT": str(tools.path("websocat")),
                               "JWT_SECRET_KEY": SECRET, **env})
    return done.returncode, done.stdout


def urls(cluster):
    """The balancer, which takes turns, and one of its gateways."""
    ports = [cluster.balancer.port, cluster.gateways[0].port]
    return [f"ws://127.0.0.1:{port}/ws" for port in ports]


def passes(name, where, count, **env):
    status, output = script(name, where, **env)
    assert status == 0 and "FAIL" not in output and output.count("ok  ") == count, output


def fails(name, where, *sayings, **env):
    status, output = script(name, where, **{"PATIENCE": "2", **env})
    complaints = "\n".join(line for line in output.splitlines() if line.startswith("FAIL"))
    assert status == 1 and all(saying in complaints for saying in sayings), output


def test_smoke(cluster):
    passes("smoke", urls(cluster), 4, PRODUCE=produce(cluster))


def test_smoke_fails_when_it_should(cluster):
    where = urls(cluster)[:1]
    fails("smoke", [f"ws://127.0.0.1:{free_port()}/ws"], "no welcome")
    fails("smoke", where, "no welcome", JWT_SECRET_KEY="another secret that is long enough")
    fails("smoke", where, "PRODUCE ended with status 7", PRODUCE="exit 7")
    fails("smoke", where, "wanted the events 1, got: none", PRODUCE="cat")
    with says(WELCOME) as deaf:
        fails("smoke", [deaf], "no pong")


def test_token(cluster):
    passes("token", urls(cluster), 18)


def test_token_fails_when_it_should(cluster):
    with says(WELCOME) as careless:
        fails("token", [careless], "expired: not refused")
    with says("") as silent:
        fails("token", [silent], "in the query: no welcome", "expired: neither welcomed nor refused")
    fails("token", urls(cluster)[:1], "expired: refused in another way", REFUSAL="4002")
    fails("token", urls(cluster)[:1], "as Authorization: no welcome", JWT_SECRET_KEY="another secret that is long enough")


def test_replay(cluster):
    passes("replay", urls(cluster), 5, PRODUCE=produce(cluster))


def test_replay_fails_when_it_should(cluster):
    where = urls(cluster)[:1]
    fails("replay", where, "wanted the events 2 3 4", PRODUCE=produce(cluster, 'grep -v \'"task_id":3,\' |'), EVENTS="3")
    fails("replay", where, "got: 3 2", PRODUCE=produce(cluster, "tac |"), EVENTS="2")
    with says(WELCOME) as forgetful:
        fails("replay", [forgetful], "got: none", PRODUCE=produce(cluster))


def test_fanout_of_what_the_router_sends(cluster, build):
    sends = f"{build}/tidegate-router --kafka-brokers {cluster.kafka.brokers} --send {cluster.topic} --send-key load"
    passes("fanout", urls(cluster), 2, PRODUCE=sends, SOCKETS="1")


def test_fanout(cluster):
    passes("fanout", urls(cluster), 6, PRODUCE=produce(cluster), SOCKETS="3", EVENTS="200")


def test_fanout_fails_when_it_should(cluster):
    where = urls(cluster)[:2]
    fails("fanout", where, "socket 2: wanted the events 1 2 3", SOCKETS="2", EVENTS="3",
          PRODUCE=produce(cluster, 'grep -v \'"task_id":2,\' |'))
    fails("fanout", where, "got: 1 1 2 2", SOCKETS="1", EVENTS="2", PRODUCE=produce(cluster, "sed p |"))
    with says(WELCOME) as deaf:
        fails("fanout", [*where, deaf], f"{deaf}: socket 1: wanted", SOCKETS="1", EVENTS="2", PRODUCE=produce(cluster))

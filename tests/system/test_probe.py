"""What the programs do when a command line asks for it instead of a run: probes, and records sent by hand."""

import json
import os
import socket
import subprocess
import threading
import time

from lib import jwt
from lib.cluster import SECRET, task
from lib.programs import SANITIZERS
from lib.ports import free_port


def ask(build, program, *words, env=None, data=None, seconds=30):
    """Runs a program to its end: (exit status, output, errors). It inherits no option of ours."""
    done = subprocess.run([build / program, *map(str, words)], input=data, text=True, timeout=seconds, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **SANITIZERS, **(env or {})})
    return done.returncode, done.stdout, done.stderr


def refused(answer, *words):
    """One line that says why, and status 1."""
    status, out, err = answer
    assert status == 1 and not out and err.count("\n") == 1 and all(word in err for word in words), answer


class Mute:
    """Takes connections and says only what it was given, if anything."""

    def __init__(self, says=b""):
        self.says = says
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.taken.append(sock)
            if self.says:
                sock.sendall(self.says)
                sock.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.listener.close()
        for sock in self.taken:
            sock.close()


def test_a_program_that_answers(cluster, build):
    for program, port in [("tidegate-gateway", cluster.gateways[0].port), ("tidegate-router", cluster.routers[0].port)]:
        for path in ("/health", "/ready"):
            assert ask(build, program, "--probe", f"http://127.0.0.1:{port}{path}") == (0, "", "")
            # a path alone is this program, where its options say that it listens
            assert ask(build, program, f"--probe={path}", env={"PORT": str(port)}) == (0, "", "")
        assert ask(build, program, "--probe", f"http://localhost:{port}/health", "--probe-expect", "status") == (0, "", "")
        refused(ask(build, program, "--probe", f"http://127.0.0.1:{port}/health", "--probe-expect", "no such words"),
                "no such words")
        refused(ask(build, program, "--probe", f"http://127.0.0.1:{port}/nowhere"), "status 404")


def test_a_program_that_is_not_ready(new_cluster, build):
    cluster = new_cluster(start=False, gateways=1, routers=0)
    gateway = cluster.gateways[0].start(wait=False)
    gateway.proc.wait_ready(lambda: gateway.get("/health").status == 200)
    refused(ask(build, "tidegate-gateway", "--probe", "/ready", env={"PORT": str(gateway.port)}),
            "status 503", '"status":"not_ready"')
    gateway.stop()


def test_nobody_answers(build):
    with Mute() as mute:
        started = time.monotonic()
        refused(ask(build, "tidegate-gateway", "--probe", f"http://127.0.0.1:{mute.port}/", "--probe-timeout", "300ms"),
                "no answer in time")
        assert time.monotonic() - started >= 0.3
    refused(ask(build, "tidegate-router", "--probe", f"http://127.0.0.1:{free_port()}/"), "Connection refused")
    refused(ask(build, "tidegate-router", "--probe", "http://no-such-host.invalid/"), "no-such-host.invalid")
    for says in (b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\0" * 100):
        with Mute(says) as mute:
            refused(ask(build, "tidegate-gateway", "--probe", f"http://127.0.0.1:{mute.port}/"), "no answer of HTTP")


def test_a_refusal_stays_a_line(build):
    with Mute(b"HTTP/1.1 500 Oh\r\n\r\none\ntwo\x1b[31m" + b"x" * 1000) as mute:
        status, _, err = answer = ask(build, "tidegate-gateway", "--probe", f"http://127.0.0.1:{mute.port}/")
        refused(answer, "status 500: one two [31mxxx")
        assert status == 1 and len(err) < 300 and "\x1b" not in err, answer


def test_bad_urls(build):
    for words in (["--probe", "https://localhost/"], ["--probe", "localhost:80"], ["--probe", ""],
                  ["--probe", "http:///health"], ["--probe", "http://localhost:99999/"], ["--probe", "/a b"],
                  ["--probe", "/health\r\nX: y"], ["--probe", "/health", "--probe-for", "5"],
                  ["--probe", "/health", "--probe-timeout", "soon"], ["--probe-for", "5s"], ["--probe"]):
        for program in ("tidegate-gateway", "tidegate-router"):
            status, out, err = ask(build, program, *words)
            assert status == 2 and not out and err.startswith(program), (words, status, out, err)


def test_again_and_again(cluster, build):
    url = f"http://127.0.0.1:{cluster.gateways[0].port}/health"
    started = time.monotonic()
    assert ask(build, "tidegate-gateway", "--probe", url, "--probe-for", "800ms") == (0, "", "")
    assert time.monotonic() - started >= 0.8


def test_as_a_hook_before_the_end(new_cluster, build):
    cluster = new_cluster(start=False, gateways=1, routers=0)
    gateway = cluster.gateways[0].start(wait=False)
    gateway.proc.wait_ready(lambda: gateway.get("/health").status == 200)
    hook = subprocess.Popen([build / "tidegate-gateway", "--probe", "/health", "--probe-for", "10m"],
                            env={**os.environ, **SANITIZERS, "PORT": str(gateway.port)}, stderr=subprocess.PIPE, text=True)
    time.sleep(0.6)  # it is meant to go on for as long as it is answered
    assert hook.poll() is None
    gateway.stop()
    assert "Connection refused" in hook.communicate(timeout=20)[1] and hook.returncode == 1


def test_no_run_is_judged(build):
    """What a run needs, a probe does not: a check from elsewhere has no secret."""
    with Mute(b"HTTP/1.1 204 No Content\r\n\r\n") as mute:
        assert ask(build, "tidegate-gateway", "--probe", f"http://127.0.0.1:{mute.port}/",
                   env={"ENVIRONMENT": "production"}) == (0, "", "")


# ---- WebSockets ----

def watch(build, cluster, *words, gateway=0, user="probe", query="", env=None, **more):
    """A probe that a user's eyes would be."""
    url = f"ws://127.0.0.1:{cluster.gateways[gateway].port}/ws{query}"
    return ask(build, "tidegate-gateway", "--probe", url, *(["--probe-user", user] if user is not None else []), *words,
               env={"JWT_SECRET_KEY": SECRET, **(env or {})}, **more)


def test_a_welcome(cluster, build):
    status, out, err = watch(build, cluster, user="a user \"of\" ours")
    assert (status, err) == (0, "") and json.loads(out)["type"] == "connected", (status, out, err)
    assert json.loads(out)["user_id"] == "a user \"of\" ours", out
    # a URL that says all itself
    token = jwt.user(SECRET, "another")
    status, out, err = watch(build, cluster, user=None, query=f"?token={token}")
    assert (status, err) == (0, "") and json.loads(out)["user_id"] == "another", (status, out, err)


def test_no_welcome(cluster, build):
    refused(watch(build, cluster, user=None), "no welcome", "closed with 4001")
    refused(watch(build, cluster, env={"JWT_SECRET_KEY": "another-secret-0123456789abcdef0123"}), "closed with 4001")
    refused(ask(build, "tidegate-gateway", "--probe", f"ws://127.0.0.1:{cluster.gateways[0].port}/ws", "--probe-user", "u"),
            "JWT_SECRET_KEY")
    refused(watch(build, cluster, user=""), "no token can be made")
    refused(watch(build, cluster, query="/nobody"), "closed with 4002")
    refused(ask(build, "tidegate-gateway", "--probe", f"ws://127.0.0.1:{cluster.gateways[0].port}/health"), "status 200")
    with Mute() as mute:
        refused(ask(build, "tidegate-gateway", "--probe", f"ws://127.0.0.1:{mute.port}/", "--probe-timeout", "300ms"),
                "no answer in time")


def test_what_is_expected_comes(cluster, build):
    user = cluster.user()
    probe = subprocess.Popen(
        [build / "tidegate-gateway", "--probe", f"ws://127.0.0.1:{cluster.gateways[0].port}/ws?last_id=0", "--probe-user",
         user, "--probe-expect", '"task_id":7001', "--probe-timeout", "60s"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, **SANITIZERS, "JWT_SECRET_KEY": SECRET}, text=True)
    sent = ask(build, "tidegate-router", "--send", cluster.topic, "--send-key", user,
               data=task(user, 7000) + "\n\n" + task(user, 7001), env={"KAFKA_BROKERS": cluster.kafka.brokers})
    assert sent == (0, f"2 of 2 records are in {cluster.topic}\n", ""), sent
    out, err = probe.communicate(timeout=90)
    assert (probe.returncode, err) == (0, "") and json.loads(out)["task_id"] == 7001, (probe.returncode, out, err)
    # later it is in the history, on any gateway
    status, out, _ = watch(build, cluster, "--probe-expect", '"task_id":7000', gateway=1, user=user, query="?last_id=0")
    assert status == 0 and json.loads(out)["task_id"] == 7000, (status, out)
    refused(watch(build, cluster, "--probe-expect", '"task_id":7002', "--probe-timeout", "500ms", user=user,
                  query="?last_id=0"), 'no "task_id":7002', "no answer in time")


def test_records_from_a_command_line(cluster, build):
    topic = "sent-by-hand"
    cluster.kafka.create_topic(topic)
    kafka = {"KAFKA_BROKERS": cluster.kafka.brokers}
    assert ask(build, "tidegate-router", "--send", topic, "--send-value", "one\nrecord", env=kafka)[0] == 0
    lines = "".join(f"line {i}\n" for i in range(5000))
    assert ask(build, "tidegate-router", f"--send={topic}", "--send-key", "k", data=lines, env=kafka) == (
        0, f"5000 of 5000 records are in {topic}\n", "")
    records = cluster.kafka.consume(topic)
    assert [r["payload"] for r in records if r["key"] == "k"] == lines.splitlines()
    assert [r["payload"] for r in records if r["key"] is None] == ["one\nrecord"]


def test_records_that_cannot_be_sent(build):
    status, out, err = ask(build, "tidegate-router", "--send", "t", "--send-value", "x", seconds=60,
                           env={"KAFKA_BROKERS": f"127.0.0.1:{free_port()}", "DLQ_RETRY": "1s"})
    assert status == 1 and out == "0 of 1 records are in t\n" and "1 records were not acknowledged" in err, (status, err)
    status, _, err = ask(build, "tidegate-router", "--send", "t", "--send-value", "x",
                         env={"KAFKA_CONFIG_NO_SUCH_PROPERTY": "1"})
    assert status == 2 and "no.such.property" in err, (status, err)

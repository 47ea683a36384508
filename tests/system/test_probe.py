"""What the programs do when a command line asks for it instead of a run: probes, as health checks and hooks use them."""

import os
import socket
import subprocess
import threading
import time

from lib.programs import SANITIZERS
from lib.proc import free_port


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

"""One port for several gateways, and the echo endpoint for protocol suites."""

import os
import pathlib
import subprocess

from lib import clients
from lib.cluster import SECRET, task
from lib.programs import Gateway
from lib.proc import wait_until
from lib.wire import request

WORKERS = 2


def test_two_gateways_on_one_port(new_cluster):
    cluster = new_cluster(gateways=1, routers=1)
    first = cluster.gateways[0]
    second = Gateway(pathlib.Path(first.proc.argv[0]).parent, cluster.folder, "gateway-on-the-same-port",
                     {"REDIS_URL": cluster.redis.url, "JWT_SECRET_KEY": SECRET, "WORKERS": WORKERS}, port=first.port).start()
    cluster.gateways.append(second)
    # /ready may have been answered by its neighbour
    wait_until(lambda: sum(r["event"] == "redis_up" for r in second.log_records()) >= 2 * WORKERS, 10, "its links")
    user = cluster.user()
    devices = [cluster.connect(user) for _ in range(40)]
    cluster.produce(user, task(user, 1))
    for device in devices:
        device.tasks(1)
    second.kill()
    wait_until(lambda: not second.proc.alive(), 5, "the second gateway is gone")
    alive = [device for device in devices if device.open()]
    assert 0 < len(alive) < 40, f"{len(alive)} of 40 sockets were on the first gateway"
    cluster.connect(user)
    cluster.produce(user, task(user, 2))
    for device in alive:
        assert device.tasks(1)[0]["task_id"] == 2


def test_echo_returns_everything(new_cluster):
    cluster = new_cluster(gateways=1, routers=0, gateway={"CONFORMANCE": "1"})
    echo = clients.connect(f"ws://127.0.0.1:{cluster.gateways[0].port}/echo", proxy=None, max_size=None,
                           compression=None, ping_interval=None)
    for size in (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20):
        for message in ("x" * size, os.urandom(size)):
            echo.send(message)
            assert echo.recv(timeout=30) == message, size
    echo.send(iter(["frag", "ment", "s"]))
    assert echo.recv(timeout=10) == "fragments"
    echo.send(bytes((16 << 20) + 1))
    try:
        echo.recv(timeout=30)
        raise AssertionError("a message above 16 MiB came back")
    except clients.ConnectionClosed as closed:
        assert closed.rcvd.code == 1009, closed


def test_echo_is_off_unless_asked_for(cluster):
    assert request(cluster.gateways[0].port, "/echo").status == 404


def test_echo_is_refused_in_production(cluster):
    done = subprocess.run([cluster.gateways[0].proc.argv[0], "--check"], capture_output=True, text=True, check=False,
                          env={"CONFORMANCE": "1", "ENVIRONMENT": "production", "JWT_SECRET_KEY": SECRET})
    assert done.returncode == 2 and "CONFORMANCE" in done.stderr, done

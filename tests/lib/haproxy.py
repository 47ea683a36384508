"""A plain balancer: HAProxy, without stickiness. A server that refuses is passed over at once for another."""

import csv
import pathlib
import urllib.request

from lib.ports import free_port
from lib.proc import Proc
from lib.wire import request

CONFIG = """global
    maxconn {maxconn}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch 1
    retries 2
frontend clients
    bind {host}:{port}
    default_backend gateways
backend gateways
    balance {balance}
    option httpchk GET /ready
    default-server check inter 500ms rise 1 fall 2
{servers}
frontend itself
    bind 127.0.0.1:{port_itself}
    monitor-uri /up
    stats enable
    stats uri /stats
"""


class HAProxy:
    """Spreads connections over gateways' ports, one after the other, whoever asks; `balance` says it in HAProxy's words. Each
    of `maxconn` connections takes two descriptors."""

    def __init__(self, folder, ports, port=None, host="127.0.0.1", balance="roundrobin", maxconn=4000):
        self.port = port or free_port()
        self.port_itself = free_port()
        servers = "\n".join(f"    server gateway-{i + 1} 127.0.0.1:{p}" for i, p in enumerate(ports))
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "haproxy.cfg"
        file.write_text(CONFIG.format(host=host, port=self.port, port_itself=self.port_itself, servers=servers,
                                      balance=balance, maxconn=maxconn))
        self.proc = Proc("haproxy", ["haproxy", "-db", "-f", file], folder)

    def start(self):
        self.proc.start().wait_ready(lambda: request(self.port_itself, "/up").status == 200)
        return self

    def stop(self):
        self.proc.stop()

    def up(self):
        """The names of the servers to which it sends connections: gateway-1 and so on. One that has missed a check and gets
        another one is among them: `UP 1/2`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port_itself}/stats;csv", timeout=5) as answer:
            page = answer.read().decode()
        return {row["svname"] for row in csv.DictReader(page.removeprefix("# ").splitlines())
                if row["pxname"] == "gateways" and row["svname"].startswith("gateway-") and row["status"].startswith("UP")}

"""A plain balancer: HAProxy, round robin, no stickiness."""

import pathlib

from lib.ports import free_port
from lib.proc import Proc
from lib.wire import request

CONFIG = """global
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option redispatch
    retries 2
frontend clients
    bind {host}:{port}
    default_backend gateways
backend gateways
    balance roundrobin
    option httpchk GET /ready
    default-server check inter 500ms rise 1 fall 2
{servers}
frontend itself
    bind 127.0.0.1:{port_itself}
    monitor-uri /up
"""


class HAProxy:
    """Spreads connections over gateways' ports, one after the other, whoever asks."""

    def __init__(self, folder, ports, port=None, host="127.0.0.1"):
        self.port = port or free_port()
        self.port_itself = free_port()
        servers = "\n".join(f"    server gateway-{i + 1} 127.0.0.1:{p}" for i, p in enumerate(ports))
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "haproxy.cfg"
        file.write_text(CONFIG.format(host=host, port=self.port, port_itself=self.port_itself, servers=servers))
        self.proc = Proc("haproxy", ["haproxy", "-db", "-f", file], folder)

    def start(self):
        self.proc.start().wait_ready(lambda: request(self.port_itself, "/up").status == 200)
        return self

    def stop(self):
        self.proc.stop()

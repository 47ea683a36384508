"""HTTP and WebSocket by hand, from bytes: what well-behaved clients cannot send, and a client that needs no package."""

import base64
import hashlib
import json
import os
import re
import socket
import struct
import time

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Response:
    """An HTTP response: status, lower-case headers, body. `raw` is all that came."""

    def __init__(self, raw):
        self.raw = raw
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        found = re.match(r"HTTP/1\.[01] (\d{3})", lines[0])
        self.status = int(found[1]) if found else None
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def exchange(port, data, seconds=10, first=10, host="127.0.0.1"):
    """Sends bytes and reads until the server closes or is silent: for `first` seconds before it says anything, for `seconds`
    after. Returns (bytes, whether it closed)."""
    with socket.create_connection((host, port), first) as sock:
        try:
            sock.sendall(data)
        except OSError:
            pass  # refused while we wrote: what it said is still to be read
        got = b""
        while True:
            sock.settimeout(seconds if got else first)
            try:
                more = sock.recv(65536)
            except TimeoutError:
                return got, False
            except ConnectionError:
                return got, True
            if not more:
                return got, True
            got += more


def request(port, path, method="GET", headers=None, body=b"", seconds=10):
    """One ordinary request on a connection of its own."""
    body = body.encode() if isinstance(body, str) else body
    fields = {"Host": f"127.0.0.1:{port}", "Connection": "close", **(headers or {})}
    if body:
        fields.setdefault("Content-Length", str(len(body)))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return Response(exchange(port, head.encode() + body, seconds, seconds)[0])


def upgrade_head(port, path, headers=None, version="13", key=None):
    """The bytes of a WebSocket handshake. A header given as None is left out."""
    fields = {
        "Host": f"127.0.0.1:{port}", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": version,
        "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode(), **(headers or {}),
    }
    lines = [f"{name}: {value}\r\n" for name, value in fields.items() if value is not None]
    return (f"GET {path} HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode()


def frame(opcode, payload=b"", fin=True, masked=True, rsv=0, length_form=None):
    """A frame as a client sends it. `length_form` 7, 16 or 64 forces a longer length field than is needed."""
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload)
    form = length_form or (7 if size < 126 else 16 if size < 65536 else 64)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    head = {7: lambda: struct.pack("!BB", first, mask_bit | size),
            16: lambda: struct.pack("!BBH", first, mask_bit | 126, size),
            64: lambda: struct.pack("!BBQ", first, mask_bit | 127, size)}[form]()
    if not masked:
        return head + payload
    key = os.urandom(4)
    stream = (key * (size // 4 + 1))[:size]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


class Refused(Exception):
    """The handshake was answered by something else than 101; .response holds it."""

    def __init__(self, response):
        super().__init__(str(response))
        self.response = response


class RawSocket:
    """A WebSocket whose every byte is ours to choose. Frames are (opcode, payload) pairs; fragments are not joined."""

    def __init__(self, port, path, headers=None, seconds=10, receive_buffer=None, host="127.0.0.1"):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(seconds)
        self.sock.connect((host, port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(upgrade_head(port, path, headers, key=key))
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            more = self.sock.recv(65536)
            if not more:
                break
            self.rest += more
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        self.response = Response(head + b"\r\n\r\n")
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if self.response.status != 101:
            raise Refused(self.response)
        assert self.response.headers["sec-websocket-accept"] == accept, self.response

    def send(self, data):
        self.sock.sendall(data)

    def send_json(self, message):
        self.send(frame(TEXT, json.dumps(message, separators=(",", ":"))))

    def recv(self, seconds=10):
        """The next frame, or None when the peer closed the connection."""
        deadline = time.monotonic() + seconds
        while True:
            got = self._cut()
            if got:
                return got
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.sock.recv(1 << 20)
            except ConnectionError:
                return None
            if not more:
                return None
            self.rest += more

    def _cut(self):
        if len(self.rest) < 2:
            return None
        size, at = self.rest[1] & 127, 2
        assert not self.rest[1] & 128, "a server must not mask"
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(self.rest) < 2 + width:
                return None
            size, at = int.from_bytes(self.rest[2:2 + width], "big"), 2 + width
        if len(self.rest) < at + size:
            return None
        opcode, payload = self.rest[0] & 15, self.rest[at:at + size]
        self.rest = self.rest[at + size:]
        return opcode, payload

    def recv_json(self, seconds=10):
        """The next text message, parsed; pings are answered on the way. None after a close."""
        while True:
            got = self.recv(seconds)
            if got is None or got[0] == CLOSE:
                return None
            if got[0] == PING:
                self.send(frame(PONG, got[1]))
            elif got[0] == TEXT:
                return json.loads(got[1])

    def close_code(self, seconds=10):
        """Reads up to the peer's close frame: (code, reason); (None, "") if the connection went without one."""
        deadline = time.monotonic() + seconds
        while True:
            got = self.recv(max(0.001, deadline - time.monotonic()))
            if got is None:
                return None, ""
            if got[0] == CLOSE:
                code = int.from_bytes(got[1][:2], "big") if len(got[1]) >= 2 else 1005
                return code, got[1][2:].decode()

    def close(self):
        self.sock.close()

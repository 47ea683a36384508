"""HTTP in detail, on one gateway: what stands in answers, what a connection is good for afterwards, and who asks."""

import contextlib
import socket

from lib import jwt
from lib.alone import SECRET, Alone
from lib.proc import wait_until
from lib.wire import RawSocket, Refused, Response, exchange, request, upgrade_head


def responses(raw):
    """The answers in a stream of bytes, each with a Content-Length or without a body."""
    found = []
    while raw:
        head, _, rest = raw.partition(b"\r\n\r\n")
        one = Response(head + b"\r\n\r\n")
        size = int(one.headers.get("content-length", 0))
        one.body, raw = rest[:size], rest[size:]
        found.append(one)
    return found


def ask(port, *requests, seconds=1):
    """Requests on one connection, one after the other without waiting; the answers."""
    return responses(exchange(port, b"".join(requests), seconds)[0])


def get(path, *headers, method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{''.join(h + chr(13) + chr(10) for h in headers)}\r\n".encode()


def test_answers_say_what_would_do(build, folder):
    with Alone(folder, build, ALLOWED_ORIGINS="https://app.example") as alone:
        port = alone.port
        for method in ("POST", "PUT", "DELETE", "TRACE"):
            answer = request(port, "/health", method=method)
            assert answer.status == 405 and answer.headers["allow"] == "GET", (method, answer)
        for method in ("POST", "HEAD"):
            answer = request(port, "/ws", method=method)
            assert answer.status == 405 and answer.headers["allow"] == "GET", (method, answer)
        answer = request(port, "/ws", headers={"Connection": "keep-alive"}, seconds=1)
        assert (answer.status, answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == (426, "websocket", "13")
        answer = request(port, "/stats")
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", answer
        for path in ("/", "/nothing", "/demo/../../etc/passwd", "/demo/%2e%2e/%2e%2e/etc/passwd", "/demo/..%2f..%2fetc/passwd",
                     "/demo/.x", "/demo//", "/health/", "/HEALTH", "/wsx", "*"):
            answer = request(port, path)
            assert answer.status in (400, 404), (path, answer)
        assert request(port, "/demo").headers["location"] == "/demo/"
        assert request(port, "/demo/x/../demo.js").status == 200


def test_head_answers_as_get_without_the_body(build, folder):
    with Alone(folder, build) as alone:
        for path in ("/health", "/demo/demo.js", "/nothing", "/ready"):
            got, head = request(alone.port, path), request(alone.port, path, method="HEAD")
            assert head.status == got.status and head.body == b"", (path, head)
            assert head.headers["content-length"] == got.headers["content-length"] or path == "/health", (path, head, got)


def test_a_connection_is_kept_across_answers_and_errors(build, folder):
    with Alone(folder, build) as alone:
        answers = ask(alone.port, get("/health"), get("/nothing"), get("/health", method="PUT"), get("/stats"), get("/ws"),
                      get("/health"), get("/ready", method="HEAD"))
        assert [a.status for a in answers] == [200, 404, 405, 401, 426, 200, 200], answers


def test_a_pipeline_ends_in_a_websocket(build, folder):
    with Alone(folder, build) as alone:
        raw, _ = exchange(alone.port, get("/health") * 20 + upgrade_head(alone.port, alone.path()), 1)
        assert raw.count(b"HTTP/1.1 200 OK") == 20 and raw.count(b"HTTP/1.1 101 ") == 1 and b'"connected"' in raw, raw


def test_preflight(build, folder):
    good, evil = "https://app.example", "https://evil.example"
    with Alone(folder, build, ALLOWED_ORIGINS=f"{good},http://localhost:3000") as alone:
        for path in ("/stats", "/health", "/nothing"):
            answer = request(alone.port, path, method="OPTIONS",
                             headers={"Origin": good, "Access-Control-Request-Method": "GET",
                                      "Access-Control-Request-Headers": "authorization"})
            assert answer.status == 204 and answer.headers["access-control-allow-origin"] == good, answer
            assert "authorization" in answer.headers["access-control-allow-headers"], answer
            assert "GET" in answer.headers["access-control-allow-methods"], answer
            assert "content-length" not in answer.headers and "transfer-encoding" not in answer.headers, answer
        answer = request(alone.port, "/stats", method="OPTIONS", headers={"Origin": evil})
        assert answer.status == 403 and "access-control-allow-origin" not in answer.headers, answer
        for origin, allowed in ((good, good), (evil, None), (None, None)):
            answer = request(alone.port, "/health", headers={"Origin": origin} if origin else {})
            assert answer.headers.get("access-control-allow-origin") == allowed, answer
            assert "origin" in answer.headers["vary"], "a cache would give one origin's answer to another"


def test_bodies(build, folder):
    with Alone(folder, build, BODY_MAX_BYTES="1k", HEAD_TIMEOUT="1s") as alone:
        port = alone.port
        post = "POST /health HTTP/1.1\r\nHost: a\r\n"
        small = f"{post}Content-Length: 5\r\n\r\nhello".encode()
        chunks = f"{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".encode()
        answers = ask(port, small, chunks, get("/health"))
        assert [a.status for a in answers] == [405, 405, 200], answers
        assert ask(port, f"{post}Content-Length: 2000\r\n\r\n".encode() + b"x" * 2000)[0].status == 413
        assert ask(port, f"{post}Transfer-Encoding: chunked\r\n\r\n800\r\n".encode() + b"x" * 2048 + b"\r\n0\r\n\r\n")[0].status == 413
        raw, closed = exchange(port, f"{post}Content-Length: 5\r\n\r\nhe".encode(), 9, 9)
        assert closed, (raw, "a body that does not come holds the socket")
        asked = f"{post}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode()
        with contextlib.closing(socket.create_connection(("127.0.0.1", port), 5)) as sock:
            sock.sendall(asked)
            assert sock.recv(1000).startswith(b"HTTP/1.1 100 "), "no word to go on"
            sock.sendall(b"hello")
            assert b" 405 " in sock.recv(1000)
        too_much = f"{post}Content-Length: 5000\r\nExpect: 100-continue\r\n\r\n".encode()
        assert ask(port, too_much)[0].status == 413


def test_http_2_is_refused_on_a_kept_connection_too(build, folder):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
    with Alone(folder, build) as alone:
        raw, closed = exchange(alone.port, get("/health") + preface, 2)
        assert closed and raw.count(b" 200 OK") == 1 and b"\0\0\0\x04" not in raw, raw
        answers = ask(alone.port, get("/health", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                      "HTTP2-Settings: AAMAAABk"))
        assert [a.status for a in answers] == [200], answers


def user_of(alone, path, **headers):
    client = RawSocket(alone.port, path, headers=headers)
    opcode, payload = client.recv()
    client.close()
    return int.from_bytes(payload[:2], "big") if opcode == 8 else payload


def test_users_in_paths(build, folder):
    long = "x" * 254
    with Alone(folder, build) as alone:
        def token(user):
            return f"?token={jwt.user(SECRET, user)}"
        for user, path in (("a b", "/ws/a%20b"), ("a/b", "/ws/a%2Fb"), ("a/b", "/ws/a/b"), ("ä", "/ws/%C3%A4"), ("a+b", "/ws/a+b"),
                           ("a%b", "/ws/a%25b"), ("?", "/ws/%3f"), (long, f"/ws/{long}"), ("1", "/ws/1")):
            got = user_of(alone, path + token(user))
            assert b'"connected"' in got, (user, path, got)
        assert b'"user_id":7,' in user_of(alone, "/ws/7" + token(7))
        for path in (f"/ws/{long}x", "/ws/A", "/ws/%61b", "/ws/a%2561"):
            assert user_of(alone, path + token("a")) == 4002, path
        for path in ("/ws/", "/ws/%", "/ws/%4", "/ws/%zz", "/ws/%00", "/ws/a%00"):
            with contextlib.suppress(Refused):
                raise AssertionError((path, user_of(alone, path + token("a"))))
            answer = request(alone.port, path, headers={"Connection": "Upgrade"})
            assert answer.status in (400, 426), (path, answer)
        # a token in the query that is no text does not let another source in its place
        assert user_of(alone, "/ws?token=%zz", Authorization=f"Bearer {jwt.user(SECRET, 'a')}") == 4001


def test_addresses_behind_proxies(build, folder):
    """A proxy may add a header line of its own behind one that the client invented: only the last entry is the proxy's."""
    with Alone(folder, build, MAX_CONNECTIONS_PER_IP="1", TRUSTED_PROXIES="127.0.0.1") as alone:
        def connect(*forwarded):
            lines = b"".join(f"X-Forwarded-For: {value}\r\n".encode() for value in forwarded)
            sock = socket.create_connection(("127.0.0.1", alone.port), 5)
            sock.sendall(upgrade_head(alone.port, alone.path())[:-2] + lines + b"\r\n")
            status = Response(sock.recv(4096)).status
            return sock, status
        first, status = connect("9.9.9.9")
        assert status == 101
        for forged in (("1.1.1.1", "9.9.9.9"), ("1.1.1.1, 2.2.2.2", "9.9.9.9"), ("1.1.1.1, 9.9.9.9",)):
            sock, status = connect(*forged)
            assert status == 429, forged
            sock.close()
        sock, status = connect("9.9.9.9", "1.1.1.1")
        assert status == 101
        for sock in (first, sock):
            sock.close()


def test_the_cap_of_a_process_holds_in_a_burst(build, folder):
    with Alone(folder, build, MAX_CONNECTIONS="8", WORKERS="3") as alone:
        socks = [socket.create_connection(("127.0.0.1", alone.port), 5) for _ in range(40)]
        for sock in socks:
            sock.sendall(upgrade_head(alone.port, alone.path()))
        answers = [Response(sock.recv(4096)) for sock in socks]
        statuses = [answer.status for answer in answers]
        assert (statuses.count(101), statuses.count(503)) == (8, 32), statuses
        for sock in socks:
            sock.close()
        wait_until(lambda: alone.gateway.metric("websocket_connections_total") == 0, 10, "all are gone")
        alone.connect().close()


def test_a_client_that_does_not_take_its_answers_is_cut(build, folder):
    with Alone(folder, build, ANSWER_TIMEOUT="1s", ADMISSION_WAIT="500ms") as alone:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", alone.port))
        sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            while True:  # until the gateway, full, reads no more
                sock.sendall(get("/demo/demo.js") * 50)
        wait_until(lambda: (alone.gateway.metric("tidegate_gateway_http_refused_total", reason="answer_timeout") or 0) == 1,
                   5, "cut")
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_sockets") <= 1, 5, "closed")
        sock.close()


def test_going_down_does_not_wait_for_idle_http(build, folder):
    with Alone(folder, build, HEAD_TIMEOUT="60s") as alone:
        kept = [socket.create_connection(("127.0.0.1", alone.port), 5) for _ in range(5)]
        for sock in kept[:3]:
            sock.sendall(get("/health"))
            assert b" 200 " in sock.recv(4096)
        kept[3].sendall(b"GET /hea")
        assert alone.gateway.stop(40) == 0, "it waited for them"
        for sock in kept:
            sock.close()

"""HTTP that the gateway refuses: status, and the connection closed where the rest of it cannot be trusted."""

from lib.wire import Response, exchange, request, upgrade_head

GOOD = "GET /health HTTP/1.1\r\nHost: a\r\n"


def ask(cluster, text, seconds=10, first=10):
    data = text.encode("latin-1") if isinstance(text, str) else text
    raw, closed = exchange(cluster.gateways[0].port, data, seconds, first)
    return Response(raw), closed


def test_unknown_paths_and_methods(cluster):
    port = cluster.gateways[0].port
    for path in ("/", "/nothing", "/wss", "/health/x", "/echo"):
        assert request(port, path).status == 404, path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = request(port, "/health", method=method)
        assert answer.status == 405 and "GET" in answer.headers.get("allow", ""), (method, answer)
    assert request(port, "/ws", method="POST").status == 405


def test_bad_upgrades(cluster):
    port, token = cluster.gateways[0].port, cluster.token("u")
    path = f"/ws?token={token}"

    def status(**how):
        return ask(cluster, upgrade_head(port, path, **how), 1)[0]

    assert status().status == 101
    for version in ("7", "8", "12", "14", "x", ""):
        answer = status(version=version)
        assert answer.status == 426 and answer.headers["sec-websocket-version"] == "13", (version, answer)
    assert status(headers={"Sec-WebSocket-Version": None}).status in (400, 426)
    for key in ("", "short", "!" * 24, "A" * 24, "A" * 23 + "=", "dGhlIHNhbXBsZSBub25jZQ==x"):
        assert status(headers={"Sec-WebSocket-Key": key or None}).status == 400, key
    assert status(headers={"Upgrade": None}).status in (400, 426)
    assert status(headers={"Upgrade": "h2c"}).status in (400, 426)
    assert status(headers={"Connection": "keep-alive"}).status in (400, 426)
    old = upgrade_head(port, path).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert ask(cluster, old, 1)[0].status in (400, 426, 505)
    with_body = upgrade_head(port, path, headers={"Content-Length": "5"}) + b"hello"
    assert ask(cluster, with_body, 1)[0].status == 400


def test_heads_that_lie_about_the_body(cluster):
    second = "GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"
    post = "POST /health HTTP/1.1\r\nHost: a\r\n"
    for name, head in {
        "two lengths": post + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        "two equal lengths": post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "a list of lengths": post + "Content-Length: 0, 5\r\n\r\n",
        "length and chunks": post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunks and length": post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "a signed length": post + "Content-Length: +5\r\n\r\n",
        "a negative length": post + "Content-Length: -5\r\n\r\n",
        "a length of letters": post + "Content-Length: 0x5\r\n\r\n",
        "a strange coding": post + "Transfer-Encoding: xchunked\r\n\r\n",
        "space before the colon": post + "Content-Length : 0\r\n\r\n",
        "a NUL in a value": GOOD + "X: a\0b\r\n\r\n",
    }.items():
        answer, closed = ask(cluster, head + second, 3)
        assert answer.status == 400 and closed, (name, answer, closed)
        assert answer.raw.count(b"HTTP/1.1 ") == 1, (name, answer.raw)


def test_the_same_on_a_connection_that_is_kept(cluster):
    answer, closed = ask(cluster, GOOD + "\r\n" + "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                         "Content-Length: 5\r\n\r\nGET /ready HTTP/1.1\r\nHost: a\r\n\r\n", 3)
    statuses = [part.split(b" ")[0] for part in answer.raw.split(b"HTTP/1.1 ")[1:]]
    assert closed and statuses == [b"200", b"400"], answer.raw


def test_http_2_is_off(cluster):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
    raw, closed = exchange(cluster.gateways[0].port, preface, 3)
    assert closed and not raw.startswith(b"\0") and b"\0\0\0\x04" not in raw, raw
    answer, _ = ask(cluster, GOOD + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
                    1)
    assert answer.status == 200, answer


def test_heads_too_large(cluster):
    answer, closed = ask(cluster, GOOD + "X: " + "a" * 20000 + "\r\n\r\n", 5)
    assert answer.status == 431 and closed, answer
    answer, closed = ask(cluster, "GET /" + "a" * 20000 + " HTTP/1.1\r\n", 5)
    assert answer.status in (414, 431) and closed, answer


def test_slow_heads(new_cluster):
    cluster = new_cluster(routers=1, gateway={"HEAD_TIMEOUT": "1s"})
    for text in ("", "GET /health HT", GOOD):
        answer, closed = ask(cluster, text, 9, 9)
        assert closed, text
        assert answer.status == 408 or (text == "" and answer.status is None), (text, answer)


def test_bodies_too_large(cluster):
    answer, _ = ask(cluster, "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 3)
    assert answer.status in (405, 413), answer


def test_garbage(cluster):
    for text in ("\r\n\r\n\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "GET / HTTP/9.9\r\n\r\n",
                 "\0" * 100 + "\r\n\r\n", "GET /health\r\n\r\n"):
        answer, _ = ask(cluster, text, 1, 1)
        assert answer.status in (400, 404, 505, None), (text, answer)
    assert cluster.gateways[0].ready()


def test_refusals_are_counted(cluster):
    def count():
        page = cluster.gateways[0].get("/metrics").body.decode()
        return sum(float(line.split()[-1]) for line in page.splitlines()
                   if line.startswith("tidegate_gateway_") and "refus" in line.split("{")[0])
    before = count()
    assert request(cluster.gateways[0].port, "/nothing").status == 404
    ask(cluster, GOOD + "X: " + "a" * 20000 + "\r\n\r\n", 5)
    assert count() >= before + 1

"""Who may come in: good tokens by every way, bad tokens of every kind."""

import hashlib
import time

from websockets.exceptions import InvalidStatus

from lib import jwt
from lib.clients import Client
from lib.cluster import SECRET, task
from lib.wire import RawSocket, Refused, request


def bad_tokens():
    """name -> a token that must not open anything."""
    now = int(time.time())
    good = jwt.user(SECRET, "u")
    head, body, signature = good.split(".")
    admin = jwt.b64(b'{"sub":"admin"}')
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    return {
        "missing": None,
        "empty": "",
        "not a token": "abc",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "no signature": f"{head}.{body}.",
        "changed signature": f"{head}.{body}.{flipped}",
        "changed claims": f"{head}.{admin}.{signature}",
        "another key": jwt.user("another-secret-0123456789abcdef0123", "u"),
        "alg none": jwt.unsigned({"sub": "u"}),
        "alg none, signed": jwt.token(SECRET, {"sub": "u"}, alg="none"),
        "alg HS512": jwt.token(SECRET, {"sub": "u"}, alg="HS512", digest=hashlib.sha512),
        "alg RS256": jwt.token(SECRET, {"sub": "u"}, alg="RS256"),
        "no alg": jwt.token(SECRET, {"sub": "u"}, header={"typ": "JWT"}),
        "unknown crit": jwt.token(SECRET, {"sub": "u"}, header={"alg": "HS256", "crit": ["x"], "x": 1}),
        "expired": jwt.token(SECRET, {"sub": "u", "exp": now - 60}),
        "not yet": jwt.token(SECRET, {"sub": "u", "nbf": now + 600}),
        "exp as text": jwt.token(SECRET, {"sub": "u", "exp": "tomorrow"}),
        "no user": jwt.token(SECRET, {"exp": now + 600}),
        "user is an object": jwt.token(SECRET, {"sub": {"id": 1}}),
        "user is empty": jwt.token(SECRET, {"sub": ""}),
        "user is true": jwt.token(SECRET, {"sub": True}),
        "user has a line feed": jwt.token(SECRET, {"sub": "a\nb"}),
        "user is too long": jwt.token(SECRET, {"sub": "x" * 300}),
        "claims are no object": jwt.token(SECRET, ["sub"]),
        "not base64": f"{head}.!!!!.{signature}",
        "padding in the header": f"A=AA.{body}.{signature}",
        "padding in the claims": f"{head}.A=AA.{signature}",
        "padding in the signature": f"{head}.{body}.A=AA",
        "long": "x" * 8000,
    }


def query(token):
    return "/ws" if token is None else f"/ws?token={token}"


def test_bad_tokens_close_with_4001(cluster):
    port = cluster.gateways[0].port
    for name, token in bad_tokens().items():
        code, reason = RawSocket(port, query(token)).close_code()
        assert code == 4001 and reason, (name, code, reason)
    assert cluster.gateways[0].metric("websocket_disconnections_total") >= len(bad_tokens())


def test_bad_tokens_by_http_status(new_cluster):
    cluster = new_cluster(gateway={"AUTH_FAILURE": "http"}, routers=1)
    for name, token in bad_tokens().items():
        try:
            RawSocket(cluster.gateways[0].port, query(token))
            raise AssertionError(f"{name} was let in")
        except Refused as refused:
            assert refused.response.status == 401, (name, refused.response)
    try:
        RawSocket(cluster.gateways[0].port, f"/ws/somebody?token={cluster.token('u')}")
        raise AssertionError("another user's path was let in")
    except Refused as refused:
        assert refused.response.status == 403, refused.response


def test_the_close_code_of_a_profile(new_cluster):
    cluster = new_cluster(gateway={"PROFILE": "notisync"}, routers=1)
    assert RawSocket(cluster.gateways[0].port, "/ws?token=bad").close_code()[0] == 1008


def test_every_way_to_bring_a_token(cluster):
    user = cluster.user()
    token = cluster.token(user)
    base = f"ws://127.0.0.1:{cluster.gateways[0].port}"
    ways = [
        Client(f"{base}/ws?token={token}"),
        Client(f"{base}/ws?a=b&token={token}&c"),
        Client(f"{base}/ws", headers={"Authorization": f"Bearer {token}"}),
        Client(f"{base}/ws", headers={"authorization": f"bearer {token}"}),
        Client(f"{base}/ws", protocols=["tidegate.v1.json", f"bearer.{token}"]),
        Client(f"{base}/ws/{user}?token={token}"),
        Client(f"{base}/ws/{user.replace('u', '%75')}?token={token}"),
    ]
    cluster.clients += ways
    for client in ways:
        assert client.welcome()["user_id"] == user
    assert ways[4].ws.subprotocol == "tidegate.v1.json"
    cluster.produce(user, task(user, 1))
    for client in ways:
        client.tasks(1)


def test_the_path_must_be_the_token_s_user(cluster):
    port, token = cluster.gateways[0].port, cluster.token("alice")
    assert RawSocket(port, f"/ws/bob?token={token}").close_code()[0] == 4002
    for path in ("/ws/%zz", "/ws/%", "/ws/%4"):
        try:
            RawSocket(port, f"{path}?token={token}")
            raise AssertionError(f"{path} was let in")
        except Refused as refused:
            assert refused.response.status == 400, (path, refused.response)
    assert RawSocket(port, f"/ws/%2561lice?token={token}").close_code()[0] == 4002  # decoded once only


def test_claims_in_their_order(cluster):
    port = cluster.gateways[0].port
    for claims, user in (({"sub": "a", "user_id": "b"}, "a"), ({"user_id": 7, "userId": "c"}, 7), ({"userId": "c"}, "c")):
        client = Client(f"ws://127.0.0.1:{port}/ws?token={jwt.token(SECRET, claims)}")
        cluster.clients.append(client)
        assert client.welcome()["user_id"] == user


def test_issuer_audience_and_expiry_when_asked_for(new_cluster):
    cluster = new_cluster(routers=1, gateway={"JWT_ISSUER": "me", "JWT_AUDIENCE": "app", "JWT_REQUIRE_EXP": "1"})
    good = {"sub": "u", "iss": "me", "aud": ["other", "app"], "exp": int(time.time()) + 600}
    port = cluster.gateways[0].port

    def code(**changes):
        claims = {name: value for name, value in {**good, **changes}.items() if value is not None}
        socket = RawSocket(port, query(jwt.token(SECRET, claims)))
        opcode, payload = socket.recv()
        return int.from_bytes(payload[:2], "big") if opcode == 8 else None

    assert code() is None and code(aud="app") is None
    assert {code(iss="you"), code(iss=None), code(aud="x"), code(aud=None), code(exp=None)} == {4001}


def test_a_token_that_runs_out_closes_the_connection(new_cluster):
    cluster = new_cluster(routers=1, gateways=1, gateway={"HEARTBEAT_INTERVAL": "500ms"})
    client = cluster.connect("u", token=jwt.user(SECRET, "u", seconds=2))
    assert client.close_code(8)[0] == 4003


def test_no_token_in_any_log(cluster):
    user = cluster.user()
    token = cluster.token(user)
    cluster.connect(user, token=token)
    bad = jwt.user("another-secret-0123456789abcdef0123", user)
    RawSocket(cluster.gateways[0].port, query(bad)).close_code()
    request(cluster.gateways[0].port, f"/stats?token={token}", headers={"Authorization": f"Bearer {token}"})
    for program in cluster.programs:
        log = program.proc.log()
        for part in (*token.split(".")[1:], *bad.split(".")[1:], SECRET):
            assert part not in log, f"{program.proc.name} logged a part of a token"


def test_origins(new_cluster):
    cluster = new_cluster(routers=1, gateway={"ALLOWED_ORIGINS": "https://app.example,http://localhost:3000"})
    url = f"ws://127.0.0.1:{cluster.gateways[0].port}/ws?token={cluster.token('u')}"
    Client(url, origin="https://app.example").welcome()
    Client(url).welcome()
    for origin in ("https://evil.example", "https://app.example.evil", "null", "http://app.example"):
        try:
            Client(url, origin=origin)
            raise AssertionError(f"{origin} was let in")
        except InvalidStatus as refused:
            assert refused.response.status_code == 403, refused.response
    allowed = request(cluster.gateways[0].port, "/health", headers={"Origin": "https://app.example"})
    assert allowed.headers.get("access-control-allow-origin") == "https://app.example", allowed
    other = request(cluster.gateways[0].port, "/health", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers, other

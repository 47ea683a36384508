"""What clients say and hear apart from events."""

from lib.wire import PING, TEXT, RawSocket, frame


def test_welcome_keeps_the_type_of_the_user_id(cluster):
    for user in (1, "1", "user-1"):
        client = cluster.connect(user, welcome=False)
        message = client.recv()
        quoted = f'"{user}"' if isinstance(user, str) else user
        expected = f'{{"type":"connected","user_id":{quoted},"message":"WebSocket connection established"'
        assert message["_text"].startswith(expected), message


def test_pings(cluster):
    client = cluster.connect(cluster.user())
    client.send('{"type":"ping"}')
    assert client.recv()["_text"] == '{"type":"pong"}'
    client.send('{"type":"ping","timestamp":"2026-01-03T10:00:00Z","data":{"n":[1.10,null]}}')
    message = client.recv()
    assert message["type"] == "pong" and message["timestamp"] == "2026-01-03T10:00:00Z", message
    assert '"n":[1.10,null]' in message["_text"], message


def test_a_pong_is_answered_by_nothing(cluster):
    client = cluster.connect(cluster.user())
    client.send('{"type":"pong","anything":1}')
    client.quiet(0.3)


def test_what_nobody_understands_is_answered(cluster):
    client = cluster.connect(cluster.user())
    for text in ("", "{", "[]", "1", '"ping"', "null", "{}", '{"type":1}', '{"type":"nonsense"}', '{"type":"ping"} x',
                 '{"type":"task_update"}', '{"type":null}', "[" * 60, '{"type":"connected"}'):
        client.send(text)
        message = client.recv()
        assert message["type"] == "error" and message["code"] and message["message"], (text, message)
    client.send(b"\x00\x01\xff")
    assert client.recv()["type"] == "error"
    client.send('{"type":"ping"}')
    assert client.recv()["type"] == "pong"


def test_heartbeats(new_cluster):
    cluster = new_cluster(gateway={"HEARTBEAT_INTERVAL": "500ms", "IDLE_PING": "500ms", "CONNECTION_TIMEOUT": "2s"})
    user = cluster.user()
    gateway, path = cluster.gateways[0], f"/ws?token={cluster.token(user)}"
    lively, silent = (RawSocket(gateway.port, path) for _ in range(2))
    seen = {"text": 0, "protocol": 0}
    while seen["text"] < 3 or seen["protocol"] < 1 or gateway.metric("websocket_connections_total") > 1:
        opcode, payload = lively.recv()
        if opcode == PING:
            seen["protocol"] += 1
            lively.send(frame(10, payload))
        elif opcode == TEXT and b'"ping"' in payload:
            assert payload == b'{"type":"ping","timestamp":null}', payload
            seen["text"] += 1
    assert silent.close_code()[0] in (1001, None)
    lively.send(frame(TEXT, '{"type":"ping"}'))
    while (got := lively.recv())[1] != b'{"type":"pong"}':
        assert got[0] != 8, got

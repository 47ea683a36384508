"""WebSocket frames that break the rules, on the wire, while a healthy socket of the same user looks on."""

from lib.wire import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame


def connect(cluster, user=None):
    socket = RawSocket(cluster.gateways[0].port, f"/ws?token={cluster.token(user or cluster.user())}")
    assert socket.recv_json()["type"] == "connected"
    return socket


def codes(cluster, cases):
    """Sends each case on a socket of its own and returns name -> close code."""
    got = {}
    for name, data in cases.items():
        socket = connect(cluster)
        socket.send(data)
        got[name] = socket.close_code(5)[0]
        assert socket.recv(5) is None, f"{name}: bytes or an open connection after the close frame"
    return got


def all_are(code, got):
    wrong = {name: found for name, found in got.items() if found != code}
    assert not wrong, f"expected {code}: {wrong}"


def test_protocol_errors(cluster):
    user = cluster.user()
    healthy = cluster.connect(user)
    all_are(1002, codes(cluster, {
        "not masked": frame(TEXT, '{"type":"ping"}', masked=False),
        **{f"reserved bit {bit}": frame(TEXT, "a", rsv=bit) for bit in (1, 2, 4)},
        **{f"opcode {opcode}": frame(opcode, "a") for opcode in (3, 7, 11, 15)},
        "fragmented ping": frame(PING, "a", fin=False),
        "long ping": frame(PING, "a" * 126),
        "continuation of nothing": frame(0, "a"),
        "text within text": frame(TEXT, "a", fin=False) + frame(TEXT, "b"),
        "length in 16 bits too long a form": frame(TEXT, "a", length_form=16),
        "length in 64 bits too long a form": frame(TEXT, "a", length_form=64),
        "length beyond 63 bits": b"\x81\xff" + b"\xff" * 8 + b"\0" * 4,
        "close with one byte": frame(CLOSE, b"\x03"),
        **{f"close code {code}": frame(CLOSE, code.to_bytes(2, "big")) for code in (0, 999, 1004, 1005, 1006, 1015, 1016,
                                                                                   2999, 5000, 65535)},
    }))
    assert healthy.open()


def test_invalid_utf8(cluster):
    bad = {"latin-1": b"\xe4", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80", "beyond": b"\xf4\x90\x80\x80",
           "cut off": b"\xe2\x82"}
    all_are(1007, codes(cluster, {
        **{name: frame(TEXT, text) for name, text in bad.items()},
        **{f"{name}, fragmented": frame(TEXT, text[:1], fin=False) + frame(0, text[1:]) for name, text in bad.items()},
        "in a close reason": frame(CLOSE, b"\x03\xe8\xff"),
    }))


def test_messages_too_big(cluster):
    limit = 65536
    all_are(1009, codes(cluster, {
        "one frame": frame(TEXT, "a" * (limit + 1)),
        "only its head": frame(TEXT, "a" * (limit + 1))[:14],
        "a head that promises an exabyte": b"\x81\xff" + (1 << 60).to_bytes(8, "big") + b"\0" * 4,
        "in fragments": b"".join([frame(TEXT, "a" * 20000, fin=False), *[frame(0, "a" * 20000, fin=False)] * 4]),
    }))
    socket = connect(cluster)
    socket.send(frame(TEXT, "a" * limit))
    assert socket.recv_json()["type"] == "error"


def test_allowed_oddities(cluster):
    socket = connect(cluster)
    ping = '{"type":"ping"}'
    for at in range(1, len(ping)):  # a control frame between any two fragments
        socket.send(frame(TEXT, ping[:at], fin=False) + frame(PING, "x") + frame(0, ping[at:]))
        assert socket.recv() == (PONG, b"x")
        assert socket.recv() == (TEXT, b'{"type":"pong"}')
    for byte in frame(TEXT, ping):  # one byte a packet
        socket.send(bytes([byte]))
    assert socket.recv() == (TEXT, b'{"type":"pong"}')
    socket.send(frame(TEXT, ping) * 50)  # many frames in one packet
    for _ in range(50):
        assert socket.recv() == (TEXT, b'{"type":"pong"}')
    socket.send(frame(PONG, "nobody asked") + frame(TEXT, "", fin=False) + frame(0, "", fin=False) + frame(0, ping))
    assert socket.recv() == (TEXT, b'{"type":"pong"}')


def test_closing(cluster):
    for payload, answer in ((b"", {1000, 1005}), (b"\x03\xe8", {1000}), (b"\x03\xe8bye", {1000}), (b"\x0f\xa0", {4000, 1000}),
                            (b"\x03\xf3", {1011, 1000})):
        socket = connect(cluster)
        socket.send(frame(CLOSE, payload) + frame(TEXT, '{"type":"ping"}'))
        assert socket.close_code()[0] in answer, payload
        assert socket.recv(5) is None


def test_first_frame_in_the_packet_of_the_head(cluster):
    socket = RawSocket(cluster.gateways[0].port, f"/ws?token={cluster.token(cluster.user())}")
    socket.send(frame(BINARY, b"\0"))
    assert socket.recv_json()["type"] == "connected"
    assert socket.recv_json()["type"] == "error"

"""The load tools count exactly and say why when something fails: what is measured with them is only as good as that."""

import json
import re
import socket
import subprocess
import threading
import time

from lib.ports import free_port
from lib.proc import Proc


def swarm(build, *words):
    """(exit status, result) of a whole run."""
    done = subprocess.run([build / "loadtest/swarm", "--json", "--quiet", *map(str, words)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def start_floor(build, folder, port, *words):
    floor = Proc("floor", [build / "loadtest/floor", "--port", port, *words], folder).start()
    return floor.wait_ready(lambda: "listening" in floor.log())


def test_every_message_is_counted_once(build, folder):
    port = free_port()
    floor = start_floor(build, folder, port, "--conns", 300, "--rounds", 20, "--burst", 3, "--rate", 50)
    status, result = swarm(build, "--target", f"127.0.0.1:{port}", "--sockets", 300, "--processes", 3, "--seconds", 30,
                           "--messages", 18000)
    assert floor.wait_exit() == 0, floor.tail()
    assert json.loads(re.findall(r"^\{.*\}$", floor.log(), re.M)[0])["messages"] == 18000
    assert status == 0 and result["messages"] == 18000 and result["bytes"] == 18000 * 500, result
    assert result["connected"] == 300 and result["failed"] == result["lost"] == 0, result
    assert result["latency_ms"]["count"] == 18000 and 0 < result["latency_ms"]["p50"] < 10000, result


def test_sockets_that_are_cut_off_are_lost_with_their_code(build, folder):
    port = free_port()
    floor = start_floor(build, folder, port, "--conns", 20, "--rounds", 1)
    status, result = swarm(build, "--target", f"127.0.0.1:{port}", "--sockets", 20, "--seconds", 30)
    assert floor.wait_exit() == 0, floor.tail()
    assert status == 1 and result["lost"] == 20 and result["close_codes"] == {"1006": 20}, result


ANSWER = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def drip(listener, heard):
    """Serves one client a byte at a time: welcome, a message, a ping, and a goodbye once the pong has come."""
    client, _ = listener.accept()
    client.settimeout(10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    heard.append(client.recv(4096))

    def say(data):
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(0.001)

    message = b'{"type":"task_update","sent_us":%d,"fill":"%s"}' % (time.time() * 1e6, b"x" * 100)
    say(ANSWER + b"\x81\x14" + b'{"type":"connected"}')
    say(b"\x81\x7e" + len(message).to_bytes(2, "big") + message + b"\x89\x02hi")
    heard.append(client.recv(4096))
    say(b"\x88\x02" + (4008).to_bytes(2, "big"))
    heard.append(client.recv(4096))
    client.close()


def test_frames_that_come_byte_by_byte(build):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=drip, args=(listener, heard), daemon=True)
        server.start()
        status, result = swarm(build, "--target", f"127.0.0.1:{listener.getsockname()[1]}", "--sockets", 1)
        server.join(10)
    assert status == 1 and result["welcomed"] == result["messages"] == result["notices"] == 1, result
    assert result["latency_ms"]["count"] == 1 and result["close_codes"] == {"4008": 1}, result
    mask = heard[1][2:6]
    assert heard[1][:2] == b"\x8a\x82" and bytes(a ^ b for a, b in zip(heard[1][6:], mask)) == b"hi", heard
    assert heard[2][:2] == b"\x88\x82", heard


def test_nobody_listens(build):
    status, result = swarm(build, "--target", f"127.0.0.1:{free_port()}", "--sockets", 10)
    assert status == 1 and result["failed"] == 10 and result["errors"] == {"ECONNREFUSED": 10}, result


def test_bad_options_are_refused_with_a_sentence(build):
    for words, sentence in ((["--target", "nowhere"], "is not host:port"), (["--sockets", "x"], "wants a whole number"),
                            (["--bogus"], "there is no option --bogus")):
        status, text = swarm(build, *words)
        assert status == 2 and sentence in text, text

"""WebSocket clients that nobody here wrote: Python's websockets (the tests' everyday one), websocat and npm's ws."""

import json
import subprocess
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from lib import tools


class Client:
    """Python's websockets with JSON on top. Heartbeats of the server are passed over."""

    def __init__(self, url, headers=None, protocols=None, origin=None, **more):
        self.ws = connect(url, additional_headers=headers, subprotocols=protocols, origin=origin, proxy=None,
                          ping_interval=None, open_timeout=20, close_timeout=5, max_size=None, max_queue=None,
                          **more)
        self.seen = []

    def send(self, message):
        self.ws.send(message if isinstance(message, (str, bytes)) else json.dumps(message, separators=(",", ":")))

    def recv(self, seconds=10):
        """The next message that is no heartbeat. TimeoutError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            text = self.ws.recv(timeout=max(0.001, deadline - time.monotonic()))
            message = json.loads(text)
            if message.get("type") != "ping":
                self.seen.append(message)
                message["_at"] = time.time()
                message["_text"] = text
                return message

    def welcome(self):
        message = self.recv()
        assert message["type"] == "connected", message
        return message

    def tasks(self, count, seconds=20):
        """The next `count` task updates, in order of arrival."""
        got = []
        deadline = time.monotonic() + seconds
        while len(got) < count:
            try:
                message = self.recv(max(0.001, deadline - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"{len(got)} of {count} task updates came in {seconds} s") from None
            assert message["type"] == "task_update", message
            got.append(message)
        return got

    def quiet(self, seconds=1.0):
        """Nothing but heartbeats for that long."""
        try:
            message = self.recv(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {message}")

    def close_code(self, seconds=10):
        """(code, reason) of the close that the server sends; messages before it land in .seen."""
        try:
            while True:
                self.recv(seconds)
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")

    def open(self):
        """Whether a round trip still works."""
        try:
            return self.ws.ping().wait(10)
        except ConnectionClosed:
            return False

    def close(self):
        self.ws.close()


class Lines:
    """A program that prints one message a line."""

    def __init__(self, argv, env=None):
        self.child = subprocess.Popen([str(word) for word in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True, env=env)

    def send(self, message):
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()

    def recv(self):
        line = self.child.stdout.readline()
        assert line, f"{self.child.args[0]} ended with status {self.child.wait()}"
        return json.loads(line)

    def close(self):
        self.child.kill()
        self.child.communicate()


def websocat(url, *options):
    return Lines([tools.path("websocat"), "-t", "--exit-on-eof", "-B", "1000000", *options, url])


WS_JS = """
const WebSocket = require('ws');
const [url, options] = [process.argv[1], JSON.parse(process.argv[2])];
const ws = new WebSocket(url, options.protocols || [], {perMessageDeflate: false, headers: options.headers});
const say = (object) => console.log(JSON.stringify(object));
ws.on('message', (data) => console.log(data.toString()));
ws.on('pong', (data) => say({pong: data.toString()}));
ws.on('close', (code, reason) => { say({closed: code, reason: reason.toString()}); process.exit(); });
ws.on('open', () => require('readline').createInterface({input: process.stdin}).on('line', (line) => {
  const asked = JSON.parse(line);
  if ('ping_frame' in asked) ws.ping(asked.ping_frame);
  else if ('close_frame' in asked) ws.close(...asked.close_frame);
  else ws.send(line);
}));
"""


def npm_ws(url, **options):
    """`headers` and `protocols`. It sends what it is given, but {"ping_frame": text} and {"close_frame": [code, reason]} are
    frames of that kind; it tells of {"pong": text} and {"closed": code, "reason": text}."""
    return Lines(["env", f"NODE_PATH={tools.path('node')}", "node", "-e", WS_JS, url, json.dumps(options)])

"""The demo page in a real Chromium: from Kafka to what a person sees."""

import contextlib
import json
import re
import signal
import threading
import time
import urllib.parse

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from lib import jwt, kafka
from lib.browser import Browser
from lib.cluster import task
from lib.proc import wait_until
from lib.wire import request

STATES = "['a', 'b'].map((name) => document.querySelector(`#pane-${name} .state`).textContent).join()"
# Keeps every state that a pane shows from now on, with its note, in order.
RECORD = """window.states = {a: [], b: []}, Object.keys(states).forEach((name) => {
  const [state, note] = ['state', 'note'].map((part) => document.querySelector(`#pane-${name} .${part}`));
  new MutationObserver(() => states[name].push([state.textContent, note.textContent])).observe(state, {childList: true});
})"""
TASKS = """[...document.querySelectorAll('#pane-%s .tasks li')].map((row) =>
  ['what', 'title', 'task-id'].map((part) => row.querySelector('.' + part).textContent))"""


def address(port, token=None, **panes):
    """The page at a port; panes are given as a="host:port"."""
    given = {"token": token, **panes} if token else panes
    return f"http://127.0.0.1:{port}/demo/#{urllib.parse.urlencode(given)}"


def show(browser, cluster, user, token=None):
    """The page, from the first gateway, with a pane on each gateway."""
    one, two = (g.port for g in cluster.gateways)
    browser.do("goto", address(one, token or cluster.token(user), b=f"127.0.0.1:{two}"))


def connect(browser, token):
    """Through the form."""
    browser.do("fill", "#token", token)
    browser.do("click", "#connect button")


def text(pane, part):
    return f"document.querySelector('#pane-{pane} .{part}').textContent"


def milliseconds(shown):
    """What the page shows as a duration."""
    number, unit = shown.split()
    return float(number) * {"ms": 1, "s": 1e3, "min": 60e3, "h": 3600e3, "d": 86400e3}[unit]


def gauge(browser, pane, of):
    """Both figures of a gauge, in milliseconds."""
    last, median = (browser.js(text(pane, f"{of} .{part}")) for part in ("last", "median"))
    return milliseconds(last), milliseconds(median.removeprefix("median "))


def titles(browser, pane):
    return [title for _, title, _ in browser.js(TASKS % pane)]


def one_socket_each(cluster):
    wait_until(lambda: [g.metric("websocket_connections_total") for g in cluster.gateways] == [1, 1], 5,
               "one socket on each gateway")


def event_in_both_panes(cluster, browser):
    """Two gateways, a pane on each, two events. Returns the user."""
    user = cluster.user()
    show(browser, cluster, user)
    browser.wait(STATES, "connected,connected")
    one_socket_each(cluster)
    cluster.produce(user, task(user, 1), task(user, 2))
    for pane in "ab":
        browser.wait(TASKS % pane, [["created", "task 2", "2"], ["created", "task 1", "1"]])
    return user


def test_an_event_appears_in_both_panes(cluster):
    with Browser() as browser:
        user = event_in_both_panes(cluster, browser)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        cluster.produce(user, task(user, 1, "update", task_snapshot={"id": 1, "title": "another title"}),
                        task(user, 2, "delete", task_snapshot=None, timestamp=now))
        for pane in "ab":
            browser.wait(TASKS % pane, [["deleted", "task 2", "2"], ["updated", "another title", "1"]])
            assert browser.js(text(pane, "events")) == "4"
            assert browser.js(text(pane, "note")) == f"As user {user}"
            for of in ("redis", "trip"):
                assert all(0 <= ms < 20e3 for ms in gauge(browser, pane, of)), of
            last, median = gauge(browser, pane, "whole")
            assert 0 <= last < 20e3 < median, (last, median)  # but for the last, these events are old
        assert browser.errors() == []


def test_an_event_of_the_embedded_kafka(new_cluster, build, folder):
    broker = kafka.Embedded(folder, build / "tidegate-router").start()
    cluster = new_cluster(kafka=broker)
    with Browser() as browser:
        event_in_both_panes(cluster, browser)
        assert browser.errors() == []
    broker.stop()


def test_both_panes_through_the_balancer(cluster):
    user = cluster.user()
    with Browser() as browser:
        browser.do("goto", address(cluster.balancer.port, cluster.token(user)))
        browser.wait(STATES, "connected,connected")
        one_socket_each(cluster)
        cluster.produce(user, task(user, 1))
        for pane in "ab":
            browser.wait(text(pane, "events"), "1")
        assert browser.errors() == []


def test_the_form_connects_and_disconnects(cluster):
    user = cluster.user()
    with Browser() as browser:
        browser.do("goto", address(cluster.gateways[0].port, b=f"127.0.0.1:{cluster.gateways[1].port}"))
        assert browser.js(STATES) == "offline,offline"
        connect(browser, cluster.token(user))
        browser.wait(STATES, "connected,connected")
        cluster.produce(user, task(user, 1))
        browser.wait(text("b", "events"), "1")
        browser.do("click", "#disconnect")
        assert browser.js(STATES) == "offline,offline"
        connect(browser, cluster.token(cluster.user()))
        browser.wait(STATES, "connected,connected")
        assert titles(browser, "a") == titles(browser, "b") == [], "one user's tasks are shown to another"
        assert browser.errors() == []


def test_a_gateway_killed_and_started_again(new_cluster):
    cluster = new_cluster()
    user = cluster.user()
    gateway = cluster.gateways[1]
    with Browser() as browser:
        browser.do("goto", address(cluster.gateways[0].port, b=f"127.0.0.1:{gateway.port}"))
        browser.js(RECORD)
        connect(browser, cluster.token(user))
        browser.wait(STATES, "connected,connected")
        assert browser.errors() == []
        gateway.kill()
        browser.wait(STATES, "connected,offline")
        gateway.start()
        browser.wait(STATES, "connected,connected", 30)
        cluster.produce(user, task(user, 1))
        for pane in "ab":
            browser.wait(f"({TASKS % pane}).length", 1)
        states = {name: [state for state, _ in seen] for name, seen in browser.js("states").items()}
        assert states["a"] == ["connecting", "connected"], states
        tries = (len(states["b"]) - 3) // 2  # those that met nobody end offline
        assert states["b"] == ["connecting", "connected", *["offline", "connecting"] * tries, "connected"], states
        note = next(note for state, note in browser.js("states.b") if state == "offline")
        assert note.startswith("Closed with 1006. Next try in "), note
        # a browser complains of connections refused, whatever the page does
        assert [error for error in browser.errors() if "ERR_CONNECTION_REFUSED" not in error] == []


def test_a_gateway_that_goes_says_when_to_return(new_cluster):
    cluster = new_cluster(gateway={"DRAIN_SECONDS": "1"}, routers=1)
    with Browser() as browser:
        browser.do("goto", address(cluster.balancer.port, cluster.token(cluster.user())))
        browser.wait(STATES, "connected,connected")
        browser.js(RECORD)
        for gateway in cluster.gateways:
            gateway.stop()
            gateway.start()
        browser.wait(STATES, "connected,connected")
        notes = [note for seen in browser.js("Object.values(states)") for _, note in seen if note.startswith("Closed with 1001")]
        told = [re.fullmatch(r"Closed with 1001 .*retry=(\d+).*\. Next try in (\S+ m?s)\.", note) for note in notes]
        assert len(told) >= 2 and all(told), notes
        assert all(abs(milliseconds(found[2]) - int(found[1])) < 100 for found in told), notes


def test_a_gateway_that_falls_silent(cluster):
    """Stopped without a word, as a machine without power: the pong that does not come tells."""
    gateway = cluster.gateways[1]
    with Browser() as browser:
        show(browser, cluster, cluster.user())
        browser.wait(STATES, "connected,connected")
        gateway.proc.signal(signal.SIGSTOP)
        try:
            browser.wait(STATES, "connected,offline", 15)
            assert "no pong" in browser.js(text("b", "note"))
        finally:
            gateway.proc.signal(signal.SIGCONT)
        browser.wait(STATES, "connected,connected", 30)


def test_a_bad_token_is_not_tried_again(cluster):
    with Browser() as browser:
        show(browser, cluster, None, jwt.user("another-secret-0123456789abcdef0123", "u"))
        for pane in "ab":
            browser.wait(text(pane, "note"), "Closed with 4001 bad_token. This token is not tried again.")
        assert browser.js(STATES) == "offline,offline"
        time.sleep(1.5)  # a next try would come within half a second
        assert len([r for r in browser.requests() if r.scheme == "ws"]) == 2, browser.requests()
        assert browser.errors() == []


def test_what_may_be_wrong_is_told(new_cluster):
    cluster = new_cluster(gateway={"ALLOWED_ORIGINS": "https://app.example"}, routers=1)
    with Browser() as browser:
        show(browser, cluster, cluster.user())
        browser.wait(f"{text('a', 'note')}.includes('ALLOWED_ORIGINS')")
        browser.do("fill", "#pane-a .address", "127.0.0.1:99999")
        connect(browser, "t")
        browser.wait(f"{text('a', 'note')}.includes('ws://127.0.0.1:99999/ws')")
        assert browser.js(text("a", "state")) == "offline"
        connect(browser, "not a token")
        assert "not a token" in browser.js(text("b", "note"))
        assert browser.js(STATES) == "offline,offline"


def test_titles_are_text(cluster):
    user = cluster.user()
    wild = ["<b>bold</b>", "<img src=x onerror='window.hit=1'>", "<script>window.hit=1</script>", "&lt;&amp;", "\u202egnp.exe",
            "javascript:window.hit=1", "x" * 5000]
    with Browser() as browser:
        show(browser, cluster, user)
        browser.wait(STATES, "connected,connected")
        cluster.produce(user, *[task(user, n, task_snapshot={"id": n, "title": title}) for n, title in enumerate(wild)])
        for pane in "ab":
            browser.wait(f"({TASKS % pane}).length", len(wild))
            assert titles(browser, pane) == wild[::-1]
        assert browser.js("window.hit") is None
        assert browser.js("document.querySelectorAll('.tasks li *:not(span)').length") == 0
        browser.do("size", 360, 700)
        assert browser.js("document.scrollingElement.scrollWidth") == 360, "a long title makes the page too wide"
        assert browser.errors() == []


def test_numbers_stay_as_they_were_written(cluster):
    user = cluster.user()
    big = 123456789012345678
    with Browser() as browser:
        show(browser, cluster, user)
        browser.wait(STATES, "connected,connected")
        cluster.produce(user, task(user, big), task(user, big + 1))
        browser.wait(TASKS % "a", [["created", f"task {n}", str(n)] for n in (big + 1, big)])


def test_the_page_keeps_to_itself(cluster):
    port = cluster.gateways[0].port
    page = request(port, "/demo/")
    head = page.headers
    assert page.status == 200 and head["content-type"] == "text/html; charset=utf-8", page
    assert head["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';"), head
    assert head["x-content-type-options"] == "nosniff" and head["referrer-policy"] == "no-referrer", head
    assert request(port, "/demo").headers["location"] == "/demo/"
    assert request(port, "/demo").status == 301
    assert {request(port, path).status for path in ("/demo/none", "/demo/../web.c", "/demo/demo.js/")} <= {400, 404}
    user = cluster.user()
    with Browser() as browser:
        show(browser, cluster, user)
        browser.wait(STATES, "connected,connected")
        cluster.produce(user, task(user, 1))
        browser.wait(text("a", "events"), "1")
        asked = sorted((r.scheme, r.netloc, r.path, r.query) for r in browser.requests())
        here, there = (f"127.0.0.1:{g.port}" for g in cluster.gateways)
        assert asked == [("http", here, "/demo/", ""), ("http", here, "/demo/demo.css", ""), ("http", here, "/demo/demo.js", ""),
                         *sorted([("ws", here, "/ws", ""), ("ws", there, "/ws", "")])], asked
        assert browser.errors() == []
        # the policy is in force: what somebody might smuggle in does not run
        browser.js("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hit = 1'}))")
        assert browser.js("window.hit") is None
        assert any("Content Security Policy" in error for error in browser.errors())


@contextlib.contextmanager
def stutterer(messages):
    """A server that says everything twice, as an at-least-once delivery may. Gives its address."""
    def say(socket):
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                socket.send(json.dumps(message))
                socket.send(json.dumps(message))
            for _ in socket:
                socket.send('{"type":"pong"}')

    with serve(say, "127.0.0.1", 0, subprotocols=["tidegate.v1.json"]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()


def test_a_repeat_is_shown_once(cluster):
    def update(number, operation, **more):
        return {"type": "task_update", "operation": operation, "event": f"task.{operation}d", "task_id": number,
                "task": {"id": number, "title": f"task {number}"}, "timestamp": "2026-01-03T10:00:00Z",
                "id": f"1767434400000-{number}", "key": f"t#0/0/{number}", **more}

    messages = [{"type": "connected", "user_id": 1, "message": ""}, update(1, "create"), update(2, "create"),
                update(3, "update", task_id=1), {"type": "a type of tomorrow", "list": [None]}, update(4, "delete", task_id=2)]
    with stutterer(messages) as there, Browser() as browser:
        browser.do("goto", address(cluster.gateways[0].port, "t", a=there, b=there))
        for pane in "ab":
            browser.wait(TASKS % pane, [["deleted", "task 4", "2"], ["updated", "task 3", "1"]])
            browser.wait(text(pane, "events"), "4")
        assert browser.errors() == []

"""Going away in order, and coming back not all at once."""

import collections
import concurrent.futures
import re
import signal
import socket
import time

from chaos import ledger
from chaos.load import Devices, Events, routes
from lib.alone import Alone
from lib.cluster import SECRET
from lib.proc import wait_until
from lib.wire import RawSocket, Refused, Response, request, upgrade_head

READY = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"


def refuses(port):
    try:
        request(port, "/health", seconds=1)
        return False
    except ConnectionRefusedError:
        return True


def ask(sock, data):
    sock.sendall(data)
    return Response(sock.recv(65536))


def retry_after(response, most):
    """Whether a refusal says when to come back, within bounds."""
    return response.status == 503 and 1 <= int(response.headers["retry-after"]) <= most


# ---- going ----

def test_clients_are_sent_away_over_the_whole_window(build, folder):
    with Alone(folder, build, count=2, DRAIN_SECONDS="4") as alone:
        leaving = [alone.connect(f"user-{i}") for i in range(40)]
        staying = alone.connect("user-0", 1)
        began = time.monotonic()
        alone.gateway.proc.signal(signal.SIGTERM)
        with concurrent.futures.ThreadPoolExecutor(len(leaving)) as pool:
            def goodbye(client):
                return *client.close_code(20), time.monotonic() - began, client.close()
            goodbyes = list(pool.map(goodbye, leaving))
        assert alone.gateway.proc.wait_exit(20) == 0
        found = [re.fullmatch(r"going_away retry=(\d+)", reason) for _, reason, _, _ in goodbyes]
        assert all(found) and {code for code, *_ in goodbyes} == {1001}, goodbyes
        hints = {int(hint[1]) for hint in found}
        assert max(hints) < 2000 and len(hints) > 20, hints
        times = sorted(at for _, _, at, _ in goodbyes)
        assert times[-1] - times[0] > 1, times
        staying.send_json({"type": "ping"})
        assert staying.recv_json()["type"] == "pong"


def test_while_it_goes_it_is_not_ready_and_takes_nobody(build, folder):
    with Alone(folder, build, DRAIN_SECONDS="10m") as alone:
        port = alone.port
        clients = [alone.connect() for _ in range(20)]
        kept = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        assert all(ask(sock, READY).status == 200 for sock in kept)
        alone.gateway.proc.signal(signal.SIGTERM)
        wait_until(lambda: refuses(port), 20, "the listener is closed")
        assert ask(kept[0], READY).status == 503
        assert retry_after(ask(kept[1], upgrade_head(port, alone.path())), 1)
        page = ask(kept[2], READY.replace(b"ready", b"metrics")).raw
        assert b"\ntidegate_gateway_draining 1\n" in page
        assert b'tidegate_gateway_handshakes_refused_total{reason="draining"} 1\n' in page
        for client in clients:
            client.close()  # with nobody left it need not wait
        assert alone.gateway.proc.wait_exit(20) == 0


def test_whom_the_kernel_let_in_gets_an_answer(build, folder):
    """Connections that wait to be accepted when the listener closes are not reset."""
    with Alone(folder, build, DRAIN_SECONDS="1") as alone:
        alone.gateway.proc.signal(signal.SIGSTOP)
        waiting = [socket.create_connection(("127.0.0.1", alone.port), 10) for _ in range(300)]
        for sock in waiting:
            sock.sendall(upgrade_head(alone.port, alone.path()))
        alone.gateway.proc.signal(signal.SIGTERM)
        alone.gateway.proc.signal(signal.SIGCONT)
        answers = [Response(sock.recv(65536)).status for sock in waiting]
        assert set(answers) <= {101, 503}, answers
        for sock in waiting:
            sock.close()
        assert alone.gateway.proc.wait_exit(20) == 0


def test_a_rolling_restart_loses_nothing_and_nobody_without_a_goodbye(new_cluster, build):
    users, count = 20, 60
    cluster = new_cluster(gateways=3, routers=1, start=False,
                          gateway={"DRAIN_SECONDS": "4s", "HEARTBEAT_INTERVAL": "2s", "RATE_LIMIT_MAX_MESSAGES": "0"})
    cluster.folder.mkdir(parents=True, exist_ok=True)
    file = cluster.folder / "routes.json"
    file.write_text(routes(cluster.topic))
    cluster.routers[0].env["ROUTES"] = str(file)
    cluster.start()
    devices = Devices(build, cluster.folder, [cluster.balancer.port], SECRET, users, count, "lap", 1, silence=60).start()
    events = Events(cluster.kafka.brokers, cluster.topic, users, 200, 1).start()
    try:
        for gateway in cluster.gateways:
            assert gateway.stop(40) == 0
            gateway.start()
            wait_until(lambda: len(cluster.balancer.up()) == 3, 30, "the balancer knows all three")
        events.stop()
        devices.finish(60)
    finally:
        events.abandon()
        devices.proc.stop()
    verdict = ledger.check(ledger.read(devices.path), users, count, events.counts)
    assert not verdict.bad(allowed=("rewound",)), (verdict.faults, verdict.said)
    everybodys = events.counts[users]
    assert verdict.deliveries == (events.total - everybodys) * count // users + everybodys * count
    closed = [(device, number) for kind, _, _, device, _, _, number, _, _ in ledger.read(devices.path) if kind == ledger.CLOSED]
    assert {code for _, code in closed} == {1001}, collections.Counter(code for _, code in closed)
    assert len({device for device, _ in closed}) == count, "everybody was moved"


# ---- coming ----

def test_a_herd_waits_for_its_turn(build, folder):
    with Alone(folder, build, ADMISSION_RATE="2", ADMISSION_BURST="2", ADMISSION_WAIT="20s") as alone:
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            coming = [pool.submit(RawSocket, alone.port, alone.path(f"user-{i}"), seconds=30) for i in range(10)]
            clients = [one.result() for one in coming]
        assert time.monotonic() - began >= 4  # 2 at once, 8 at two a second
        assert all(client.recv_json()["type"] == "connected" for client in clients)
        assert alone.gateway.metric("tidegate_gateway_admission_waiting") == 0
        assert alone.gateway.metric("tidegate_gateway_admission_waited_total") >= 1


def refusal(alone, tries):
    """The first handshake that is refused, and how many were not."""
    for number in range(tries):
        try:
            RawSocket(alone.port, alone.path(f"user-{number}"))
        except Refused as refused:
            return refused.response, number
    raise AssertionError(f"{tries} handshakes were let in")


def test_who_would_wait_too_long_is_told_when_to_come_back(build, folder):
    with Alone(folder, build, ADMISSION_RATE="1", ADMISSION_BURST="5", ADMISSION_WAIT="0") as alone:
        response, before = refusal(alone, 60)
        assert before >= 5 and retry_after(response, 1), (before, response)
        assert alone.gateway.metric("tidegate_gateway_handshakes_refused_total", reason="admission") == 1


def test_a_bad_token_takes_no_turn(build, folder):
    with Alone(folder, build, ADMISSION_RATE="1", ADMISSION_BURST="1", ADMISSION_WAIT="0") as alone:
        for _ in range(20):
            assert RawSocket(alone.port, "/ws?token=none").close_code()[0] == 4001
        alone.connect()


def test_health_does_not_wait_and_whoever_waits_when_it_goes_is_told_so(build, folder):
    with Alone(folder, build, ADMISSION_RATE="1", ADMISSION_BURST="1", ADMISSION_WAIT="1m", ANSWER_TIMEOUT="2m") as alone:
        waiting = [socket.create_connection(("127.0.0.1", alone.port), 10) for _ in range(40)]
        for sock in waiting:
            sock.sendall(upgrade_head(alone.port, alone.path()))
        wait_until(lambda: alone.gateway.metric("tidegate_gateway_admission_waiting") > 30, 10, "handshakes wait")
        assert alone.gateway.ready() and alone.gateway.get("/health").status == 200
        waiting.pop().close()  # the last, who goes while it waits
        alone.gateway.proc.signal(signal.SIGTERM)
        answers = [Response(sock.recv(65536)) for sock in waiting]
        refused = [answer for answer in answers if answer.status != 101]
        assert len(refused) >= 3 and all(retry_after(answer, 1) for answer in refused), answers
        for sock in waiting:
            sock.close()
        assert alone.gateway.proc.wait_exit(20) == 0

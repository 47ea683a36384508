"""A real Prometheus scrapes two gateways and two routers under traffic: what rules and dashboard ask for, it answers."""

import math
import re
import time

from lib.cluster import task
from lib.prometheus import NAMESPACE, Prometheus, QueryError
from lib.proc import wait_until

import rules

JOBS = ("tidegate-gateway", "tidegate-router")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE = f"traceparent=00-{TRACE_ID}-00f067aa0ba902b7-01"
VARIABLES = {"$namespace": NAMESPACE, "$gateways": JOBS[0], "$routers": JOBS[1], "$__rate_interval": "10s"}


class Stage:
    """Clients, events and the Prometheus that watches them."""

    def __init__(self, cluster, folder):
        self.cluster = cluster
        self.user = cluster.user()
        self.clients = [cluster.connect(self.user, gateway) for gateway in (0, 1)]
        self.sent = 0
        self.prometheus = Prometheus(folder, rules.RULES, {JOBS[0]: cluster.gateways, JOBS[1]: cluster.routers})

    def __enter__(self):
        self.prometheus.start()
        return self

    def __exit__(self, *_):
        self.prometheus.stop()

    def traffic(self):
        """Ten events with a trace, to both devices."""
        numbers = range(self.sent, self.sent + 10)
        self.cluster.kafka.produce(self.cluster.topic, [(self.user, task(self.user, n)) for n in numbers], headers=[TRACE])
        for client in self.clients:
            client.tasks(10)
        self.sent += 10

    def until_nothing_is_wrong(self, look, seconds=60):
        """Traffic until look() finds no faults."""
        deadline = time.monotonic() + seconds
        while True:
            self.traffic()
            faults = look()
            if not faults:
                return
            assert time.monotonic() < deadline, "\n".join(faults)

    def silent(self, queries):
        """Those of [(where, expression)] that have no number to show, as sentences."""
        faults, now = [], time.time()
        for where, expr in queries:
            try:
                rows = self.prometheus.get("query_range", query=expr, start=now - 10, end=now, step=1)["result"]
            except QueryError as refused:
                faults.append(f"{where}: {refused}: {expr}")
                continue
            if not any(math.isfinite(float(value)) for row in rows for _, value in row["values"]):
                faults.append(f"{where}: no data: {expr}")
        return faults

    def traces(self, metric):
        """The trace ids of a histogram's exemplars."""
        now = time.time()
        rows = self.prometheus.get("query_exemplars", query=metric, start=now - 60, end=now)
        return {exemplar["labels"].get("trace_id") for row in rows for exemplar in row["exemplars"]}


def with_values(expr):
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    assert "$" not in expr, expr
    return expr


def test_everything_asked_is_answered(cluster, folder):
    """Rules and dashboard; and what alerts select is there, so that none is quiet because a name is wrong."""
    asked = [(rule["record"], rule["record"]) for rule in rules.records()]
    asked += [(where, with_values(expr)) for where, expr in rules.dashboard_queries() if not where.startswith("annotation")]
    for rule in rules.alerts():
        for metric, matchers in rules.selectors(rule["expr"]):
            asked.append((rule["alert"], metric + "{" + ",".join(f'{a}{op}"{b}"' for a, op, b in matchers) + "}"))
    with Stage(cluster, folder) as stage:
        stage.until_nothing_is_wrong(lambda: stage.silent(asked))
        groups = stage.prometheus.get("rules")["groups"]
        bad = [f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}"
               for group in groups for rule in group["rules"] if rule["health"] != "ok"]
        assert not bad, "\n".join(bad)
        assert sum(len(group["rules"]) for group in groups) == len(rules.read_rules())
        [(_, connections)] = stage.prometheus.query("sum (websocket_connections_total)")
        assert connections == len(cluster.clients), connections
        assert stage.traces("tidegate_gateway_delivery_seconds_bucket") == {TRACE_ID}
        firing = stage.prometheus.query('ALERTS{alertstate="firing"}')
        assert not firing, firing


def test_a_real_alert_says_whose_it_is(cluster, folder):
    with Stage(cluster, folder) as stage:
        stage.until_nothing_is_wrong(lambda: stage.silent([("a first look", "tidegate_router_records_total")]))
        cluster.kafka.produce_bytes(cluster.topic, b"{")
        wait_until(lambda: stage.prometheus.query('ALERTS{alertname="TidegateDeadLetters",alertstate="firing"}'), 30,
                   "the alert on dead letters")
        [alert] = stage.prometheus.get("alerts")["alerts"]
        assert re.match(rf"{NAMESPACE}/{JOBS[1]} put [0-9.]+ records aside", alert["annotations"]["summary"]), alert
        assert alert["annotations"]["runbook_url"] == "helm/README.md#tidegatedeadletters", alert

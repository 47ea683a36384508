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

    def until_answered(self, asked, seconds=120):
        """Traffic until each of {expression: where it stands} has had a number to show."""
        left = dict(asked)

        def look():
            self.traffic()
            for expr in [expr for expr in left if self.is_answered(expr)]:
                del left[expr]
            return not left
        try:
            wait_until(look, seconds, "an answer to each", every=0.5)
        except TimeoutError:
            raise AssertionError("\n".join(f"no data for {where}: {expr}" for expr, where in left.items())) from None

    def is_answered(self, expr):
        """As a panel asks: over the last seconds."""
        now = time.time()
        try:
            rows = self.prometheus.get("query_range", query=expr, start=now - 10, end=now, step=1)["result"]
        except QueryError as refused:
            raise AssertionError(f"{refused}: {expr}") from None
        return any(math.isfinite(float(value)) for row in rows for _, value in row["values"])

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
    asked = {rule["record"]: rule["record"] for rule in rules.records()}
    asked.update({with_values(expr): where for where, expr in rules.dashboard_queries() if not where.startswith("annotation")})
    for rule in rules.alerts():
        for metric, matchers in rules.selectors(rule["expr"]):
            asked[metric + "{" + ",".join(f'{label}{op}"{value}"' for label, op, value in matchers) + "}"] = rule["alert"]
    with Stage(cluster, folder) as stage:
        stage.until_answered(asked)
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


test_everything_asked_is_answered.seconds = 240


def test_a_real_alert_says_whose_it_is(cluster, folder):
    with Stage(cluster, folder) as stage:
        stage.until_answered({"tidegate_router_records_total": "a first look"})
        cluster.kafka.produce_bytes(cluster.topic, b"{")
        wait_until(lambda: stage.prometheus.query('ALERTS{alertname="TidegateDeadLetters",alertstate="firing"}'), 30,
                   "the alert on dead letters")
        [alert] = [alert for alert in stage.prometheus.get("alerts")["alerts"]
                   if alert["labels"]["alertname"] == "TidegateDeadLetters"]
        assert re.match(rf"{NAMESPACE}/{JOBS[1]} put [0-9.]+ records aside", alert["annotations"]["summary"]), alert
        assert alert["annotations"]["runbook_url"] == "helm/README.md#tidegatedeadletters", alert

"""What can be said of rules and dashboard without a server: their form, their names, and each alert's test."""

import itertools
import re
import shutil
import subprocess

from lib import tools
from lib.proc import ROOT

import rules

GIVEN = {"namespace", "pod", "job", "instance", "le"}  # labels that Kubernetes and histograms bring
SEVERITIES = {"critical", "warning"}
# Metrics of Prometheus itself, with the labels that are asked for.
FOREIGN = {"up": set(), "ALERTS": {"alertname", "alertstate"}}
# Series whose lines a function writes: their labels do not stand in the tables.
SERIES = {"tidegate_router_lag_records": {"topic", "partition"}, "tidegate_build_info": {"program", "version"}}


def promtool(*words, folder=None):
    done = subprocess.run([tools.path("prometheus") / "promtool", *map(str, words)], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def declared(build):
    """{metric: labels} of both programs' tables; a histogram has three names."""
    found = {**FOREIGN, **{rule["record"]: set() for rule in rules.records()}}
    for program in ("tidegate-gateway", "tidegate-router"):
        table = subprocess.run([build / program, "--print-config", "metrics"], stdout=subprocess.PIPE, text=True,
                               check=True, env={}).stdout
        for name, kind, label in re.findall(r"^\| `(\w+)` \| (\w+) \| (?:`(\w+)` )?\|", table, re.M):
            names = [f"{name}_{end}" for end in ("bucket", "sum", "count")] if kind == "histogram" else [name]
            for each in names:
                found[each] = found.get(each, set()) | ({label} if label else set()) | SERIES.get(name, set())
    return found


def all_queries():
    """[(where, expression)] of rules and dashboard."""
    return [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules.read_rules()] + rules.dashboard_queries()


def test_promtool_checks_rules():
    out = promtool("check", "rules", *rules.RULES)
    found = sum(map(int, re.findall(r"SUCCESS: (\d+) rules found", out)))
    assert found == len(rules.read_rules()), out


def test_every_metric_and_label_is_declared(build):
    known = declared(build)
    wrong = []
    for where, expr in all_queries():
        for metric, matchers in rules.selectors(expr):
            if metric not in known:
                wrong.append(f"{where}: there is no metric {metric}")
                continue
            wrong += [f"{where}: {metric} has no label {label}" for label, _, _ in matchers
                      if label not in known[metric] | GIVEN]
    assert not wrong, "\n".join(wrong)


def test_rates_are_of_counters():
    """A rate of a gauge is nonsense that Prometheus answers all the same."""
    gauges = {"websocket_connections_total"}
    wrong = [f"{where}: {metric}" for where, expr in all_queries()
             for metric in re.findall(r"\b(?:rate|increase)\(([\w:]+)", expr)
             if metric in gauges or not metric.endswith(("_total", "_bucket", "_sum", "_count"))]
    assert not wrong, wrong


def test_every_record_is_used():
    used = {metric for where, expr in all_queries() for metric, _ in rules.selectors(expr) if where != metric}
    idle = [rule["record"] for rule in rules.records() if rule["record"] not in used]
    assert not idle, f"recorded, but neither alert nor dashboard asks for it: {idle}"


def test_names_occur_once():
    """An operator refuses groups of one name; a dashboard with two panels of one id shows one of them."""
    groups = [group["name"] for path in rules.RULES for group in rules.read_yaml(path)["groups"]]
    ids = [panel["id"] for panel in rules.panels()]
    for names in (groups, ids, [rule.get("alert") or rule["record"] for rule in rules.read_rules()]):
        assert len(names) == len(set(names)), sorted(names)


def test_panels_have_their_place():
    """None beyond the right edge of Grafana's 24 columns, none on another one, and each says what it shows."""
    taken = {}
    for panel in rules.panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
            assert cell not in taken, f"{panel['title']!r} lies on {taken[cell]!r}"
            taken[cell] = panel["title"]
        marks = [target["refId"] for target in panel["targets"]]
        assert len(marks) == len(set(marks)) and len(panel["description"]) > 10, panel["title"]


def test_every_alert_says_what_to_do():
    runbook = runbook_anchors()
    names = {rule["alert"].lower() for rule in rules.alerts()}
    wrong = [f"helm/README.md has a heading for an alert that there is not: {anchor}"
             for anchor in sorted(runbook - names) if anchor.startswith("tidegate")]
    for rule in rules.alerts():
        name, notes = rule["alert"], rule.get("annotations", {})
        if not re.fullmatch(r"Tidegate[A-Z]\w+", name):
            wrong.append(f"{name}: alerts of Tidegate are called Tidegate…")
        if rule.get("labels", {}).get("severity") not in SEVERITIES:
            wrong.append(f"{name}: its severity is none of {SEVERITIES}")
        wrong += [f"{name}: no {note}" for note in ("summary", "description") if len(notes.get(note, "")) < 30]
        if notes.get("runbook_url") != f"helm/README.md#{name.lower()}":
            wrong.append(f"{name}: runbook_url is not helm/README.md#{name.lower()}")
        if name.lower() not in runbook:
            wrong.append(f"{name}: helm/README.md has no heading of that name")
    assert not wrong, "\n".join(wrong)


def runbook_anchors():
    """Headings of the chart's README."""
    text = (ROOT / "helm/README.md").read_text()
    return {heading.strip().lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def without_annotations(folder):
    """promtool compares annotations to the letter; what can be wrong in them is looked at elsewhere."""
    code = ("import sys, yaml; d = yaml.safe_load(sys.stdin)\n"
            "for g in d['groups']:\n for r in g['rules']: del r['annotations']\n"
            "yaml.safe_dump(d, sys.stdout)")
    with open(rules.FILES / "alerts.yaml", "rb") as full, open(folder / "alerts.yaml", "wb") as bare:
        subprocess.run(["/usr/bin/python3", "-c", code], stdin=full, stdout=bare, check=True)


def test_every_alert_fires_and_is_quiet(folder):
    shutil.copy(ROOT / "tests/monitoring/alerts_test.yaml", folder)
    for name in ("thresholds.yaml", "recording.yaml"):
        shutil.copy(rules.FILES / name, folder)
    without_annotations(folder)
    promtool("test", "rules", "alerts_test.yaml", folder=folder)


def test_no_alert_lacks_a_test():
    rows = [row for group in rules.read_yaml(ROOT / "tests/monitoring/alerts_test.yaml")["tests"]
            for row in group["alert_rule_test"]]
    fired, quiet = {}, set()
    for row in rows:
        if row["exp_alerts"]:
            fired[row["alertname"]] = row["exp_alerts"][0]["exp_labels"]
        else:
            quiet.add(row["alertname"])
    wrong = []
    for rule in rules.alerts():
        name = rule["alert"]
        if name not in fired or name not in quiet:
            wrong.append(f"{name} is not tested both fired and quiet")
            continue
        spoken = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
        wrong += [f"{name} speaks of the label {label}, which it has not when it fires" for label in spoken - set(fired[name])]
    assert not wrong, "\n".join(wrong)

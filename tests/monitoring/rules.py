"""What stands in helm/files: rules, limits and the dashboard; and the names that PromQL speaks of."""

import functools
import json
import re
import subprocess

from lib.proc import ROOT

FILES = ROOT / "helm/files"
RULES = [FILES / name for name in ("thresholds.yaml", "recording.yaml", "alerts.yaml")]
DASHBOARD = FILES / "dashboard.json"

# What names labels and no metric: clauses, and texts that functions take.
CLAUSE = re.compile(r'\b(by|without|on|ignoring|group_left|group_right) \([^)]*\)|, "[^"]*"')
# A metric's name, or a word of the language; then its matchers. What a bracket follows is a function.
SELECTOR = re.compile(r'(?<![\w:.$"])([a-zA-Z_:][\w:]*)\b(\{[^}]*\})?(?!\s*\()')
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
WORDS = {"and", "or", "unless", "offset", "bool", "by", "on"}


@functools.cache
def read_yaml(path):
    """Parsed by the system's Python: the tests' own has no YAML."""
    code = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
    with open(path, "rb") as file:
        return json.loads(subprocess.run(["/usr/bin/python3", "-c", code], stdin=file, stdout=subprocess.PIPE,
                                         check=True).stdout)


def read_rules():
    """All rules of all files, in order."""
    return [rule for path in RULES for group in read_yaml(path)["groups"] for rule in group["rules"]]


def alerts():
    return [rule for rule in read_rules() if "alert" in rule]


def records():
    return [rule for rule in read_rules() if "record" in rule]


def panels():
    """The dashboard's panels that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def dashboard_queries():
    """[(where, expression)] of everything that the dashboard asks Prometheus."""
    board = json.loads(DASHBOARD.read_text())
    found = [(f"panel {panel['title']!r}", target["expr"]) for panel in panels() for target in panel["targets"]]
    for variable in board["templating"]["list"]:
        asked = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"])
        found += [(f"variable {variable['name']!r}", asked[1])] if asked else []
    return found + [(f"annotation {row['name']!r}", row["expr"]) for row in board["annotations"]["list"]]


def selectors(expr):
    """[(metric, matchers as [(label, operator, value)])] of an expression."""
    found = []
    for name, matchers in SELECTOR.findall(CLAUSE.sub("", expr)):
        if name not in WORDS:
            found.append((name, MATCHER.findall(matchers)))
    return found

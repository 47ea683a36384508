"""The options of both programs, out of their .def tables, and what helm/values.schema.json says of them.

The C preprocessor reads the tables, as it does for the programs: each row becomes a line of JSON.
"""

import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Kinds without limits in words are texts. The programs judge more than a pattern can say.
ROWS = r'''
#define GROUP(title)
#define WORD(constant, word) word,
#define OPTION(field, kind, env, aliases, value, limits, help) @row@ #kind, env, aliases, value, limits
#define PRESET(profile, env, value) @preset@ profile, env, value
#include "%s/config.def"
'''
PATTERNS = {"BYTES": "^[0-9]+([kKmMgG]([iI]?[bB])?)?$", "DURATION": "^[0-9]+(ms|s|m|h|d)?$", "INT": "^[0-9]+$"}
SWITCH = [True, False, 0, 1, "0", "1", "true", "false", "yes", "no", "on", "off"]


def lines(program):
    """(what, [strings]) of each row of a program's table."""
    done = subprocess.run(["cc", "-E", "-P", "-I", ROOT, "-x", "c", "-"], input=ROWS % program, stdout=subprocess.PIPE,
                          text=True, check=True)
    flat = " ".join(done.stdout.split())
    for what, rest in re.findall(r"@ ?(row|preset) ?@ (.*?)(?=@ ?(?:row|preset) ?@|$)", flat):
        yield what, [json.loads(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', rest)]


def options(program):
    """name -> (kind, limits as a list of texts); aliases are left out."""
    return {row[1]: (row[0], row[4:]) for what, row in lines(program) if what == "row"}


def presets(program, name):
    """profile -> the default of one option under it."""
    return {row[0]: row[2] for what, row in lines(program) if what == "preset" and row[1] == name}


def bounds(limits):
    """Least and greatest number of "1008|4000..4999"."""
    numbers = [int(n) for n in re.findall(r"[0-9]+", limits)]
    return {"minimum": min(numbers), "maximum": max(numbers)} if numbers else {}


def schema_of(kind, limits):
    if kind == "ENUM":
        return {"enum": limits}
    if kind == "LEVEL":
        return {"enum": ["debug", "info", "warn", "error"]}
    if kind == "BOOL":
        return {"enum": SWITCH}
    if kind == "INT":
        return {"type": ["integer", "string"], **bounds(limits[0]), "pattern": PATTERNS[kind]}
    if kind in PATTERNS:
        return {"type": ["integer", "string"], "pattern": PATTERNS[kind]}
    return {"type": ["string", "number", "boolean"]}


def set_by_chart():
    """Names of variables that the templates set: what one value decides cannot be set twice."""
    text = "".join(file.read_text() for file in sorted((ROOT / "helm/templates").rglob("*.tpl")))
    return set(re.findall(r'^\s*- name: ([A-Z][A-Z0-9_]+)$', text, re.M)) | set(re.findall(r'\(list "([A-Z0-9_]+)"', text))


def properties(names):
    """JSON schema of a map NAME: value that allows these options."""
    taken = set_by_chart() | {"EMBEDDED_KAFKA"}  # a program that is something else then
    return {"type": "object", "additionalProperties": False,
            "properties": {name: schema_of(*names[name]) for name in sorted(names)
                           if name not in taken and names[name][0] != "SECRET"}}


def definitions():
    """What stands in the schema's $defs for `config`, `gateway.config` and `router.config`."""
    gateway, router = options("gateway"), options("router")
    common = {name: what for name, what in gateway.items() if name in router}
    return {"commonOptions": properties(common), "gatewayOptions": properties(gateway),
            "routerOptions": properties(router)}

"""The values of the chart with their comments, as rows of README.md's tables.

A comment that opens with `# --` describes the key below it, whose whole value is one row. A key without one is a group
and is gone into; a line `## Title` opens a table.
"""

import json
import pathlib
import re
import typing

VALUES = pathlib.Path(__file__).resolve().parents[2] / "helm/values.yaml"


class Row(typing.NamedTuple):
    section: str
    path: str  # gateway.service.port
    default: object
    text: str


def load(text):
    import yaml  # in the tests' own Python only
    return yaml.safe_load(text)


def keys(text):
    """(section, path, comment or None) of each key in the file, in its order."""
    section, comment, parents, block = "", None, [], None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None and (indent > block or not line.strip()):
            continue
        block = None
        key = re.match(r" *([A-Za-z][A-Za-z0-9]*):(.*)$", line)
        if line.startswith("## "):
            section, comment = line[3:], None
        elif line.lstrip().startswith("# --"):
            comment = [line.split("# --", 1)[1].strip()]
        elif line.lstrip().startswith("#"):
            if comment is not None:
                comment.append(line.lstrip("# "))
        elif key:
            parents = [*parents[:indent // 2], key[1]]
            yield section, ".".join(parents), " ".join(comment) if comment else None
            block = indent if comment else None
            comment = None


def at(values, path):
    for key in path.split("."):
        values = values[key]
    return values


def rows(text=None):
    """The rows, or ValueError that names a key which nobody describes."""
    text = text if text is not None else VALUES.read_text()
    values = load(text)
    for section, path, comment in keys(text):
        if comment:
            yield Row(section, path, at(values, path), comment)
        elif not isinstance(at(values, path), dict) or not at(values, path):
            raise ValueError(f"helm/values.yaml: {path} has no comment that opens with `# --`")


def markdown():
    out, section = [], None
    for row in rows():
        if row.section != section:
            section = row.section
            out += ["", f"**{section}**", "", "| value | default | what it does |", "|---|---|---|"]
        default = json.dumps(row.default, ensure_ascii=False).replace("|", "\\|")
        out.append(f"| `{row.path}` | `{default}` | {row.text.replace('|', chr(92) + '|')} |")
    return "\n".join(out[1:]) + "\n"

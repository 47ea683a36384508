"""Reads a Prometheus text page."""

import re

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """A list of (name, labels as a dict, value). ValueError for a line that is no sample and no comment."""
    samples = []
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        found = SAMPLE.match(line)
        if not found:
            raise ValueError(f"not a metric sample: {line!r}")
        samples.append((found[1], dict(LABEL.findall(found[2] or "")), float(found[3])))
    return samples


def total(samples, name, **labels):
    """Sum over all samples of that name whose labels include these; None if there is none."""
    values = [value for sample, has, value in samples if sample == name and labels.items() <= has.items()]
    return sum(values) if values else None

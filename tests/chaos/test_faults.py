"""The suite is seen to fail: each fault seeded into our own code is reported, and releases hold none of them."""

import dataclasses
import re
import subprocess

from chaos import rows
from chaos.attempt import Settings, attempt
from lib.proc import ROOT

NAMES = re.findall(r"^FAULT_ROW\((\w+),", (ROOT / "common/fault.def").read_text(), re.M)
SEED = 7
CURSORS = {"churn": 20, "resume": "a"}  # devices that come and go, and live by their acknowledgements


def run(fault, build, folder, kafka, action, count, load=None, **cluster):
    """How a small form of a scenario ends when `fault` is seeded into gateways and routers."""
    seeded = {"TIDEGATE_FAULT": fault}
    options = {"gateways": 2, "gateway": {**seeded, **cluster.get("gateway", {})},
               "router": {**seeded, **cluster.get("router", {})}}
    row = dataclasses.replace(rows.find(action), count=count, short=count, records=0, cluster=options,
                              load={"users": 40, "devices": 80, "churn": 0, **(load or {})})
    return attempt(row, Settings(seed=SEED, short=True, build=build, folder=folder, patience=5), kafka)


def reported(*scenario, **more):
    """The faults that the checker counted."""
    result = run(*scenario, **more)
    assert result.outcome == "FAIL" and result.cells, (result.cells, result.sentences)
    return result.cells


def test_nothing_is_reported_when_there_is_no_fault(build, folder, kafka):
    result = run("", build, folder, kafka, "quiet", 5, load=CURSORS)
    assert result.outcome == "ok", result.sentences


def test_an_event_delivered_twice(build, folder, kafka):
    assert reported("deliver_twice/100", build, folder, kafka, "quiet", 2)["repeated"] > 0


def test_two_frames_reordered(build, folder, kafka):
    assert reported("reorder_two_frames", build, folder, kafka, "quiet", 2)["reordered"] > 0


def test_a_commit_before_the_append(build, folder, kafka):
    cells = reported("commit_before_append", build, folder, kafka, "kill-routers", 2,
                     router={"WATERMARK_INTERVAL": "500ms"})
    assert cells["lost"] > 0


def test_a_gap_that_is_dropped(build, folder, kafka):
    assert reported("drop_on_gap", build, folder, kafka, "dropped-frames", 5)["lost"] > 0


def test_a_cursor_that_is_not_written(build, folder, kafka):
    cells = reported("skip_cursor_write", build, folder, kafka, "quiet", 5, load=CURSORS)
    assert cells["lost"] + cells["rewound"] > 0


def test_releases_hold_no_faults(build):
    for program in ("tidegate-gateway", "tidegate-router"):
        seeded, release = (subprocess.run(["strings", "-a", folder / program], stdout=subprocess.PIPE, text=True, check=True)
                           .stdout for folder in (build, ROOT / "build/release"))
        for word in ("TIDEGATE_FAULT", "fault_strikes", *NAMES):
            assert word in seeded, f"{program} of preset faults does not hold {word}: is it built with faults?"
            assert word not in release, f"{program} of preset release holds {word}"

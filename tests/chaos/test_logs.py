"""The checker of logs sees what it is there for."""

from chaos import logs
from chaos.ledger import Verdict


def judge(*numbers, of=3):
    """The faults of one log that holds these numbers, as {word: count}."""
    verdict = Verdict()
    logs.check_log("log", [(of, n) for n in numbers], verdict)
    return verdict.bad()


def test_a_whole_log_is_right():
    assert judge(0, 1, 2, 3, 4) == {}


def test_a_log_may_begin_late():
    assert judge(3, 4) == {}


def test_what_is_missing_in_between_is_found():
    assert judge(0, 1, 4) == {"unlogged": 2}


def test_repeats_and_disorder_are_found():
    assert judge(0, 1, 1, 2, 3, 4) == {"mislogged": 1}
    assert judge(0, 2, 1, 3, 4) == {"unlogged": 2, "mislogged": 1}


def test_foreign_events_are_found():
    verdict = Verdict()
    logs.check_log("log", [(3, 0), (4, 0), (3, 1)], verdict)
    assert verdict.bad() == {"mislogged": 1}


def whole(live, refilled, produced, kept):
    """The faults of logs of sequence 3."""
    verdict = Verdict()
    before, logs.read = logs.read, lambda redis, kind: {kind: [(3, n) for n in (live if kind == "l" else refilled)]}
    try:
        logs.check(None, {3: produced}, verdict, kept)
    finally:
        logs.read = before
    return verdict.bad()


def test_live_and_refilled_logs_together_hold_all_that_is_kept():
    assert whole([3, 4], [0, 1, 2, 3], 5, 100) == {}
    assert whole([3, 4], [], 5, 2) == {}
    assert whole([3, 4], [0, 1], 5, 100) == {"unlogged": 1}
    assert whole([3, 4], [0, 1, 2], 7, 100) == {"unlogged": 2}

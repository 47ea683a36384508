"""The checker of logs sees what it is there for."""

from chaos.ledger import Verdict
from chaos.logs import check_log


def judge(numbers, produced=5, of=3):
    """The faults of one log that holds these numbers of sequence 3, as {word: count}."""
    verdict = Verdict()
    assert check_log("log", [(of, n) for n in numbers], {3: produced}, verdict) == of
    return verdict.bad()


def test_a_whole_log_is_right():
    assert judge([0, 1, 2, 3, 4]) == {}


def test_a_log_may_begin_late():
    assert judge([3, 4]) == {}


def test_what_is_missing_is_found():
    assert judge([0, 1, 3, 4]) == {"unlogged": 1}
    assert judge([0, 1, 2]) == {"unlogged": 2}


def test_repeats_and_disorder_are_found():
    assert judge([0, 1, 1, 2, 3, 4]) == {"mislogged": 1}
    assert judge([0, 2, 1, 3, 4]) == {"mislogged": 1}


def test_foreign_events_are_found():
    verdict = Verdict()
    check_log("log", [(3, 0), (4, 0), (3, 1)], {3: 2, 4: 1}, verdict)
    assert verdict.bad() == {"mislogged": 1}

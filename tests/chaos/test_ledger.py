"""The checker itself: ledgers with every fault that it is there to find, and good ones."""

from chaos import ledger

USERS = 2  # devices 0 and 2 are user 0's, device 1 is user 1's; sequence 2 is everybody's
PRODUCED = {0: 4, 1: 2, 2: 1}


class Story:
    """Writes a ledger. Every event has a key of its own unless told otherwise; a second passes with each entry."""

    def __init__(self):
        self.entries = []
        for device in range(3):
            self.connect(device)

    def add(self, kind, device, note=0, sequence=0, number=0, key=0, position=0):
        at = len(self.entries) * 1_000_000
        self.entries.append((kind, note, 0, device, at, sequence, number, key, position))
        return self

    def connect(self, device, position=0, said=ledger.RECOVERED):
        self.add(ledger.ASKED, device)
        return self.add(ledger.WELCOMED, device, note=said, position=position)

    def events(self, device, sequence, *numbers, key=None):
        for number in numbers:
            self.add(ledger.EVENT, device, sequence=sequence, number=number,
                     key=key if key is not None else 1 + sequence * 1000 + number)
        return self

    def rest(self, without=()):
        """All that a good run holds, but for what these devices get."""
        for device, sequence in ((0, 0), (2, 0), (1, 1)):
            if device not in without:
                self.events(device, sequence, *range(PRODUCED[sequence])).events(device, 2, 0)
        return self

    def verdict(self, **more):
        return ledger.check(self.entries, USERS, 3, PRODUCED, **more)


def only(story, **faults):
    """Exactly these faults are found."""
    verdict = story.verdict()
    assert verdict.bad() == faults, (verdict.bad(), verdict.said)
    return verdict


def test_a_good_run():
    verdict = only(Story().rest())
    assert verdict.deliveries == 13 and verdict.connects == 3 and verdict.again == 0


def test_nothing_came():
    only(Story(), lost=13)


def test_lost_in_the_middle_at_the_end_and_to_everybody():
    only(Story().rest(without=[0]).events(0, 0, 0, 1, 3).events(0, 2, 0), lost=1)
    only(Story().rest(without=[0]).events(0, 0, 0, 1, 2).events(0, 2, 0), lost=1)
    only(Story().rest(without=[0]).events(0, 0, 1, 2, 3).events(0, 2, 0), lost=1)
    verdict = only(Story().rest(without=[0]).events(0, 0, 0, 1, 2, 3), lost=1)
    assert "device 0: 1 of 1 events of sequence 2" in verdict.said[0]


def test_what_live_clients_miss_is_no_fault_when_they_did_not_ask_for_it():
    assert not Story().events(0, 0, 2, 3).verdict(complete=False).bad()


def test_repeats_with_the_same_key_on_another_connection_are_dropped():
    story = Story().rest(without=[0]).events(0, 0, 0, 1, 2).connect(0).events(0, 0, 1, 2, 3).events(0, 2, 0)
    assert only(story).again == 2


def test_repeated_on_one_connection():
    only(Story().rest().events(0, 0, 3), repeated=1)


def test_duplicated_under_another_key():
    only(Story().rest().events(0, 0, 3, key=77), duplicated=1)
    only(Story().rest().connect(0).events(0, 0, 0, key=78), duplicated=1)


def test_reordered():
    only(Story().rest(without=[0]).events(0, 0, 0, 2, 1, 3).events(0, 2, 0), reordered=1)


def test_reordered_over_connections():
    only(Story().rest(without=[0]).events(0, 0, 0, 2).connect(0).events(0, 0, 1, 3).events(0, 2, 0), reordered=1)


def test_foreign():
    only(Story().rest().events(1, 0, 0), foreign=1)
    only(Story().rest().events(0, 0, 4), foreign=1)
    only(Story().rest().events(0, 9, 0), foreign=1)


def test_a_cursor_that_went_back():
    story = Story().rest().add(ledger.ACKED, 1, position=500)
    for _ in range(7):
        story.add(ledger.ASKED, 0)
    only(story.connect(1, position=499), rewound=1)


def test_a_cursor_may_lag_a_little():
    story = Story().rest().add(ledger.ACKED, 1, position=500)
    only(story.connect(1, position=499))


def test_strange_messages_and_gaps_are_told():
    only(Story().rest().add(ledger.STRANGE, 0).add(ledger.GAP, 1), strange=1, gaps=1)


def test_what_is_allowed_is_no_fault():
    assert Story().rest().add(ledger.GAP, 1).verdict().bad(allowed=["gaps"]) == {}


def test_a_ledger_cut_in_mid_entry_is_read_up_to_there(folder):
    path = folder / "ledger"
    whole = [(ledger.EVENT, 0, 0, 1, 2, 3, 4, 5, 6), (ledger.GAP, 0, 0, 1, 2, 0, 0, 0, 0)]
    path.write_bytes(b"".join(ledger.ENTRY.pack(*entry) for entry in whole) + b"half")
    assert list(ledger.read(path)) == whole

"""When the knowledge of tables has to be asked as the stream moves."""

from __future__ import annotations

import pytest

from cdc.capture.checkpoint import Checkpoint
from cdc.capture.decisions import Decision
from cdc.capture.description import Description
from cdc.capture.knowledge import NEVER, Found, Knowledge, Place
from cdc.capture.shapes import LONG, Column, Shape

TABLE = ("shop", "orders")
SHAPE = Shape(*TABLE, (Column("id", LONG, nullable=False),))
AGAIN = ("bin.000002", 500)
START = Checkpoint("mysql", "", "", "bin.000001", 4)


class Later:
    """A catalogue that knows more behind a place."""

    def find(self, table: tuple[str, str], place: Place, *, is_needed: bool = False) -> Found:
        return Found(None, False, again_after=AGAIN)


@pytest.fixture
def waiting() -> Knowledge:
    knowledge = Knowledge(None, lambda *_: True, lambda *_: True, catalogue=Later())
    knowledge.start(START)
    assert knowledge.waits_until("bin.000001") == NEVER
    knowledge.at(SHAPE, Place("a:1", "bin.000001", 300))
    return knowledge


@pytest.mark.parametrize(
    ("file", "until"),
    [("bin.000001", NEVER), ("bin.000002", AGAIN[1]), ("bin.000003", 0), ("bin.000010", 0)],
)
def test_a_table_is_asked_for_again_from_its_place_on(
    waiting: Knowledge, file: str, until: int
) -> None:
    assert waiting.waits_until(file) == until


def test_it_is_due_there_and_not_before(waiting: Knowledge) -> None:
    assert not waiting.opened(Place("a:2", "bin.000002", AGAIN[1] - 1))
    assert waiting.opened(Place("a:3", *AGAIN)) == {TABLE}
    assert waiting.waits_until("bin.000003") == NEVER


def test_what_was_left_undecided_is_due_at_once() -> None:
    undecided = [
        Decision(("shop", name), "bin.000001:50", None, "unknown", is_final=False) for name in "ab"
    ]
    knowledge = Knowledge(
        None, lambda *_: True, lambda *_: True, catalogue=Later(), stored=undecided
    )
    knowledge.start(Checkpoint("mysql", "", "", "bin.000001", 100))
    assert knowledge.waits_until("bin.000001") == 0
    assert knowledge.opened(Place("bin.000001:100", "bin.000001", 120)) == {
        ("shop", "a"),
        ("shop", "b"),
    }
    assert knowledge.waits_until("bin.000001") == NEVER


def test_decisions_of_an_earlier_reading_are_looked_for_in_every_transaction() -> None:
    ahead = Decision(TABLE, "bin.000001:900", Description(()), "catalogue")
    knowledge = Knowledge(None, lambda *_: True, lambda *_: True, stored=[ahead])
    knowledge.start(START)
    assert knowledge.waits_until("bin.000001") == 0
    assert not knowledge.opened(Place("bin.000001:800", "bin.000001", 810))
    assert knowledge.opened(Place("bin.000001:900", "bin.000001", 910)) == {TABLE}

"""Later rows of a key that has a dead letter wait behind it; those of other keys pass."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pytest

from cdc.dead_letters import (
    HELD,
    KINDS,
    DeadLetter,
    DeadLetters,
    Policy,
    held_keys_of,
)
from cdc.errors import DecodeError
from cdc.model import Record
from tests.binlogs import SOURCE, Binlog, Col, Reading, whole_events, with_checksum
from tests.forms_plugin import Capture
from tests.unit.test_dead_changes import COLUMNS, POISON, TOPIC, ids, letters, row, text

X = f"c/{SOURCE}:7/2"
"""The id of most tests' first dead letter."""


def holding(kept: Sequence[DeadLetter] = (), **more: Any) -> DeadLetters:
    """The policy, and what a stage that starts again finds."""
    held_count = sum(one.kind == HELD for one in kept)
    return DeadLetters(
        Policy(frozenset(KINDS), is_holding=True, **more),
        len(kept) - held_count,
        held_count=held_count,
        held_keys=held_keys_of(kept),
    )


def reading(capture: Capture, dead_letters: DeadLetters | None = None, **more: Any) -> Reading:
    return Reading(capture, dead_letters=dead_letters or holding(), **more)


def kinds(records: Sequence[Record]) -> dict[str, str]:
    """By the last part of their ids."""
    return {one.id.rpartition(":")[2]: one.kind for one in letters(records)}


def first(log: Binlog) -> Binlog:
    """A transaction whose second row is a poison one of key 2."""
    rows = row(1) + row(2, POISON) + row(3)
    return log.begin(7).table(COLUMNS).rows(0, 2, rows).commit()


def test_later_rows_of_the_key_wait_and_others_pass(capture: Capture) -> None:
    """In the same event, the same transaction, a later one; whatever is done to them."""
    log = Binlog().begin(7).table(COLUMNS)
    log.rows(1, 2, row(1) * 2 + row(2) + row(2, POISON) + row(3) * 2 + row(2, POISON) + row(2))
    log.rows(2, 2, row(2) + row(1)).commit()
    log.begin(8).table(COLUMNS).rows(0, 2, row(1) + row(2)).commit()
    output = reading(capture).first(log)
    shown = [name for name in ids(output.records) if name]
    assert shown == ["7/1", "+7/2", "7/3", "+7/4", "+7/5", "7/6", "8/1", "+8/2"]
    assert kinds(output.records) == {
        "7/2": "invalid_text", "7/4": HELD, "7/5": HELD, "8/2": HELD,
    }  # fmt: skip
    waiting = letters(output.records)[1:]
    assert {one.reason for one in waiting} == {f"held behind dead letter {X}"}
    assert [one.coordinates["revision"][1] for one in letters(output.records)] == [2, 4, 5, 8]
    assert waiting[1].about["operation"] == "d"
    assert waiting[1].raw["before"] == row(2)


def test_where_they_pass_nothing_waits(capture: Capture) -> None:
    log = first(Binlog()).begin(8).table(COLUMNS).rows(1, 2, row(2) * 2).commit()
    output = reading(capture, DeadLetters(Policy(frozenset(KINDS)))).first(log)
    assert ids(output.records) == ["7/1", "+7/2", "7/3", "8/1"]
    assert letters(output.records)[0].holds == ()


@pytest.mark.parametrize("operation", [0, 1, 2])
def test_a_dead_letter_holds_the_key_that_its_records_would_have(
    capture: Capture, operation: int
) -> None:
    columns = [
        Col(15, b"\x50\0", name="name", charset=45),
        Col(15, b"\x50\0", name="note", nullable=True, charset=45),
        Col(10, name="day", nullable=True),
        Col(15, b"\x50\0", name="code", nullable=True, charset=45),
    ]
    image = b"\0" + text(b"me") + text(b"%s") + struct.pack("<I", 2026 << 9 | 33)[:3] + text(b"xyz")
    options = {
        "message.key.columns": "shop.t:code,name,day",
        "column.mask.hash.v2.SHA-256.with.salt.x": r"shop\.t\.name",
        "column.truncate.to.2.chars": r"shop\.t\.code",
    }
    times = 2 if operation == 1 else 1
    log = Binlog().begin(7).table(columns, key=())
    log.rows(operation, 4, image.replace(b"%s", POISON) * times).commit()
    (letter,) = letters(reading(capture, options=options).first(log).records)
    healthy = Binlog().begin(7).table(columns, key=()).rows(operation, 4, image * times).commit()
    record = Reading(capture, options=options).first(healthy).records[0]
    assert letter.holds == ((record.topic, (record.key or b"")[5:]),)


def test_rows_whose_key_changes_hold_both_keys(capture: Capture) -> None:
    """From a held key, to one, and as the dead letter itself."""
    moves = row(2) + row(4), row(5) + row(2), row(6) + row(7, POISON)
    log = first(Binlog()).begin(8).table(COLUMNS).rows(1, 2, b"".join(moves))
    log.rows(0, 2, b"".join(row(i) for i in (1, 4, 5, 6, 7))).commit()
    output = reading(capture).first(log)
    assert [name for name in ids(output.records) if "8/" in name] == [
        "+8/1", "+8/2", "+8/3", "8/4", "+8/5", "+8/6", "+8/7", "+8/8",
    ]  # fmt: skip
    assert kinds(output.records)["8/3"] == "invalid_text"
    reasons = [one.reason.rpartition(":")[2] for one in letters(output.records)]
    assert reasons[1:3] == ["7/2", "7/2"]
    assert reasons[4:] == ["8/1", "8/2", "8/3", "8/3"]


@pytest.mark.parametrize("is_counted", [False, True])
def test_after_a_restart_anywhere_the_same_keys_are_held(
    capture: Capture, is_counted: bool
) -> None:
    """At each event, also inside transactions: what is held is read from the dead letters."""
    options = {"provide.transaction.metadata": is_counted}
    log = Binlog()
    for number in (7, 8):
        log.begin(number).table(COLUMNS).rows(1, 2, row(2) * 2 + row(3) * 2)
        log.rows(0, 2, row(1) + row(2, POISON)).rows(1, 2, row(2) * 2 + row(3) + row(4))
        log.rows(2, 2, row(2) + row(1)).commit()
    whole = reading(capture, options=options).first(log).records
    assert list(kinds(whole).values()) == ["invalid_text"] + [HELD] * 6
    events = whole_events(log.data)
    for cut in range(2, len(events)):
        before_it = reading(capture, options=options)
        before = before_it.read(b"".join(events[:cut]), before_it.start())
        kept = [DeadLetter.from_bytes(one.to_bytes()) for one in letters(before.records)]
        second = reading(capture, holding(kept), ids=before_it.ids, options=options)
        at = events.index(next(e for e in events[1:] if _begin(e) >= before.checkpoint.pos))
        after = second.read(b"".join([*events[:2], *events[max(at, 2) :]]), before.checkpoint)
        both = [*before.records, *after.records]
        assert [(one.topic, one.key, one.value) for one in both] == [
            (one.topic, one.key, one.value) for one in whole
        ], cut


def _begin(event: bytes) -> int:
    size, end = struct.unpack_from("<II", event, 9)
    return int(end - size)


def test_at_least_once_what_came_before_the_dead_letter_does_not_wait_behind_it(
    capture: Capture,
) -> None:
    """The dead letters are there, the checkpoint isn't."""
    log = Binlog().begin(6).table(COLUMNS).rows(0, 2, row(2)).commit()
    first(log).begin(8).table(COLUMNS).rows(1, 2, row(2) * 2 + row(1) * 2).commit()
    whole = reading(capture)
    records = whole.first(log).records
    again = reading(capture, holding(letters(records)), ids=whole.ids).first(log).records
    assert again == records
    assert kinds(again) == {"7/2": "invalid_text", "8/1": HELD}


def test_one_more_than_may_wait_stops_it(capture: Capture) -> None:
    log = first(Binlog()).begin(8).table(COLUMNS).rows(1, 2, row(2) * 4).commit()
    assert len(letters(reading(capture, holding(held_max=2)).first(log).records)) == 3
    with pytest.raises(DecodeError, match=rf"1 records .*held_max\).* held behind .*{X}"):
        reading(capture, holding(held_max=1)).first(log)
    kept = letters(reading(capture).first(log).records)
    more = Binlog().begin(9).table(COLUMNS).rows(1, 2, row(2) * 2).commit()
    with pytest.raises(DecodeError, match="2 records are held back"):
        reading(capture, holding(kept, held_max=2)).read(more.data, _behind(capture))
    # What waits isn't counted as a dead letter, nor the other way round.
    both = first(Binlog()).begin(8).table(COLUMNS)
    both.rows(1, 2, row(2) * 2 + row(3) + row(3, POISON)).commit()
    limited = holding(count_max=2, held_max=1)
    assert len(letters(reading(capture, limited).first(both).records)) == 3


def _behind(capture: Capture) -> Any:
    """A checkpoint behind all of the other log."""
    return capture.checkpoint.Checkpoint("mysql", "", "", "binlog.000001", 4, sequence=100)


def test_where_the_key_cannot_be_read_the_whole_table_waits(capture: Capture) -> None:
    columns = [Col(15, b"\x50\0", name="id", charset=45), Col(3, name="n")]
    log = Binlog().begin(7).table(columns, table="other").rows(0, 2, _named(b"a")).commit()
    log.begin(8).table(columns).rows(0, 2, _named(b"a") + _named(POISON) + _named(b"a"))
    log.table(columns, table="other").rows(0, 2, _named(b"b")).commit()
    output = reading(capture).first(log)
    assert ids(output.records) == ["7/1", "8/1", "+8/2", "+8/3", "8/4"]
    assert {one.holds for one in letters(output.records)} == {
        (("c.shop.t", None),), (("c.shop.t", b"\x02a"),),
    }  # fmt: skip


def _named(name: bytes) -> bytes:
    return b"\0" + text(name) + struct.pack("<i", 1)


def test_a_table_without_a_key_waits_as_a_whole(capture: Capture) -> None:
    log = Binlog().begin(7).table(COLUMNS, key=())
    log.rows(0, 2, row(1) + row(2, POISON) + row(3)).commit()
    output = reading(capture).first(log)
    assert ids(output.records) == ["7/1", "+7/2", "+7/3"]
    assert [one.holds for one in letters(output.records)] == [(("c.shop.t", None),)] * 2


def test_a_row_without_all_its_columns_has_the_key_of_its_other_image(capture: Capture) -> None:
    """binlog_row_image=MINIMAL: the key before, what changed after."""
    log = Binlog().begin(7).table(COLUMNS)
    images = b"\0" + struct.pack("<i", 2) + b"\0" + text(b"new")
    log.rows(1, 2, images, present=b"\1")
    body = bytearray(log.events[-1])
    body[body.index(b"\2\1\1", 19) + 2] = 2  # the bitmap of the image after
    log.events[-1] = with_checksum(bytes(body))
    log.rows(0, 2, row(2) + row(1)).commit()
    output = reading(capture).first(log)
    assert kinds(output.records) == {"7/1": "left_out_columns", "7/2": HELD}
    assert letters(output.records)[0].holds == (("c.shop.t", b"\x04"),)
    assert ids(output.records)[-1] == "7/3"


def test_the_end_of_all_rows_is_not_told_while_some_wait(capture: Capture) -> None:
    log = first(Binlog()).gtid(8).query("truncate table t")
    with pytest.raises(DecodeError, match=rf"shop\.t is truncated .* behind dead letter {X}"):
        reading(capture).first(log)
    options = {"skipped.operations": "t"}
    assert len(reading(capture, options=options).first(log).records) == 3
    passing = DeadLetters(Policy(frozenset(KINDS)))
    assert len(reading(capture, passing).first(log).records) == 4


def test_a_row_that_cannot_be_kept_whole_stops_instead_of_waiting(capture: Capture) -> None:
    """It has no fault: nothing of it may be lost."""
    log = first(Binlog()).begin(8).table(COLUMNS).rows(1, 2, row(2) * 2).commit()
    options = {"column.truncate.to.3.chars": r"shop\.t\.note"}
    with pytest.raises(DecodeError, match="can't be kept whole: its records need the columns note"):
        reading(capture, options=options).first(log)
    more = [*COLUMNS, Col(15, b"\x50\0", name="more", charset=45)]
    veiled = Binlog().begin(7).table(more)
    for note in (POISON, b"ok"):
        veiled.rows(0, 3, row(2, note) + text(b"more"))
    for option in ("column.exclude.list", "column.mask.with.3.chars"):
        output = reading(capture, options={option: ".*more"}).first(veiled)
        assert kinds(output.records) == {"7/1": "invalid_text", "7/2": HELD}
    columns = [Col(3, name="id"), Col(252, b"\4", name="note", charset=45)]
    large = b"x" * (1 << 20)
    log = Binlog().begin(7).table(columns)
    for value in (POISON, large):
        log.rows(0, 2, b"\0" + struct.pack("<i", 2) + struct.pack("<I", len(value)) + value)
    with pytest.raises(DecodeError, match="can't be kept whole: it has 1048585 bytes"):
        reading(capture).first(log.commit())


def test_nothing_waits_behind_a_statement(capture: Capture) -> None:
    log = Binlog().begin(7).query("insert into t values (2, 'x')").table(COLUMNS)
    output = reading(capture).first(log.rows(0, 2, row(2)).commit())
    assert [one.kind for one in letters(output.records)] == ["statement_rows"]
    assert len(output.records) == 2


def test_a_row_that_waits_is_not_looked_at_for_faults(capture: Capture) -> None:
    """Its own fault is told when it is tried again; until then it costs none of the dead letters
    that may be kept."""
    log = first(Binlog()).begin(8).table(COLUMNS).rows(0, 2, row(2, POISON)).commit()
    output = reading(capture, holding(count_max=1)).first(log)
    assert kinds(output.records) == {"7/2": "invalid_text", "8/1": HELD}


def test_it_is_not_asked_row_by_row_where_no_key_of_the_table_is_held(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    kind = capture.dead_changes.DeadChanges
    behind = kind.behind
    monkeypatch.setattr(kind, "behind", lambda *given: asked.append(given) or behind(*given))
    other = Binlog().begin(6).table(COLUMNS).rows(0, 2, row(1) * 50).commit()
    first(other).begin(8).table(COLUMNS, table="other").rows(0, 2, row(2) * 50).commit()
    output = reading(capture).first(other)
    assert len(output.records) == 103
    assert len(asked) == 1, "the one row behind the dead letter in its event"
    assert output.records[51].topic == TOPIC

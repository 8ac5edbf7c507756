"""The checkpoint after a batch: it moves with whatever comes, never back, and keeps the last."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from tests.binlogs import SECONDS, SOURCE, Binlog, Reading, artificial_rotate, event, id_of
from tests.forms_plugin import Capture
from tests.unit.test_decoder import COLUMNS, insert, large_transaction, row

HEARTBEAT, ROTATE = 27, 4


def test_transactions_of_other_tables_move_it(capture: Capture) -> None:
    reading = Reading(capture, tables=("other.*",))
    log = insert(insert(Binlog(), 7, row(1)), 8, row(2))
    output = reading.first(log)
    assert not output.records
    assert (output.checkpoint.gtid_set, output.checkpoint.pos) == (f"{SOURCE}:7-8", log.position)


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_heartbeats_and_new_files_move_it(capture: Capture, flavor: str) -> None:
    reading, log = Reading(capture), Binlog(flavor)
    first = reading.first(log).checkpoint
    beat = event(HEARTBEAT, log.file.encode(), log.position, seconds=0)
    after = reading.read(beat).checkpoint
    assert after == replace(first, time_seconds=10**9)  # the clock's
    log.add(ROTATE, struct.pack("<Q", 4) + b"binlog.000002")
    after = reading.read(log.events[-1]).checkpoint
    assert (after.file, after.pos) == ("binlog.000002", 4)
    heads = Binlog(flavor, file="binlog.000003")
    named = artificial_rotate(heads.file, checksum=True)
    after = reading.read(named + heads.events[1]).checkpoint
    assert (after.file, after.pos) == ("binlog.000003", heads.position)


def test_what_is_done_of_a_transaction_is_kept_until_it_comes_again(capture: Capture) -> None:
    """A restart may come before it does, and another server may send others first."""
    five, seven = f"{SOURCE}:5", f"{SOURCE}:7"
    log = insert(insert(Binlog(), 7, row(1)), 5, row(2), row(3))
    begun = capture.checkpoint.Checkpoint("mysql", "", "", log.file, 4, five, 1, 1, 40)
    ends, found = (2, 3, 6, 7, 8, 10, 12), []
    reading, at = Reading(capture), 0
    for end in ends:
        output = reading.read(b"".join(log.events[at:end]), begun if at == 0 else None)
        found.append(output.checkpoint.begun())
        at = end
    half = {five: 1}
    assert found == [half, half, {seven: 1, five: 1}, half, half, half, {}]

    again = Reading(capture)
    first = again.read(b"".join(log.events[:6]), begun)
    stored = capture.checkpoint.Checkpoint.from_bytes(first.checkpoint.to_bytes())
    rest = Reading(capture).read(log.data, stored)
    assert [id_of(record).split(":")[1] for record in first.records] == ["7/1"]
    assert [id_of(record).split(":")[1] for record in rest.records] == ["5/2"]
    assert rest.checkpoint.begun() == {}


def test_what_is_done_of_a_transaction_never_becomes_less(capture: Capture) -> None:
    """A batch may end among the rows that were published before a restart."""
    log = large_transaction()
    open_at = sum(map(len, log.events[1:7]))
    begun = capture.checkpoint.Checkpoint(
        "mysql", "", f"{SOURCE}:1", log.file, 4 + open_at, f"{SOURCE}:2", 7, 1, 20
    )
    reading = Reading(capture)
    head = [artificial_rotate(log.file, begun.pos), log.events[1], *log.events[7:11]]
    output = reading.read(b"".join(head), begun)
    assert not output.records
    assert (output.checkpoint.transaction, output.checkpoint.rows_done) == (f"{SOURCE}:2", 7)


@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_the_last_transaction_is_told_wherever_batches_end(capture: Capture, flavor: str) -> None:
    log = insert(Binlog(flavor), 7, row(1))
    begins_at = log.position
    insert(log, 8, row(2))
    last = Reading(capture).first(log).checkpoint.last
    name = f"{SOURCE}:8" if flavor == "mysql" else "0-1-8"
    assert (last.name, last.file, last.pos) == (name, log.file, begins_at)
    assert last.file_seconds == SECONDS
    for cut in range(1, len(log.events)):
        reading = Reading(capture)
        first = reading.read(b"".join(log.events[:cut]), reading.start(flavor, log.file))
        assert reading.read(b"".join(log.events[cut:])).checkpoint.last == last
        begin = first.checkpoint
        at = Reading(capture).read(artificial_rotate(log.file, begin.pos) + log.events[1], begin)
        assert at.checkpoint.last == begin.last  # nothing came since


def test_transactions_of_the_same_number_are_told_apart(capture: Capture) -> None:
    def last(micros: int, *, checksum: bool = True) -> Any:
        log = Binlog(checksum=checksum).gtid(7, micros=micros).query("BEGIN")
        return (
            Reading(capture).first(log.table(COLUMNS).rows(0, 2, row(1)).commit()).checkpoint.last
        )

    one, other, bare = last(5), last(6), last(5, checksum=False)
    assert [found.commit_micros for found in (one, other, bare)] == [5, 6, 5]
    assert one.digest == bare.digest  # whether events are sealed is the server's choice
    assert one.digest != other.digest

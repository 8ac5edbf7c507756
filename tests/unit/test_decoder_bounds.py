"""Records of one output are bounded, however many bytes of them a batch makes (invariant 7)."""

from __future__ import annotations

import struct

import pytest

from tests.binlogs import Binlog, Col, Reading, from_place, readable
from tests.forms_plugin import Capture

BLOB = 252
COLUMNS = [Col(3, name="id"), Col(BLOB, b"\3", name="body", charset=63)]
BODY_BYTES = 250_000
BLOCK_BYTES_MAX = 8 << 20
ROWS = 100


def large_transactions() -> Binlog:
    """In events of a row each, behind a transaction that is small."""
    log = Binlog()
    for number, rows in enumerate(([1], range(2, ROWS), [ROWS]), 1):
        log.begin(number).table(COLUMNS)
        for row in rows:
            body = bytes([row % 256]) * BODY_BYTES
            image = b"\0" + struct.pack("<i", row) + len(body).to_bytes(3, "little") + body
            log.rows(0, len(COLUMNS), image)
        log.commit()
    return log


def test_a_batch_whose_records_are_too_many_becomes_several_outputs(capture: Capture) -> None:
    log = large_transactions()
    whole = Reading(capture).follow(log.data, Reading(capture).start(), bytes_max=1 << 20)
    parted = Reading(capture).follow(log.data, Reading(capture).start(), bytes_max=1 << 30)
    assert len(parted.outputs) == 3
    for output in parted.outputs:
        assert sum(len(record.value or b"") for record in output.records) < (
            BLOCK_BYTES_MAX + 2 * BODY_BYTES
        )
    assert list(map(readable, parted.records)) == list(map(readable, whole.records))
    assert parted.checkpoint == whole.checkpoint
    assert len(parted.records) == ROWS


def test_after_a_restart_between_two_parts_comes_exactly_the_rest(capture: Capture) -> None:
    log = large_transactions()
    reading = Reading(capture)
    parted = reading.follow(log.data, reading.start(), bytes_max=1 << 30)
    first = parted.outputs[0]
    assert 0 < first.checkpoint.rows_done < ROWS
    again = Reading(capture, schemas=reading.schemas, ids=reading.ids)
    events = from_place(log.events[1:], log.file, first.checkpoint.pos)
    rest = again.follow(events, first.checkpoint, bytes_max=1 << 30)
    expected = parted.records[len(first.records) :]
    assert list(map(readable, rest.records)) == list(map(readable, expected))


def test_the_rest_of_a_batch_comes_before_the_next(capture: Capture) -> None:
    log = large_transactions()
    reading = Reading(capture)
    reading.first(log)
    assert reading.decoder.rest is not None
    with pytest.raises(AssertionError, match="the rest of a batch comes first"):
        reading.read(log.data)

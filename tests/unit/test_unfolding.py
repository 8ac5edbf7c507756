"""The decoder gets the events that count: payloads opened, undecided transactions held back."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Sequence
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc.errors import DecodeError
from cdc.model import Record
from tests.binlogs import SOURCE, Binlog, Col, Reading, event, id_of, length, readable
from tests.forms_plugin import Capture

COLUMNS = [Col(3, name="id"), Col(252, b"\4", name="note", nullable=True)]
PAYLOAD, XA_PREPARE = 40, 38


def row(number: int, note: bytes = b"n") -> bytes:
    return b"\0" + struct.pack("<iI", number, len(note)) + note


def rows(log: Binlog, *numbers: int) -> Binlog:
    return log.table(COLUMNS).rows(0, 2, b"".join(map(row, numbers)))


def ids(reading: Reading, records: Sequence[Record]) -> list[int]:
    return [reading.decoded(record.value)["after"]["id"] for record in records]


def follow(reading: Reading, log: Binlog, bytes_max: int = 1 << 22) -> Any:
    start = reading.start(log.flavor, log.file, log.begins_at)
    return reading.follow(log.data, start, bytes_max=bytes_max)


# Payloads


def inside(*numbers: int, note: bytes = b"n") -> bytes:
    """A transaction's events as they stand in a payload: without checksums and positions."""
    log = Binlog(checksum=False).query("BEGIN").table(COLUMNS)
    for number in numbers:
        log.rows(0, 2, row(number, note))
    log.commit()
    return b"".join(one[:13] + bytes(4) + one[17:] for one in log.events[2:])


def packed(
    events: bytes, *, compression: int = 0, size: int | None = None, payload: bytes | None = None
) -> bytes:
    """The body of a TRANSACTION_PAYLOAD."""
    if payload is None:
        payload = zstandard.compress(events) if compression == 0 else events
    fields = ((2, compression), (3, len(events) if size is None else size), (1, len(payload)))
    head = b"".join(length(k) + length(len(length(v))) + length(v) for k, v in fields)
    return head + b"\0" + payload


def payload_log(*bodies: bytes) -> Binlog:
    log = Binlog()
    for number, body in enumerate(bodies, 1):
        log.gtid(number).add(PAYLOAD, body)
    return log


@pytest.mark.parametrize("compression", [0, 255])
def test_events_of_a_payload_count_at_its_place(capture: Capture, compression: int) -> None:
    log = Binlog().gtid(1)
    begun_at = log.position
    log.add(PAYLOAD, packed(inside(1, 2), compression=compression)).gtid(2).query("BEGIN")
    reading = Reading(capture)
    followed = follow(reading, rows(log, 3).commit())
    assert ids(reading, followed.records) == [1, 2, 3]
    assert [id_of(r).split(":")[1] for r in followed.records] == ["1/1", "1/2", "2/1"]
    sources = [reading.decoded(record.value)["source"] for record in followed.records]
    assert [source["pos"] for source in sources[:2]] == [begun_at] * 2
    assert [source["gtid"] for source in sources] == [f"{SOURCE}:{n}" for n in (1, 1, 2)]
    assert followed.checkpoint.gtid_set == f"{SOURCE}:1-2"
    assert followed.checkpoint.pos == log.position


@settings(max_examples=20)
@given(bytes_max=st.integers(1, 4000), cut=st.integers(0, 10**6))
def test_a_payload_comes_in_pieces_and_a_restart_inside_it_loses_and_doubles_nothing(
    capture: Capture, bytes_max: int, cut: int
) -> None:
    log = payload_log(packed(inside(*range(12), note=b"x" * 300)), packed(inside(99)))
    first = Reading(capture)
    whole = follow(first, log, bytes_max)
    for output in whole.outputs:
        assert sum(len(record.value) for record in output.records) < 2 * max(bytes_max, 500) + 1000
    outputs = whole.outputs[: cut % len(whole.outputs) + 1]
    after = outputs[-1].checkpoint
    rest = b"".join(Binlog(position=after.pos).events) + log.data[-(log.position - after.pos) :]
    again = Reading(capture, ids=first.ids).follow(
        rest if after.pos < log.position else b"", after, bytes_max=bytes_max
    )
    records = [record for output in outputs for record in output.records]
    records += again.records
    assert [readable(r) for r in records] == [readable(r) for r in whole.records]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (packed(inside(1), size=10), "holds more"),
        (packed(inside(1), size=10**4), "holds less"),
        (packed(inside(1), size=1 << 50), "bound is"),
        (packed(inside(1), payload=zstandard.compress(inside(1))[:-9]), "can't be read"),
        (packed(inside(1), payload=b"no zstd at all"), "can't be read"),
        (packed(inside(1)[:-3]), "ends inside an event"),
        (packed(bytes(100)), "can't be read|claims"),
        (packed(inside(1), compression=7, payload=b"x"), "compression 7"),
        (b"\1\1\xfd", "fields"),
        (b"\2\1\0\1\1\5\0abc", "fields"),
        (packed(event(PAYLOAD, packed(inside(1)), 0, checksum=False)), "inside another"),
        (packed(event(33, b"\0" * 60, 0, checksum=False)), "inside a transaction"),
        (packed(event(15, b"\0" * 80, 0, checksum=False)), "inside a transaction"),
        (packed(event(4, bytes(8) + b"other", 0, checksum=False)), "inside a transaction"),
    ],
)
def test_a_payload_that_is_not_what_it_claims_is_refused_with_its_place(
    capture: Capture, body: bytes, why: str
) -> None:
    with pytest.raises(DecodeError, match=rf"(?s)({why})") as refused:
        follow(Reading(capture), payload_log(body))
    assert "binlog.000001:" in str(refused.value)


def test_a_payloads_checksum_is_verified(capture: Capture) -> None:
    log = payload_log(packed(inside(1)))
    changed = bytearray(log.events[-1])
    changed[-1] ^= 1
    log.events[-1] = bytes(changed)
    with pytest.raises(DecodeError, match="checksum is wrong"):
        follow(Reading(capture), log)


def test_an_event_inside_a_payload_may_be_larger_than_a_batch_up_to_its_bound(
    capture: Capture,
) -> None:
    log = payload_log(packed(inside(1, note=b"x" * 100_000)))
    reading = Reading(capture)
    (record,) = follow(reading, log, 1000).records
    assert len(reading.decoded(record.value)["after"]["note"]) == 100_000
    unfolder = capture.unfolding.Unfolder(1000, 50_000)
    with pytest.raises(DecodeError, match="event_bytes_max"):
        list(unfolder.unfold([capture.batch.EventBatch(log.data)], threading.Event()))


# XA


def xa(name: str) -> str:
    return f"X'{name.encode().hex()}',X'',1"


def prepare(name: str, *, one_phase: bool = False) -> bytes:
    return struct.pack("<BiII", one_phase, 1, len(name), 0) + name.encode()


def prepared(log: Binlog, number: int, name: str, *numbers: int, one_phase: bool = False) -> Binlog:
    log.gtid(number).query(f"XA START {xa(name)}", thread=77)
    rows(log, *numbers).query(f"XA END {xa(name)}")
    return log.add(XA_PREPARE, prepare(name, one_phase=one_phase))


def test_rows_of_xa_transactions_count_where_they_are_committed(capture: Capture) -> None:
    log = prepared(Binlog(), 1, "a", 10, 11)
    prepared(log, 2, "b", 20)
    prepared(log, 3, "gone", 30)
    rows(log.gtid(4).query("BEGIN"), 40).commit()
    prepared(log, 5, "at once", 50, one_phase=True)
    log.gtid(6).query(f"XA COMMIT {xa('b')}")
    log.gtid(7).query(f"XA ROLLBACK {xa('gone')}")
    log.gtid(8)
    place = log.position
    log.query(f"XA COMMIT {xa('a')}")
    for bytes_max in (100, 1 << 20):
        reading = Reading(capture)
        followed = follow(reading, log, bytes_max)
        assert ids(reading, followed.records) == [40, 50, 20, 10, 11]
        assert [id_of(r).split(":")[1] for r in followed.records] == [
            "4/1", "5/1", "6/1", "8/1", "8/2",
        ]  # fmt: skip
        sources = [reading.decoded(record.value)["source"] for record in followed.records]
        assert [source["pos"] for source in sources[3:]] == [place] * 2
        assert sources[3]["thread"] == 77
        assert followed.checkpoint.gtid_set == f"{SOURCE}:1-8"
        assert followed.checkpoint.pos == log.position


def test_a_prepared_transaction_is_not_in_the_executed_set(capture: Capture) -> None:
    """So a server with GTIDs sends it again after a restart, before what follows."""
    log = prepared(Binlog(), 1, "a", 10, 11)
    rows(log.gtid(2).query("BEGIN"), 20).commit()
    reading = Reading(capture)
    followed = follow(reading, log)
    assert followed.checkpoint.gtid_set == f"{SOURCE}:2"
    # As a server sends what isn't in the set: the prepared one again, then what is new.
    rest = prepared(Binlog(), 1, "a", 10, 11).gtid(3).query(f"XA COMMIT {xa('a')}")
    again = Reading(capture)
    followed = again.follow(rest.data, followed.checkpoint)
    assert ids(again, followed.records) == [10, 11]
    assert followed.checkpoint.gtid_set == f"{SOURCE}:1-3"


def test_an_xa_transaction_inside_a_payload_waits_as_well(capture: Capture) -> None:
    inner = Binlog(checksum=False).query(f"XA START {xa('a')}")
    rows(inner, 1).query(f"XA END {xa('a')}").add(XA_PREPARE, prepare("a"))
    log = payload_log(packed(b"".join(inner.events[2:])))
    rows(log.gtid(2).query("BEGIN"), 2).commit().gtid(3).query(f"XA COMMIT {xa('a')}")
    reading = Reading(capture)
    assert ids(reading, follow(reading, log).records) == [2, 1]


def test_what_waits_is_in_memory_up_to_a_bound_then_in_a_file(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = prepared(Binlog(), 1, "a", *range(10))
    for name, number in (("b", 2), ("c", 3)):
        prepared(log, number, name, *range(number * 100, number * 100 + 50))
    log.gtid(4).query(f"XA ROLLBACK {xa('b')}").gtid(5).query(f"XA COMMIT {xa('c')}")
    log.gtid(6).query(f"XA COMMIT {xa('a')}")
    monkeypatch.setitem(capture.unfolding.Holds.open.__globals__, "MEMORY_BYTES_MAX", 400)
    reading = Reading(capture)
    assert ids(reading, follow(reading, log, 200).records) == [*range(300, 350), *range(10)]


# MariaDB


def test_rows_of_a_transaction_of_mariadb_that_is_rolled_back_do_not_count(
    capture: Capture,
) -> None:
    log = rows(Binlog("mariadb").begin(1), 1).commit()
    rows(log.begin(2), 2).query("ROLLBACK")
    rows(log.begin(3), 3).query("COMMIT")
    for bytes_max in range(60, 700, 7):
        reading = Reading(capture)
        followed = follow(reading, log, bytes_max)
        assert ids(reading, followed.records) == [1, 3]
        assert followed.checkpoint.gtid_set == "0-1-3"
        assert followed.checkpoint.pos == log.position


@pytest.mark.parametrize("memory_bytes_max", [1 << 20, 0])
def test_rows_behind_a_savepoint_of_mariadb_go_with_it(
    capture: Capture, monkeypatch: pytest.MonkeyPatch, memory_bytes_max: int
) -> None:
    bound = "MEMORY_BYTES_MAX"
    monkeypatch.setitem(capture.unfolding.Holds.open.__globals__, bound, memory_bytes_max)
    log = rows(Binlog("mariadb").begin(1), 1).query("SAVEPOINT `a`")
    rows(rows(log, 2).query("SAVEPOINT `b`"), 3).query("ROLLBACK TO `b`")
    rows(log, 4).query("ROLLBACK TO `a`")
    rows(log, 5).commit()
    rows(log.begin(2), 6).commit()
    for bytes_max in range(60, 900, 11):
        reading = Reading(capture)
        followed = follow(reading, log, bytes_max)
        assert ids(reading, followed.records) == [1, 5, 6]
        assert [id_of(r) for r in followed.records] == ["c/0-1-1/1", "c/0-1-1/2", "c/0-1-2/1"]


# What goes on as it is


def test_batches_without_any_of_this_go_on_as_they_are(capture: Capture) -> None:
    for flavor in ("mysql", "mariadb"):
        log = Binlog(flavor)
        for number in range(1, 4):
            rows(log.begin(number), number).commit()
        batch = capture.batch.EventBatch(log.data, Reading(capture).start(flavor))
        (out,) = capture.unfolding.Unfolder(1 << 20, 1 << 20).unfold([batch], threading.Event())
        assert out.events is batch.events
        assert out == batch


@settings(max_examples=30)
@given(bytes_max=st.integers(60, 3000))
@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
def test_unfolding_changes_no_record(capture: Capture, flavor: str, bytes_max: int) -> None:
    log = Binlog(flavor)
    for number in range(1, 6):
        rows(log.begin(number), number, number + 10).commit()
    direct, through = Reading(capture), Reading(capture)
    expected = [readable(record) for record in direct.first(log).records]
    assert [readable(r) for r in follow(through, log, bytes_max).records] == expected


@given(data=st.binary(max_size=200), kind=st.sampled_from([2, 4, 15, 16, 38, 40, 162, 165]))
def test_any_bytes_go_on_or_are_refused(capture: Capture, data: bytes, kind: int) -> None:
    log = Binlog("mariadb")
    log.begin(1).add(kind, data).add(2, data)
    with contextlib.suppress(DecodeError):
        follow(Reading(capture), log)

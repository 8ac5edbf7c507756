"""Rows of prepared XA transactions outlive a restart, though their binlog file is purged."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdc.capture.prepared_rows import PreparedRow, pack, rows_of, whole_bytes
from cdc.dead_letters import DeadLetters, Policy
from cdc.errors import DecodeError, LogError
from cdc.held_keys import First, HeldKeys
from cdc.log.embedded import EmbeddedLog
from cdc.model import Record, Revision, TopicSpec
from tests.binlogs import SOURCE, Binlog, Col, Followed, Reading, from_place, readable
from tests.forms_plugin import Capture
from tests.unit.test_unfolding import prepare, xa

XA_PREPARE = 38
TOPIC = "c.prepared"
COLUMNS = [
    Col(3, name="id"), Col(252, b"\4", name="note", nullable=True), Col(3, name="pin"),
]  # fmt: skip
SECRET = b"s3cret"
PIN = 0x51525354
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "metadata and statements": {
        "provide.transaction.metadata": True,
        "include.query": True,
        "context_keys": ["trace"],
    },
    "hidden": {
        "column.exclude.list": r"shop\.t\.pin",
        "column.mask.hash.v2.SHA-256.with.salt.x": r"shop\.t\.note",
    },
    "masked": {
        "column.exclude.list": r"shop\.t\.pin",
        "column.mask.with.3.chars": r"shop\.t\.note",
        "tombstones.on.delete": False,
        "skipped.operations": "d",
    },
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    with closing(EmbeddedLog(tmp_path / "log.db")) as log:
        yield log


class Stored:
    """A connector whose internal topic is in a log; what else it writes is given back."""

    def __init__(self, capture: Capture, log: EmbeddedLog, **more: Any) -> None:
        self.capture, self.log, self.more = capture, log, more
        self.ids: dict[str, int] = {}
        self.spec = TopicSpec(TOPIC, compacted=True)

    def reading(self) -> Reading:
        store = self.capture.prepared_store.PreparedStore(self.log, self.spec)
        reading = Reading(self.capture, ids=self.ids, store=store, **self.more)
        self.ids = reading.ids
        return reading

    def write(self, records: Sequence[Record]) -> list[Record]:
        """Write what belongs into the store; the other records."""
        kept = [record for record in records if record.topic == TOPIC]
        if kept:
            with closing(self.log.writer("c")) as writer:
                writer.write(kept)
        return [record for record in records if record.topic != TOPIC]

    def kept(self) -> dict[bytes | None, bytes | None]:
        """What a compaction would leave in the store."""
        if TOPIC not in self.log.topics():
            return {}
        last = {one.key: one.value for one in self.log.follow(TOPIC, {}, wait_seconds=0)}
        return {key: value for key, value in last.items() if value is not None}


def row(number: int, note: bytes = SECRET, pin: int = PIN) -> bytes:
    return b"\0" + struct.pack("<iI", number, len(note)) + note + struct.pack("<i", pin)


def statement(log: Binlog, text: str) -> Binlog:
    return log.add(29, b"\xff" + text.encode())


def begin(log: Binlog, number: int, name: str) -> Binlog:
    if log.flavor == "mariadb":
        body = struct.pack("<QIB", number, 0, 0x40) + struct.pack("<iBB", 1, len(name), 0)
        return log.add(162, body + name.encode())
    return log.gtid(number).query(f"XA START {xa(name)}", thread=77)


def prepared(log: Binlog, number: int, name: str, *first: int) -> Binlog:
    """Rows of each kind, of a table that isn't captured too."""
    begin(log, number, name)
    for base in first:
        if log.flavor == "mysql":
            statement(log, f"insert into t /*trace='{base}'*/")
        log.table(COLUMNS).rows(0, 3, row(base) + row(base + 1))
        log.table(COLUMNS, database="other", table_id=78).rows(0, 3, row(0) * 3, table_id=78)
        if log.flavor == "mysql":
            statement(log, "update t")
        log.table(COLUMNS).rows(1, 3, row(base) + row(base, b"new " + SECRET))
        log.rows(1, 3, row(base + 1) + row(base + 100)).rows(2, 3, row(base))
    return log.query(f"XA END {xa(name)}").add(XA_PREPARE, prepare(name))


def decided(log: Binlog, number: int, name: str, verb: str = "COMMIT") -> Binlog:
    if log.flavor == "mariadb":
        log.add(162, struct.pack("<QIB", number, 0, 0x81) + struct.pack("<iBB", 1, 1, 0) + b"x")
    else:
        log.gtid(number)
    return log.query(f"XA {verb} {xa(name)}")


def ordinary(log: Binlog, number: int) -> Binlog:
    return log.begin(number).table(COLUMNS).rows(0, 3, row(number)).commit()


def two_at_once(flavor: str) -> Binlog:
    log = prepared(Binlog(flavor), 1, "a", 1000, 2000)
    ordinary(prepared(prepared(ordinary(log, 2), 3, "b", 3000), 4, "gone", 4000, 5000), 5)
    decided(log, 6, "gone", "ROLLBACK")
    decided(ordinary(decided(log, 7, "b"), 8), 9, "a")
    return ordinary(log, 10)


def follow(reading: Reading, log: Binlog, bytes_max: int) -> Followed:
    start = reading.start(log.flavor, log.file, log.begins_at)
    return reading.follow(log.data, start, bytes_max=bytes_max)


@pytest.mark.parametrize("options", [*OPTIONS])
@pytest.mark.parametrize("flavor", ["mysql", "mariadb"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bytes_max=st.integers(60, 3000),
    chunk=st.integers(40, 4000),
    cuts=st.lists(st.integers(0, 10**6), max_size=4),
)
def test_restarts_anywhere_change_no_record(
    capture: Capture, tmp_path_factory: pytest.TempPathFactory, flavor: str, options: str,
    bytes_max: int, chunk: int, cuts: list[int],
) -> None:  # fmt: skip
    binlog = two_at_once(flavor)
    whole = Reading(capture, options=OPTIONS[options])
    expected = follow(whole, binlog, bytes_max)
    path = tmp_path_factory.mktemp("log") / "log.db"
    with closing(EmbeddedLog(path)) as log, pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture.prepared_store, "CHUNK_BYTES_MAX", chunk)
        stored = Stored(capture, log, options=OPTIONS[options])
        stored.ids = dict(whole.ids)
        found: list[Record] = []
        reading = stored.reading()
        start = reading.start(flavor, binlog.file, 4)
        for cut in [*cuts, 10**9]:
            reading = stored.reading()
            # As a server sends it that has purged all before.
            data = from_place(binlog.events[1:], binlog.file, start.pos)
            outputs = reading.follow(data, start, bytes_max=bytes_max).outputs
            for output in outputs[: cut % len(outputs) + 1 if cut < 10**9 else None]:
                found += stored.write(output.records)
                start = capture.checkpoint.Checkpoint.from_bytes(output.checkpoint.to_bytes())
        assert [readable(one) for one in found] == [readable(one) for one in expected.records]
        assert not start.prepared
        assert start.gtid_set == expected.checkpoint.gtid_set
        assert not stored.kept()


@pytest.mark.parametrize("options", ["hidden", "masked"])
def test_hidden_values_are_in_no_record_of_the_store(
    capture: Capture, log: EmbeddedLog, options: str
) -> None:
    stored = Stored(capture, log, options=OPTIONS[options])
    stored.write(follow(stored.reading(), prepared(Binlog(), 1, "a", 1, 2), 1000).records)
    values = b"".join(value or b"" for value in stored.kept().values())
    assert len(values) > 500
    assert SECRET not in values
    assert struct.pack("<i", PIN) not in values
    assert b"other" not in values


def test_what_is_kept_counts_as_processed(capture: Capture, log: EmbeddedLog) -> None:
    """So a server that has purged it isn't asked for it."""
    stored = Stored(capture, log)
    checkpoint = follow(stored.reading(), prepared(Binlog(), 1, "a", 1), 1000).checkpoint
    assert checkpoint.gtid_set == f"{SOURCE}:1"
    (place,) = checkpoint.prepared.values()
    assert place.is_kept
    assert not place.source
    assert not checkpoint.unkept()


def test_a_transaction_without_captured_rows_needs_no_record(
    capture: Capture, log: EmbeddedLog
) -> None:
    stored = Stored(capture, log, tables=("other.nothing",))
    followed = follow(stored.reading(), prepared(Binlog(), 1, "a", 1), 1000)
    assert not followed.records
    rest = decided(Binlog(), 2, "a")
    again = stored.reading().follow(rest.data, followed.checkpoint)
    assert not again.records
    assert not again.checkpoint.prepared


def test_a_row_that_can_not_be_published_stays_where_it_is(
    capture: Capture, log: EmbeddedLog
) -> None:
    """What becomes of it is decided where it is committed, as without a restart."""
    stored = Stored(capture, log)
    binlog = begin(Binlog(), 1, "a").table(COLUMNS).rows(0, 3, row(1))
    binlog.rows(0, 3, b"\0" + bytes(4), present=b"\1").query(f"XA END {xa('a')}")
    binlog.add(XA_PREPARE, prepare("a"))
    followed = follow(stored.reading(), binlog, 60)
    stored.write(followed.records)
    assert not stored.kept()
    assert followed.checkpoint.gtid_set == ""
    assert [*followed.checkpoint.unkept()] == [xa("a")]
    with pytest.raises(DecodeError, match="comes without its"):
        follow(stored.reading(), decided(binlog, 2, "a"), 60)


def test_rows_that_are_gone_from_the_store_stop_the_reading(
    capture: Capture, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.prepared_store, "CHUNK_BYTES_MAX", 100)
    stored = Stored(capture, log)
    followed = follow(stored.reading(), prepared(Binlog(), 1, "a", 1), 1000)
    stored.write([record for record in followed.records if not record.key.endswith(b" 2")])
    with pytest.raises(LogError, match=r"are \d+ records in topic c\.prepared, and 2 are there"):
        stored.reading().follow(decided(Binlog(), 2, "a").data, followed.checkpoint)


def test_a_name_may_be_used_again_at_once(capture: Capture, log: EmbeddedLog) -> None:
    stored = Stored(capture, log)
    binlog = decided(prepared(Binlog(), 1, "a", 1), 2, "a", "ROLLBACK")
    followed = follow(stored.reading(), prepared(binlog, 3, "a", 7), 1 << 20)
    stored.write(followed.records)
    assert len(stored.kept()) == 1
    again = stored.reading().follow(decided(Binlog(), 4, "a").data, followed.checkpoint)
    assert len([record for record in again.records if record.topic == "c.shop.t"]) == 8


def test_one_phase_is_not_kept(capture: Capture, log: EmbeddedLog) -> None:
    stored = Stored(capture, log)
    binlog = begin(Binlog(), 1, "a").table(COLUMNS).rows(0, 3, row(1))
    binlog.add(XA_PREPARE, prepare("a", one_phase=True))
    followed = follow(stored.reading(), binlog, 60)
    assert [record.topic for record in followed.records] == ["c.shop.t"]
    assert TOPIC not in log.topics()


def held_key(number: int) -> DeadLetters:
    """A dead letter of this row's key is kept, and its later changes wait behind it."""
    held = HeldKeys()
    held.add([("c.shop.t", (2 * number).to_bytes(1))], First("c/x/1", Revision(1, 0)))
    return DeadLetters(Policy(is_holding=True), held_keys=held)


def test_a_kept_row_whose_key_came_to_be_held_stops_until_it_no_longer_is(
    capture: Capture, log: EmbeddedLog
) -> None:
    stored = Stored(capture, log)
    followed = follow(stored.reading(), prepared(Binlog(), 1, "a", 1), 1000)
    stored.write(followed.records)
    commit = decided(Binlog(), 2, "a").data
    stored.more["dead_letters"] = held_key(2)
    with pytest.raises(DecodeError, match=r"was prepared before.*is held behind dead letter c/x/1"):
        stored.reading().follow(commit, followed.checkpoint)
    stored.more["dead_letters"] = held_key(9)
    again = stored.reading().follow(commit, followed.checkpoint)
    assert len([record for record in again.records if record.topic == "c.shop.t"]) == 8


def test_a_row_whose_key_is_held_when_it_is_prepared_is_not_kept(
    capture: Capture, log: EmbeddedLog
) -> None:
    stored = Stored(capture, log, dead_letters=held_key(2))
    followed = follow(stored.reading(), prepared(Binlog(), 1, "a", 1), 1000)
    stored.write(followed.records)
    assert not stored.kept()
    assert followed.checkpoint.unkept()


ROW = PreparedRow(
    0x75, 3, 2, 1, 77, "shop.t", False, "c.shop.t", b"\x08shop", b"\2t", b"\0",
    [("trace", b"\xc3\xa4")], ("__debezium.newkey", b"k\0"), b"\0\0\0\0\1\2",
    b"\0\0\0\0\2" + bytes(300),
)  # fmt: skip


def test_kept_rows_are_read_back_and_cut_only_between_rows() -> None:
    half = ROW._replace(is_half=True, operation=0x64)
    rows = [ROW, ROW._replace(headers=[], other_key=None, key=b"", images=b""), half, ROW]
    packed = [pack(one) for one in rows]
    data = b"".join(packed)
    assert list(rows_of(data)) == rows
    ends = [0, len(packed[0]), len(packed[0] + packed[1]), len(data)]  # a row's halves stay one
    for size in range(len(data) + 1):
        assert whole_bytes(data[:size]) == max(end for end in ends if end <= size)

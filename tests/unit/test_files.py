"""Binlog files come as one stream, as a server would send it; damage is named, never passed."""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.files import FilesSource
from cdc.capture.framing import whole_events_end
from cdc.capture.source_settings import StartAt
from cdc.errors import DecodeError, PositionLost, SourceError
from tests.binlogs import Binlog, Col, Reading, golden_events, with_checksum
from tests.forms_plugin import Capture

GOLDEN = Path(__file__).parent.parent / "golden"
MYSQL = GOLDEN / "gstream2.binlog"
MARIADB = GOLDEN / "mariadb" / "gmaria5.binlog"
ROTATE, FORMAT_DESCRIPTION, GTID = 4, 15, 33
ARTIFICIAL = 0x20
EARLIEST = StartAt("earliest")


def source(*paths: Path, start: StartAt = EARLIEST, batch_bytes_max: int = 4096) -> FilesSource:
    return FilesSource(paths, start=start, stop=threading.Event(), batch_bytes_max=batch_bytes_max)


def events_of(batches: Sequence[EventBatch]) -> list[bytes]:
    return [event for batch in batches for event in split(batch.events)]


def split(events: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(events):
        size = struct.unpack_from("<I", events, at + 9)[0]
        yield events[at : at + size]
        at += size


def kind_of(event: bytes) -> int:
    return event[4]


def is_sealed(event: bytes) -> bool:
    """Whether the event ends in its own CRC32."""
    return zlib.crc32(event[:-4]) == struct.unpack("<I", event[-4:])[0]


def first_gtid_pos(path: Path) -> int:
    at = 4
    for event in split(path.read_bytes()[4:]):
        if kind_of(event) in (GTID, 162):
            return at
        at += len(event)
    raise AssertionError("no transaction in there")


def test_events_come_as_they_stand_in_the_file_behind_its_name() -> None:
    batches = list(source(MYSQL).read(None))
    rotate, *events = events_of(batches)
    assert b"".join(events) == MYSQL.read_bytes()[4:]
    assert struct.unpack_from("<IBIIIH", rotate)[1::4] == (ROTATE, ARTIFICIAL)
    assert rotate[19:] == struct.pack("<Q", 4) + b"gstream2.binlog"
    assert len(batches) > 1
    assert all(len(batch.events) <= 4096 + len(rotate) for batch in batches)


@pytest.mark.parametrize(("path", "flavor"), [(MYSQL, "mysql"), (MARIADB, "mariadb")])
def test_only_the_first_batch_says_where_the_reading_begins(path: Path, flavor: str) -> None:
    first, *others = list(source(path).read(None))
    assert first.start is not None
    assert (first.start.flavor, first.start.file, first.start.pos) == (flavor, path.name, 4)
    assert all(batch.start is None for batch in others)


def test_several_files_are_one_stream_and_each_is_named_as_the_events_before_it_are_sealed(
    tmp_path: Path,
) -> None:
    second = tmp_path / "binlog.000002"
    second.write_bytes(MYSQL.read_bytes())
    events = events_of(list(source(MYSQL, second).read(None)))
    renames = [event for event in events if event[17] & ARTIFICIAL and kind_of(event) == ROTATE]
    assert [is_sealed(event) for event in renames] == [False, True]
    assert renames[1][27:-4] == b"binlog.000002"
    assert b"".join(events[events.index(renames[1]) + 1 :]) == MYSQL.read_bytes()[4:]


@given(size=st.integers(1, 9000))
def test_any_size_of_batches_gives_the_same_events(size: int) -> None:
    batches = list(source(MYSQL, batch_bytes_max=size).read(None))
    assert b"".join(events_of(batches)[1:]) == MYSQL.read_bytes()[4:]


@given(data=st.binary(max_size=80), bound=st.integers(0, 90))
def test_the_cut_never_leaves_the_data(data: bytes, bound: int) -> None:
    end = whole_events_end(data, bound)
    assert end <= min(len(data), bound)
    assert end != 0 or len(data) < 19


@pytest.mark.parametrize("path", [MYSQL, MARIADB])
def test_a_resumed_reading_gives_the_name_the_description_and_the_rest(path: Path) -> None:
    pos = first_gtid_pos(path)
    checkpoint = next(iter(source(path).read(None))).start
    assert checkpoint is not None
    batches = list(source(path).read(replace(checkpoint, pos=pos)))
    rotate, description, *events = events_of(batches)
    assert rotate[19:] == struct.pack("<Q", pos) + path.name.encode()
    assert kind_of(description) == FORMAT_DESCRIPTION
    assert description[13:17] == bytes(4)
    assert is_sealed(description)
    assert b"".join(events) == path.read_bytes()[pos:]


def test_a_resumed_reading_begins_in_the_checkpoints_file(tmp_path: Path) -> None:
    second = tmp_path / "binlog.000002"
    second.write_bytes(MYSQL.read_bytes())
    after = Checkpoint("mysql", "", "", "binlog.000002", 4)
    batches = list(source(MYSQL, second).read(after))
    assert batches[0].start == after
    assert b"".join(events_of(batches)[1:]) == MYSQL.read_bytes()[4:]


def test_a_file_of_more_than_4_gib_has_positions_of_64_bits(
    capture: Capture, tmp_path: Path
) -> None:
    """Of which an event holds the lower 32; the hole in it takes no room on the disk."""
    begin = (5 << 30) + 17
    columns = [Col(3, name="id")]
    log = Binlog(position=begin).begin(7).table(columns).rows(0, 1, b"\0\1\0\0\0").commit()
    path = tmp_path / log.file
    with path.open("wb") as file:
        file.write(b"\xfebin" + Binlog().events[1])
        file.seek(begin)
        file.write(b"".join(log.events[2:]))
    after = Checkpoint("mysql", "", "", log.file, begin)
    reading = Reading(capture)
    outputs = [reading.decoder(batch) for batch in source(path).read(after)]
    (record,) = [record for output in outputs for record in output.records]
    assert begin < reading.decoded(record.value)["source"]["pos"] < log.position
    assert outputs[-1].checkpoint.pos == log.position == path.stat().st_size
    inside = replace(after, pos=log.position + 1)
    with pytest.raises(PositionLost, match=str(log.position)):
        list(source(path).read(inside))


def test_a_start_at_a_position_counts_the_transactions_before_it() -> None:
    second_gtid = [position for position, event in positions(MYSQL) if kind_of(event) == GTID][1]
    batches = list(source(MYSQL, start=at(MYSQL, second_gtid)).read(None))
    begin, later = (next(iter(source(MYSQL).read(None))).start, batches[0].start)
    assert begin is not None
    assert later is not None
    assert later.pos == second_gtid
    first = next(event for _, event in positions(MYSQL) if kind_of(event) == GTID)
    number = struct.unpack_from("<Q", first, 19 + 17)[0]
    assert later.gtid_set.endswith(str(number))
    assert later.gtid_set != begin.gtid_set


def positions(path: Path) -> list[tuple[int, bytes]]:
    found, at = [], 4
    for event in split(path.read_bytes()[4:]):
        found.append((at, event))
        at += len(event)
    return found


def at(path: Path, position: int) -> StartAt:
    return StartAt("file", file=path.name, position=position)


def test_a_start_inside_a_transaction_or_an_event_is_refused() -> None:
    inside = next(position for position, event in positions(MYSQL) if kind_of(event) == 19)
    with pytest.raises(SourceError, match="inside a transaction"):
        list(source(MYSQL, start=at(MYSQL, inside)).read(None))
    with pytest.raises(SourceError, match="no event begins there"):
        list(source(MYSQL, start=at(MYSQL, inside + 1)).read(None))


def test_a_start_that_files_cannot_have_is_refused() -> None:
    with pytest.raises(SourceError, match=r"source\.start latest"):
        list(source(MYSQL, start=StartAt("latest")).read(None))


def test_a_set_stop_ends_the_reading_after_the_batch() -> None:
    stop = threading.Event()
    reading = FilesSource([MYSQL], start=EARLIEST, stop=stop, batch_bytes_max=100).read(None)
    next(reading)
    stop.set()
    assert list(reading) == []


@pytest.mark.parametrize("missing", [1, 10])
def test_a_file_that_ends_inside_an_event_is_refused_after_its_whole_events(
    tmp_path: Path, missing: int
) -> None:
    cut = tmp_path / "binlog.000009"
    cut.write_bytes(MYSQL.read_bytes()[:-missing])
    last_pos, _ = positions(MYSQL)[-1]
    taken: list[EventBatch] = []
    with pytest.raises(DecodeError, match=f"binlog.000009 ends inside an event.* {last_pos}"):
        taken.extend(source(cut).read(None))
    assert b"".join(events_of(read_until_error(cut))[1:]) == MYSQL.read_bytes()[4:last_pos]


def read_until_error(path: Path) -> list[EventBatch]:
    batches = []
    reading = source(path).read(None)
    try:
        for batch in reading:
            batches.append(batch)  # the error must not take them along
    except DecodeError:
        pass
    return batches


def test_a_file_that_ends_between_events_is_whole(tmp_path: Path) -> None:
    last_pos, _ = positions(MYSQL)[-1]
    cut = tmp_path / "binlog.000009"
    cut.write_bytes(MYSQL.read_bytes()[:last_pos])
    assert b"".join(events_of(list(source(cut).read(None)))[1:]) == cut.read_bytes()[4:]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (b"\x00\x00\x00\x00", "claims 1 bytes|claims 0 bytes"),
        (b"\x05\x00\x00\x00", "claims 5 bytes"),
        (b"\xff\xff\xff\xff", "bound is"),
    ],
)
def test_a_damaged_size_is_refused_with_file_and_position(
    tmp_path: Path, damage: bytes, says: str
) -> None:
    pos, _ = positions(MYSQL)[5]
    data = bytearray(MYSQL.read_bytes())
    data[pos + 9 : pos + 13] = damage
    bad = tmp_path / "binlog.000001"
    bad.write_bytes(data)
    with pytest.raises(DecodeError, match=says) as refused:
        list(source(bad).read(None))
    assert f"{pos}" in str(refused.value)
    assert "binlog.000001" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no binlog file"),
        (b"\x7fELF" + bytes(100), "no binlog file"),
        (b"\xfdbin" + bytes(100), "is encrypted"),
        (b"\xfebin" + bytes(100), "format description"),
        (b"\xfebin" + MYSQL.read_bytes()[4:60], "format description"),
    ],
)
def test_what_is_no_binlog_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "binlog.000001"
    path.write_bytes(content)
    with pytest.raises((DecodeError, SourceError), match=says):
        list(source(path).read(None))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.000001"):
        list(source(tmp_path / "gone.000001").read(None))


@pytest.mark.parametrize(
    ("file", "pos", "says"),
    [("binlog.000007", 4, "binlog.000007"), (MYSQL.name, 10**9, "the file ends at")],
)
def test_a_checkpoint_that_the_files_do_not_reach_is_refused(
    file: str, pos: int, says: str
) -> None:
    with pytest.raises(PositionLost, match=says):
        list(source(MYSQL).read(Checkpoint("mysql", "", "", file, pos)))


def test_a_damaged_gtid_set_at_the_begin_is_refused_with_its_place(tmp_path: Path) -> None:
    events = golden_events("gstream2")
    at = next(i for i, event in enumerate(events) if event[4] == 35)
    events[at] = with_checksum(events[at][:19] + b"\xff" + events[at][20:])
    path = tmp_path / "binlog.000001"
    path.write_bytes(b"\xfebin" + b"".join(events))
    with pytest.raises(DecodeError, match=r"binlog\.000001:4: PREVIOUS_GTIDS \(35\) at 1\d\d,"):
        list(FilesSource([path], start=StartAt("earliest"), stop=threading.Event()).read(None))

"""The spool: what is appended comes back, resolved by a checkpoint; damage is seen."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.capture.batch import EventBatch
from cdc.capture.checkpoint import Checkpoint
from cdc.capture.files import FilesSource
from cdc.capture.source_settings import StartAt
from cdc.capture.unfolding import Unfolder
from cdc.errors import PositionLost, SourceError, Unreachable
from cdc.spool.ahead import SpoolAhead
from cdc.spool.appending import Appender
from cdc.spool.order import Order
from cdc.spool.segment import SegmentDamaged, events_of, load_segment
from cdc.spool.source import SpooledSource
from cdc.spool.store import Spool, SpoolFull
from cdc.spool.trail import Trail
from tests.unit.test_files import MARIADB, MYSQL, split

SERVER = "server"
PLACE = "here:/spool"
OPENING = (33, 34, 42, 162)
MIB = 1 << 20
NEVER = float("inf")


class Dump:
    """A server's binlog that is one file: batches of a dump from the checkpoint on."""

    def __init__(self, path: Path, batch_bytes_max: int = 4096) -> None:
        self.path, self._batch_bytes_max = path, batch_bytes_max
        self.purged_to = 0
        """Position before which nothing is left."""
        self.asked: list[Checkpoint | None] = []

    def events(
        self, after: Checkpoint | None, unfolder: Unfolder | None = None
    ) -> Iterator[EventBatch]:
        self.asked.append(after)
        if (after.pos if after is not None else 0) < self.purged_to:
            raise PositionLost("the server purged it", hint="begin anew")
        source = FilesSource(
            [self.path],
            start=StartAt("earliest"),
            stop=threading.Event(),
            batch_bytes_max=self._batch_bytes_max,
        )
        yield from source._read(after)

    def recall(self, prepared: object, unfolder: Unfolder) -> None:
        raise AssertionError("no transaction here is prepared")

    def close(self) -> None: ...

    def begin(self) -> Checkpoint:
        first = next(iter(self.events(None))).start
        assert first is not None
        return replace(first, server=SERVER)


@pytest.fixture(params=[MYSQL, MARIADB], ids=["mysql", "mariadb"])
def dump(request: pytest.FixtureRequest) -> Dump:
    return Dump(request.param)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", "shop", MIB, Order("auto"))
    spool.open()
    yield spool
    spool.close()


def spool_all(spool: Spool, dump: Dump, after: Checkpoint, segment_bytes: int = MIB) -> None:
    ticks = iter(range(10**9))
    appender = Appender(spool, after, segment_bytes=segment_bytes, clock=lambda: next(ticks))
    for batch in dump.events(after):
        appender.take(batch.events)
    appender.close()


def purge(spool: Spool, dump: Dump) -> None:
    """The server keeps what the spool hasn't got."""
    end = spool.end
    dump.purged_to = end.checkpoint.pos if end is not None else 0


def transactions(events: bytes) -> list[bytes]:
    """Each with all that follows it up to the next one."""
    found: list[bytes] = []
    for event in split(events):
        if event[4] in OPENING:
            found.append(b"")
        if found and event[4] not in (4, 15, 27):
            found[-1] += event
    return found


def drained(
    spool: Spool, dump: Dump, after: Checkpoint, batch_bytes_max: int = 4096
) -> list[EventBatch]:
    source = new_source(spool, dump, batch_bytes_max)
    return list(source._events(after, Unfolder(batch_bytes_max, MIB)))


def new_source(spool: Spool, dump: Dump, batch_bytes_max: int = 4096) -> SpooledSource:
    return SpooledSource(
        dump,
        spool,
        place=PLACE,
        stop=threading.Event(),
        batch_bytes_max=batch_bytes_max,
        event_bytes_max=MIB,
    )


def all_events(batches: Sequence[EventBatch]) -> bytes:
    return b"".join(batch.events for batch in batches)


def assert_one_stream(batches: Sequence[EventBatch]) -> None:
    """Files are named as the events before them are sealed, or a reader would call it damaged."""
    start = batches[0].start
    assert start is not None
    trail = Trail(start)
    for batch in batches:
        for _ in trail.boundaries(batch.events):
            pass


def whole(dump: Dump) -> list[bytes]:
    return transactions(all_events(list(dump.events(None))))


@pytest.mark.parametrize("segment_bytes", [MIB, 2000])
def test_what_is_spooled_comes_back_and_the_server_behind_it(
    dump: Dump, spool: Spool, segment_bytes: int
) -> None:
    begin, expected = dump.begin(), whole(dump)
    spool_all(spool, dump, begin, segment_bytes)
    purge(spool, dump)
    assert (len(spool.segments) > 1) == (segment_bytes == 2000)
    batches = drained(spool, dump, begin)
    onward = dump.asked[-1]
    assert transactions(all_events(batches)) == expected
    assert_one_stream(batches)
    assert [batch.start is not None for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert onward is not None
    end = spool.end
    assert end is not None
    assert (onward.file, onward.pos) == (end.checkpoint.file, end.checkpoint.pos)


def test_it_does_not_matter_how_the_stream_is_cut(dump: Dump, spool: Spool) -> None:
    begin, expected = dump.begin(), whole(dump)
    appender = Appender(spool, begin)
    for batch in dump.events(begin):
        for event in split(batch.events):
            appender.take(event)
    appender.close()
    purge(spool, dump)
    assert transactions(all_events(drained(spool, dump, begin))) == expected


@pytest.mark.parametrize("coordinates", ["auto", "file"])
def test_a_checkpoint_inside_is_gone_on_from_without_gap_or_overlap(
    dump: Dump, tmp_path: Path, coordinates: str
) -> None:
    begin = dump.begin()
    spool = Spool(tmp_path / "inside", "shop", MIB, Order(coordinates))  # type: ignore[arg-type]
    spool.open()
    spool_all(spool, dump, begin, 2000)
    expected = whole(dump)
    trail = Trail(begin)
    places = []
    for batch in list(dump.events(begin)):
        for _ in trail.boundaries(batch.events):
            if trail.opening is not None:
                places.append(trail.checkpoint())
    assert len(places) == len(expected) > 20
    purge(spool, dump)
    for number, place in enumerate(places):
        if number % 7 and number < len(places) - 2:
            continue
        after = replace(place, sequence=number, epoch=3)
        batches = drained(spool, dump, after)
        assert transactions(all_events(batches)) == expected[number:]
        assert_one_stream(batches)
        start = batches[0].start
        assert start is not None
        assert (start.sequence, start.epoch) == (number, 3)
    spool.close()


def test_what_is_committed_is_removed_by_segments(dump: Dump, spool: Spool) -> None:
    spool_all(spool, dump, dump.begin(), 2000)
    segments = spool.segments
    spool.passed(segments[1].end.checkpoint)
    assert spool.segments == segments[2:]
    assert not segments[1].path.exists()
    spool.passed(segments[-1].end.checkpoint)
    assert spool.bytes == 0


def test_it_goes_on_where_it_ended_after_a_crash_at_any_byte(dump: Dump, spool: Spool) -> None:
    begin, expected = dump.begin(), whole(dump)
    spool_all(spool, dump, begin)
    (segment,) = spool.segments
    content = segment.path.read_bytes()
    for size in range(len(content) - 1, 0, -len(content) // 40):
        dump.purged_to = 0
        segment.path.write_bytes(content[:size] + bytes(20))
        reopen(spool)
        end = spool.end
        spool_all(spool, dump, end.checkpoint if end is not None else begin)
        purge(spool, dump)
        reopen(spool)
        assert transactions(all_events(drained(spool, dump, begin))) == expected
        for one in spool.segments:
            one.path.unlink()
        segment.path.write_bytes(content)


def reopen(spool: Spool) -> None:
    """As another process would."""
    spool.close()
    spool.open()


def damage(spool: Spool) -> Path:
    """Flip a byte in the middle of the second segment's events."""
    segment = spool.segments[1]
    content = bytearray(segment.path.read_bytes())
    content[len(content) // 2] ^= 1
    segment.path.write_bytes(content)
    return segment.path


def test_damage_is_gone_round_by_the_server(dump: Dump, spool: Spool) -> None:
    begin = dump.begin()
    spool_all(spool, dump, begin, 4000)
    path = damage(spool)
    with pytest.raises(Unreachable, match=f"{path} is damaged at byte"):
        drained(spool, dump, begin)
    reopen(spool)
    assert transactions(all_events(drained(spool, dump, begin))) == whole(dump)


def test_damage_is_named_where_the_server_has_purged_what_stood_there(
    dump: Dump, spool: Spool
) -> None:
    begin = dump.begin()
    spool_all(spool, dump, begin, 4000)
    purge(spool, dump)
    path = damage(spool)
    with pytest.raises(Unreachable):
        drained(spool, dump, begin)
    with pytest.raises(PositionLost, match=f"{path} is damaged at byte .*no longer has") as told:
        drained(spool, dump, begin)
    assert "restore the file" in told.value.hint


def test_damage_where_a_file_begins_costs_no_other_file(dump: Dump, spool: Spool) -> None:
    begin, expected = dump.begin(), whole(dump)
    spool_all(spool, dump, begin, 4000)
    purge(spool, dump)
    paths = [one.path for one in spool.segments]
    content = paths[0].read_bytes()
    paths[0].write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    reopen(spool)
    with pytest.raises(PositionLost, match=f"{paths[0]} is damaged at byte .*no longer has"):
        drained(spool, dump, begin)
    paths[0].write_bytes(content)  # from a copy
    reopen(spool)
    assert transactions(all_events(drained(spool, dump, begin))) == expected


def test_any_bit_that_flips_is_seen_or_costs_only_what_the_server_still_has(
    dump: Dump, spool: Spool
) -> None:
    spool_all(spool, dump, dump.begin())
    (segment,) = spool.segments
    content = segment.path.read_bytes()
    good = [events for _, events in events_of(segment, 0)]
    for at in range(0, len(content), len(content) // 200):
        segment.path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        try:
            found = load_segment(segment.path, 1)
            events = [events for _, events in events_of(found, 0)]
        except SegmentDamaged as error:
            assert str(segment.path) in str(error)
        else:
            assert events == good[: len(events)]


def test_a_full_spool_says_so_and_keeps_what_it_has(dump: Dump, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "small", "shop", 10_000, Order("auto"))
    spool.open()
    begin = dump.begin()
    with pytest.raises(SpoolFull, match=r"spool.bytes_max: 10000 is reached"):
        spool_all(spool, dump, begin)
    assert 0 < spool.bytes <= 10_000
    expected = whole(dump)
    purge(spool, dump)
    assert dump.purged_to > begin.pos
    assert transactions(all_events(drained(spool, dump, begin))) == expected
    spool.close()


def test_nobody_else_on_the_machine_can_read_it(dump: Dump, spool: Spool) -> None:
    spool_all(spool, dump, dump.begin())
    spool.note(dump.begin())
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    files = list(spool.folder.iterdir())
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_two_processes_never_have_it_together(spool: Spool) -> None:
    other = Spool(spool.folder, "shop", MIB, Order("auto"))
    with pytest.raises(Unreachable, match="another process has the spool"):
        other.open()
    spool.close()
    other.open()
    other.close()


def test_another_connectors_spool_is_refused(dump: Dump, spool: Spool) -> None:
    spool.note(dump.begin())
    spool.close()
    other = Spool(spool.folder, "other", MIB, Order("auto"))
    with pytest.raises(SourceError, match="is of connector shop, not of other"):
        other.open()


def test_a_spool_without_a_checkpoint_in_the_log_stops(dump: Dump, spool: Spool) -> None:
    spool_all(spool, dump, dump.begin())
    with pytest.raises(SourceError, match="the log knows no checkpoint"):
        drained(spool, dump, None)  # type: ignore[arg-type]


def test_a_spool_that_begins_behind_the_checkpoint_is_left_alone(dump: Dump, spool: Spool) -> None:
    begin = dump.begin()
    spool_all(spool, dump, begin, 2000)
    first = spool.segments[0]
    spool.passed(first.end.checkpoint)
    batches = drained(spool, dump, begin)
    assert dump.asked[-1] == begin  # no further than the server was asked before
    assert transactions(all_events(batches)) == whole(dump)


def test_a_spool_whose_server_changed_is_read_in_two_readings(dump: Dump, spool: Spool) -> None:
    begin, expected = dump.begin(), whole(dump)
    batches = list(dump.events(begin))
    appender = Appender(spool, begin)
    for batch in batches[: len(batches) // 2]:
        appender.take(batch.events)
    appender.close()
    assert spool.end is not None
    changed = spool.end.checkpoint
    spool_all(spool, dump, replace(changed, server="other"))
    purge(spool, dump)
    first: list[EventBatch] = []
    with pytest.raises(Unreachable, match="was the server server, and is other from here on"):
        for batch in new_source(spool, dump)._events(begin, Unfolder(4096, MIB)):
            first.append(batch)
    before = transactions(all_events(first))
    assert 0 < len(before) < len(expected)
    assert before + transactions(all_events(drained(spool, dump, changed))) == expected


def test_who_looks_ahead_finds_there_what_the_source_may_have_purged(
    dump: Dump, spool: Spool
) -> None:
    spool_all(spool, dump, dump.begin(), 4000)
    ahead, place = SpoolAhead(spool), spool.segments[1].end.checkpoint
    kept = ahead.behind(SERVER, place.file, place.pos - 1)
    assert kept is not None
    assert kept.begin < (place.file, place.pos)
    found = b"".join(transactions(b"".join(kept.events)))
    assert spool.end is not None
    end = spool.end.checkpoint
    assert kept.end == (end.file, end.pos)
    assert len(found) == end.pos - kept.begin[1] <= kept.bytes
    assert found in b"".join(whole(dump))
    assert ahead.behind(SERVER, *kept.end) is None
    assert ahead.behind("other", place.file, place.pos) is None

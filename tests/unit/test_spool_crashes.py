"""The spool's process dies, or its machine loses power, at each call to the disk in turn."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cdc.capture.checkpoint import Checkpoint
from cdc.errors import SourceError, Unreachable
from cdc.spool.appending import Appender
from cdc.spool.disk import Disk
from cdc.spool.order import Order
from cdc.spool.store import SUFFIX, Spool, SpoolFull
from cdc.spool.trail import Trail
from tests.unit.test_files import MYSQL
from tests.unit.test_spool import MIB, Dump, all_events, drained, transactions, whole

SEGMENT_BYTES = 6000
BATCH_BYTES = 2048
LATER_CALLS = 9
"""In another life, until the power goes."""
ORDER = Order("auto")


class Crashed(BaseException):
    """Nobody catches it, as nobody does a SIGKILL."""


class Quick(Disk):
    """Never waits: no power is lost here."""

    def sync(self, file: int) -> None: ...


class Crashing(Quick):
    """Does so many calls, and none after them; knows what a loss of power would leave."""

    def __init__(self, folder: Path, left: int) -> None:
        self._folder, self.left = folder, left
        self.on_sync: Callable[[], None] = lambda: None
        self._contents: dict[int, bytes] = {}
        """File → what of it is on disk."""
        self._names: dict[str, int] = {}
        """Name → file, as the folder on disk has them."""

    def create(self, path: Path) -> int:
        file = super().create(path)
        self._contents[os.fstat(file).st_ino] = b""
        return self._called(file)

    def write(self, file: int, data: bytes | memoryview, at: int) -> int:
        return self._called(super().write(file, data, at))

    def sync(self, file: int) -> None:
        about = os.fstat(file)
        if stat.S_ISDIR(about.st_mode):
            self._names = self._present()
        else:
            (name,) = (name for name, ino in self._present().items() if ino == about.st_ino)
            self._contents[about.st_ino] = (self._folder / name).read_bytes()
        self.on_sync()
        self._called(0)

    def truncate(self, file: int, size: int) -> None:
        super().truncate(file, size)
        self._called(0)

    def rename(self, path: Path, name: Path) -> None:
        super().rename(path, name)
        self._called(0)

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._called(0)

    def lose_power(self, share: float) -> None:
        """What was synced stays; of what was appended behind it this share."""
        found: dict[str, bytes] = {}
        for name, ino in self._names.items():
            content = synced = self._contents[ino]
            if self._present().get(name) == ino:
                content = (self._folder / name).read_bytes()
            more = content[len(synced) :]
            found[name] = synced + more[: int(len(more) * share)]
        for name in self._present():
            (self._folder / name).unlink()
        for name, content in found.items():
            (self._folder / name).write_bytes(content)

    def _present(self) -> dict[str, int]:
        return {
            path.name: path.stat().st_ino for path in self._folder.iterdir() if path.suffix != ""
        }

    def _called(self, given: int) -> int:
        self.left -= 1
        if self.left < 0:
            raise Crashed
        return given


@dataclass
class Story:
    """Outages of a log, one after the other, over one binlog; what would be known outside."""

    dump: Dump
    begin: Checkpoint
    expected: list[bytes]
    places: list[Checkpoint]
    """Where each transaction begins."""
    committed: int = 0
    """Transactions that the log has."""
    held: int = 0
    """Position up to which the spool has said that it has all: the server may purge that."""
    spools: list[Spool] = field(default_factory=list)

    def opened(self, folder: Path, disk: Disk) -> Spool:
        spool = Spool(folder, "shop", MIB, ORDER, lambda _: disk)
        self.spools.append(spool)
        spool.open()
        return spool

    def tell(self, folder: Path, disk: Crashing) -> None:
        """Two outages; each time some of what is spooled is drained."""
        count = len(self.places)
        for until, drained_to in ((count // 2, count // 3), (count - 3, count * 3 // 4)):
            spool = self.opened(folder, disk)
            disk.on_sync = lambda spool=spool: self._hold(spool)
            self.commit(spool, self.committed)
            self.follow(spool, until)
            spool.close()
            spool = self.opened(folder, disk)
            for number in range(self.committed + 1, drained_to + 1, 3):
                self.commit(spool, number)
            spool.close()

    def _hold(self, spool: Spool) -> None:
        if spool.end is not None:
            self.held = max(self.held, spool.end.checkpoint.pos)
            self.dump.purged_to = self.held

    def commit(self, spool: Spool, number: int) -> None:
        """As the sink does."""
        self.committed = number
        place = self.places[number]
        if spool.has_passed(place) or not number:
            spool.note(place)
        spool.passed(place)

    def follow(self, spool: Spool, until: int) -> None:
        """As the follower does, up to a transaction."""
        committed = spool.begin() or self.begin
        spool.passed(committed)
        end = spool.end
        after = committed if end is None else ORDER.onward(end.checkpoint, committed)
        ticks = iter(range(10**9))
        appender = Appender(spool, after, segment_bytes=SEGMENT_BYTES, clock=lambda: next(ticks))
        try:
            for batch in self.dump.events(after):
                appender.take(batch.events)
                if spool.end is not None and spool.end.checkpoint.pos >= self.places[until].pos:
                    break
        finally:
            appender.close()

    def go_on(self, folder: Path, disk: Crashing, calls: int) -> None:
        """Another process spools what is left, and dies."""
        disk.left = calls
        try:
            self.follow(self.opened(folder, disk), len(self.places) - 1)
        except Crashed:
            pass
        finally:
            self.close()

    def assert_nothing_is_missing(self, folder: Path) -> None:
        """After another start, all is spooled, purged, drained."""
        spool = self.opened(folder, Quick())
        self.follow(spool, len(self.places) - 1)
        end = spool.end
        assert end is not None
        self.dump.purged_to = end.checkpoint.pos
        spool.close()
        spool.open()
        after = self.places[self.committed]
        assert (
            transactions(all_events(drained(spool, self.dump, after)))
            == (self.expected[self.committed :])
        )

    def close(self) -> None:
        for spool in self.spools:
            spool.close()


def new_story() -> Story:
    dump = Dump(MYSQL, BATCH_BYTES)
    begin = dump.begin()
    trail, places = Trail(begin), []
    for batch in list(dump.events(begin)):
        for _ in trail.boundaries(batch.events):
            if trail.opening is not None:
                places.append(trail.checkpoint())
    return Story(dump, begin, whole(dump), places)


@pytest.mark.parametrize("power", [None, 0.0, 0.5], ids=["killed", "no-power", "no-power-torn"])
def test_dying_at_any_call_it_has_what_it_promised_once(
    tmp_path: Path, power: float | None
) -> None:
    model, calls = new_story(), 0
    while True:
        folder = tmp_path / str(calls)
        disk = Crashing(folder, calls)
        story = replace(model, dump=Dump(MYSQL, BATCH_BYTES), spools=[])
        try:
            story.tell(folder, disk)
            break
        except Crashed:
            pass
        finally:
            story.close()
        if power is not None:
            story.go_on(folder, disk, LATER_CALLS)
            disk.lose_power(power)
        try:
            story.assert_nothing_is_missing(folder)
        except BaseException:
            print(f"died at call {calls}")
            raise
        finally:
            story.close()
        calls += 1
    assert calls > 50
    print("calls:", calls)


class Filling(Quick):
    """Room for so many bytes, a little of which comes again."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, file: int, data: bytes | memoryview, at: int) -> int:
        if self.room <= 0:
            self.room = MIB  # something else was removed meanwhile
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = super().write(file, data[: self.room], at)
        self.room -= written
        return written


def test_a_full_disk_at_any_byte_is_said_and_costs_nothing(tmp_path: Path) -> None:
    model = new_story()
    for room in range(0, 40_000, 701):
        folder = tmp_path / str(room)
        story = replace(model, dump=Dump(MYSQL, BATCH_BYTES), spools=[])
        spool = story.opened(folder, Filling(room))
        try:
            story.follow(spool, len(story.places) - 1)
        except SpoolFull as full:
            assert "No space left on device" in str(full)
        else:
            assert room > 20_000
        spool.close()
        if (end := spool.end) is not None:
            story.dump.purged_to = end.checkpoint.pos
        story.assert_nothing_is_missing(folder)
        story.close()


def test_a_bit_that_flips_in_any_segment_leaves_no_gap(tmp_path: Path) -> None:
    story = new_story()
    spool = story.opened(tmp_path / "spool", Quick())
    story.follow(spool, len(story.places) - 1)
    paths = sorted(spool.folder.glob(f"*{SUFFIX}"))
    assert len(paths) > 2
    for path in paths:
        content = path.read_bytes()
        for at in range(0, len(content), 41):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
            spool.close()
            assert transactions(_drained_at_last(story, tmp_path / "spool")) == story.expected
        path.write_bytes(content)


def _drained_at_last(story: Story, folder: Path) -> bytes:
    """All of it, after damage was found; nothing is committed meanwhile, nor removed."""
    spool = story.opened(folder, _Careful())
    try:
        for _ in range(3):
            try:
                return all_events(drained(spool, story.dump, story.begin))
            except Unreachable:
                spool.close()
                spool.open()
        raise AssertionError("it finds more damage each time")
    finally:
        spool.close()


class _Careful(Quick):
    """Removes nothing."""

    def remove(self, path: Path) -> None: ...


def test_what_cant_be_read_is_named_and_goes_on_once_it_is_mended(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "shop", MIB, ORDER)
    spool.open()
    spool.note(new_story().begin)
    spool.close()
    note = spool.folder / "begin.json"
    content = note.read_bytes()
    for damaged in (b"", content[:-9], content.replace(b'"pos":4', b'"pos":5')):
        note.write_bytes(damaged)
        with pytest.raises(SourceError, match=f"{note} can't be read") as told:
            spool.open()
        assert "remove it" in told.value.hint
    note.unlink()
    spool.open()
    assert spool.begin() is None
    spool.close()


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", "shop", MIB, ORDER)
    with pytest.raises(SourceError, match=r"opening the spool .*/file/spool: Not a directory"):
        spool.open()
